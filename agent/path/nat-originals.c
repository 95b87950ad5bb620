/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-state-file.h"
#include "agent/path/nat-originals.h"

#define NEVER (-1) /* no keepalive was written yet */
/* The one being written, and the one that the device has when we end before that. */
#define KEEPALIVES 2

/* A peer as it was last read. */
typedef struct {
	WgKey key;
	WgEndpoint endpoint;
	guint16 keepalive;
	guint64 rx;
	gboolean handshake; /* there was one */
	int written;	    /* our last keepalive, of this process */
	gboolean wrote;	    /* an endpoint, since then */
	gboolean replaced;  /* the peer, since then */
	WgEndpoint strange; /* it came neither by us nor by a packet, so far */
	gint64 strange_us;  /* when; 0: there is none */
	guint64 strange_rx;
} Sight;

struct NatOriginals {
	NatStateFile *file;
	GHashTable *sights; /* of Sight, by its key */
};

NatOriginals *
nat_originals_new(const char *state_dir, const WgKey *own_public)
{
	NatOriginals *originals = g_new0(NatOriginals, 1);

	originals->file = nat_state_file_new_for_key(
		state_dir, "originals", own_public,
		"what we change in WireGuard cannot be put back after a crash");
	if (nat_state_file_damage(originals->file))
		g_warning("what an earlier run changed in WireGuard cannot be put back: %s",
			  nat_state_file_damage(originals->file));
	originals->sights = g_hash_table_new_full(wg_key_hash, wg_key_equal, NULL, g_free);
	return originals;
}

void
nat_originals_free(NatOriginals *originals)
{
	if (originals == NULL)
		return;
	nat_state_file_free(originals->file);
	g_hash_table_unref(originals->sights);
	g_free(originals);
}

/* ---- what we wrote ---- */

static gboolean
is_known(NatOriginals *originals, const char *key)
{
	return g_key_file_has_group(nat_state_file_keys(originals->file), key);
}

/* FALSE: an older version, which did not remember it. */
static gboolean
is_written_known(NatOriginals *originals, const char *key)
{
	return g_key_file_has_key(nat_state_file_keys(originals->file), key, "written", NULL);
}

/* The newest of a list first. TRUE: it was not there. */
static gboolean
add_first(GKeyFile *keys, const char *key, const char *name, const char *value, guint max)
{
	g_auto(GStrv) old = g_key_file_get_string_list(keys, key, name, NULL, NULL);
	g_autoptr(GPtrArray) list = g_ptr_array_new();
	gboolean fresh = TRUE;

	g_ptr_array_add(list, (gpointer)value);
	for (guint i = 0; old != NULL && old[i] != NULL; i++) {
		if (g_str_equal(old[i], value))
			fresh = FALSE;
		else if (list->len < max)
			g_ptr_array_add(list, old[i]);
	}
	g_key_file_set_string_list(keys, key, name, (const char *const *)list->pdata, list->len);
	return fresh;
}

static gboolean
has_value(GKeyFile *keys, const char *key, const char *name, const char *value)
{
	g_auto(GStrv) list = g_key_file_get_string_list(keys, key, name, NULL, NULL);

	return list != NULL && g_strv_contains((const char *const *)list, value);
}

static gboolean
is_real(const WgEndpoint *endpoint)
{
	return wg_endpoint_is_set(endpoint) && !wg_endpoint_is_bogus(endpoint);
}

/* The original, written back, is the user's still. */
static gboolean
add_endpoint(NatOriginals *originals, const char *key, const WgEndpoint *original,
	     const WgEndpoint *endpoint)
{
	char text[WG_ENDPOINT_STRLEN];

	return is_real(endpoint) && !wg_endpoint_equal(endpoint, original) &&
	       add_first(nat_state_file_keys(originals->file), key, "written",
			 wg_endpoint_format(endpoint, text), NAT_ORIGINALS_WRITTEN);
}

static gboolean
add_keepalive(NatOriginals *originals, const char *key, guint16 original, guint16 keepalive)
{
	char text[8];

	g_snprintf(text, sizeof text, "%u", keepalive);
	return keepalive != original && add_first(nat_state_file_keys(originals->file), key,
						  "written_keepalive", text, KEEPALIVES);
}

/* From here on it is known what we write; what an older version did not remember may be on the
 * device. */
static gboolean
begin_written(NatOriginals *originals, const char *key, const WgPeer *peer)
{
	WgEndpoint endpoint;
	guint16 keepalive;

	if (is_written_known(originals, key))
		return FALSE;
	g_key_file_set_string(nat_state_file_keys(originals->file), key, "written", "");
	nat_originals_get(originals, &peer->public_key, &endpoint, &keepalive);
	add_endpoint(originals, key, &endpoint, &peer->endpoint);
	add_keepalive(originals, key, keepalive, peer->keepalive);
	return TRUE;
}

static gboolean
note_change(NatOriginals *originals, const char *key, const WgPeerChange *change)
{
	Sight *sight = g_hash_table_lookup(originals->sights, &change->public_key);
	gboolean fresh = FALSE;
	WgEndpoint endpoint;
	guint16 keepalive;

	nat_originals_get(originals, &change->public_key, &endpoint, &keepalive);
	if (change->flags & WG_CHANGE_ENDPOINT)
		fresh |= add_endpoint(originals, key, &endpoint, &change->endpoint);
	if (change->flags & WG_CHANGE_KEEPALIVE)
		fresh |= add_keepalive(originals, key, keepalive, change->keepalive);
	if (sight == NULL)
		return fresh;
	if (change->flags & WG_CHANGE_ENDPOINT)
		sight->wrote = TRUE;
	if (change->flags & WG_CHANGE_KEEPALIVE)
		sight->written = change->keepalive;
	sight->replaced |= (change->flags & WG_CHANGE_REPLACE) != 0;
	return fresh;
}

static void
set_endpoint(NatOriginals *originals, const char *key, const WgEndpoint *endpoint)
{
	char text[WG_ENDPOINT_STRLEN];

	g_key_file_set_string(nat_state_file_keys(originals->file), key, "endpoint",
			      is_real(endpoint) ? wg_endpoint_format(endpoint, text) : "");
}

void
nat_originals_keep(NatOriginals *originals, const WgPeer *peer, const WgPeerChange *change)
{
	char key[WG_KEY_STRLEN];
	gboolean fresh = FALSE;

	wg_key_format(&peer->public_key, key);
	if (!is_known(originals, key)) {
		set_endpoint(originals, key, &peer->endpoint);
		g_key_file_set_integer(nat_state_file_keys(originals->file), key, "keepalive",
				       peer->keepalive);
		fresh = TRUE;
	}
	fresh |= begin_written(originals, key, peer);
	if (change != NULL)
		fresh |= note_change(originals, key, change);
	if (fresh)
		nat_state_file_save(originals->file);
}

void
nat_originals_written(NatOriginals *originals, const WgPeerChange *change)
{
	char key[WG_KEY_STRLEN];

	if (is_known(originals, wg_key_format(&change->public_key, key)) &&
	    is_written_known(originals, key) && note_change(originals, key, change))
		nat_state_file_save(originals->file);
}

gboolean
nat_originals_is_ours(NatOriginals *originals, const WgKey *peer, const WgEndpoint *endpoint,
		      gboolean unsure)
{
	char key[WG_KEY_STRLEN], text[WG_ENDPOINT_STRLEN];

	wg_key_format(peer, key);
	if (!is_known(originals, key))
		return FALSE;
	if (!is_written_known(originals, key))
		return unsure;
	return has_value(nat_state_file_keys(originals->file), key, "written",
			 wg_endpoint_format(endpoint, text));
}

/* ---- what the user sets ---- */

/* Whether the endpoint could be the user's newer word. */
static gboolean
is_strange(NatOriginals *originals, const WgKey *peer, const WgEndpoint *endpoint,
	   const WgEndpoint *original)
{
	return is_real(endpoint) && !wg_endpoint_equal(endpoint, original) &&
	       !nat_originals_is_ours(originals, peer, endpoint, TRUE);
}

/* No packet of the peer's has come in, so none can have moved the endpoint. */
static gboolean
is_untouched(const WgPeer *peer)
{
	return peer->rx_bytes == 0 && peer->last_handshake_s == 0;
}

/* Made anew (wg setconf), and not by us. */
static gboolean
is_made_anew(const Sight *sight, const WgPeer *peer)
{
	return is_untouched(peer) && !sight->replaced && (sight->rx > 0 || sight->handshake);
}

static void
note_strange(NatOriginals *originals, Sight *sight, const WgPeer *peer, const WgEndpoint *original,
	     gint64 now_us)
{
	sight->strange_us = 0;
	if (!is_strange(originals, &peer->public_key, &peer->endpoint, original) ||
	    (peer->rx_bytes != sight->rx && !is_untouched(peer)))
		return;
	sight->strange = peer->endpoint;
	sight->strange_us =
		is_made_anew(sight, peer) ? now_us - NAT_ORIGINALS_CONFIRM_US : MAX(now_us, 1);
	sight->strange_rx = peer->rx_bytes;
}

/* It waits for its confirmation on the device, or under an endpoint that we wrote meanwhile. */
static gboolean
is_due(Sight *sight, const WgPeer *peer, gint64 now_us)
{
	if (sight->replaced && is_untouched(peer))
		sight->strange_rx = 0;
	if (peer->rx_bytes != sight->strange_rx)
		sight->strange_us = 0;
	return sight->strange_us != 0 && now_us - sight->strange_us >= NAT_ORIGINALS_CONFIRM_US;
}

static gboolean
is_users_endpoint(NatOriginals *originals, Sight *sight, const WgPeer *peer,
		  const WgEndpoint *original, gint64 now_us)
{
	gboolean moved = !wg_endpoint_equal(&peer->endpoint, &sight->endpoint);

	if (moved &&
	    (!sight->wrote || is_strange(originals, &peer->public_key, &peer->endpoint, original)))
		note_strange(originals, sight, peer, original, now_us);
	if (!is_due(sight, peer, now_us))
		return FALSE;
	sight->strange_us = 0;
	return is_strange(originals, &peer->public_key, &sight->strange, original);
}

static gboolean
is_users_keepalive(NatOriginals *originals, const Sight *sight, const WgPeer *peer, const char *key,
		   guint16 original)
{
	char text[8];

	if (peer->keepalive == original)
		return FALSE;
	if (sight != NULL)
		return peer->keepalive != sight->keepalive && peer->keepalive != sight->written;
	g_snprintf(text, sizeof text, "%u", peer->keepalive);
	return is_written_known(originals, key) &&
	       !has_value(nat_state_file_keys(originals->file), key, "written_keepalive", text);
}

/* As nearly always: many peers are read often. */
static gboolean
is_nothing_new(const Sight *sight, const WgPeer *peer)
{
	return sight != NULL && sight->strange_us == 0 && peer->keepalive == sight->keepalive &&
	       wg_endpoint_equal(&peer->endpoint, &sight->endpoint);
}

static void
note_sight(NatOriginals *originals, Sight *sight, const WgPeer *peer)
{
	if (sight == NULL) {
		sight = g_new0(Sight, 1);
		sight->key = peer->public_key;
		sight->written = NEVER;
		g_hash_table_insert(originals->sights, &sight->key, sight);
	}
	sight->endpoint = peer->endpoint;
	sight->keepalive = peer->keepalive;
	sight->rx = peer->rx_bytes;
	sight->handshake = peer->last_handshake_s != 0;
	sight->wrote = sight->replaced = FALSE;
}

gboolean
nat_originals_observe(NatOriginals *originals, const WgPeer *peer, gint64 now_us)
{
	Sight *sight = g_hash_table_lookup(originals->sights, &peer->public_key);
	gboolean endpoint = FALSE, keepalive = FALSE;
	char key[WG_KEY_STRLEN];
	WgEndpoint original;
	guint16 seconds;

	if (is_nothing_new(sight, peer)) {
		note_sight(originals, sight, peer);
		return FALSE;
	}
	wg_key_format(&peer->public_key, key);
	if (nat_originals_get(originals, &peer->public_key, &original, &seconds)) {
		keepalive = is_users_keepalive(originals, sight, peer, key, seconds);
		endpoint = sight != NULL
				   ? is_users_endpoint(originals, sight, peer, &original, now_us)
				   : is_untouched(peer) && is_strange(originals, &peer->public_key,
								      &peer->endpoint, &original);
	}
	if (endpoint)
		set_endpoint(originals, key, sight != NULL ? &sight->strange : &peer->endpoint);
	if (keepalive)
		g_key_file_set_integer(nat_state_file_keys(originals->file), key, "keepalive",
				       peer->keepalive);
	if (endpoint || keepalive)
		nat_state_file_save(originals->file);
	note_sight(originals, sight, peer);
	return endpoint || keepalive;
}

void
nat_originals_look_away(NatOriginals *originals, const WgKey *peer)
{
	g_hash_table_remove(originals->sights, peer);
}

/* ---- what is put back ---- */

gboolean
nat_originals_get(NatOriginals *originals, const WgKey *peer, WgEndpoint *endpoint,
		  guint16 *keepalive)
{
	GKeyFile *keys = nat_state_file_keys(originals->file);
	char key[WG_KEY_STRLEN];
	g_autofree char *text = NULL;
	int seconds;

	wg_key_format(peer, key);
	if (!g_key_file_has_group(keys, key))
		return FALSE;
	text = g_key_file_get_string(keys, key, "endpoint", NULL);
	if (text == NULL || !wg_endpoint_parse(text, endpoint) || wg_endpoint_is_bogus(endpoint))
		*endpoint = (WgEndpoint){0};
	seconds = g_key_file_get_integer(keys, key, "keepalive", NULL);
	*keepalive = (guint16)CLAMP(seconds, 0, G_MAXUINT16);
	return TRUE;
}

void
nat_originals_forget(NatOriginals *originals, const WgKey *peer)
{
	GKeyFile *keys = nat_state_file_keys(originals->file);
	char key[WG_KEY_STRLEN];

	nat_originals_look_away(originals, peer);
	if (g_key_file_remove_group(keys, wg_key_format(peer, key), NULL))
		nat_state_file_save(originals->file);
}
