/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-state-file.h"
#include "agent/path/nat-originals.h"

struct NatOriginals {
	NatStateFile *file;
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
	return originals;
}

void
nat_originals_free(NatOriginals *originals)
{
	if (originals == NULL)
		return;
	nat_state_file_free(originals->file);
	g_free(originals);
}

void
nat_originals_keep(NatOriginals *originals, const WgPeer *peer)
{
	GKeyFile *keys = nat_state_file_keys(originals->file);
	char key[WG_KEY_STRLEN], endpoint[WG_ENDPOINT_STRLEN];

	wg_key_format(&peer->public_key, key);
	if (g_key_file_has_group(keys, key))
		return;
	g_key_file_set_string(keys, key, "endpoint",
			      wg_endpoint_is_set(&peer->endpoint) &&
					      !wg_endpoint_is_bogus(&peer->endpoint)
				      ? wg_endpoint_format(&peer->endpoint, endpoint)
				      : "");
	g_key_file_set_integer(keys, key, "keepalive", peer->keepalive);
	nat_state_file_save(originals->file);
}

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

	if (g_key_file_remove_group(keys, wg_key_format(peer, key), NULL))
		nat_state_file_save(originals->file);
}
