/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-state-file.h"
#include "agent/probe/nat-lifetime.h"

#include <string.h>

#define SILENCE_MAX_MS 3600000u
#define JITTER_MS 500u /* a timer's: 12.9 s is a silence of 13 */

static const guint16 STEPS_S[] = {NAT_LIFETIME_FIRST_S, 8, 13, 20, NAT_LIFETIME_MAX_S};

struct NatLifetime {
	NatStateFile *file;
	char *network; /* NULL: not remembered */
	guint held_ms; /* the longest that held; 0: none */
	guint lost_ms; /* the shortest that did not; 0: none */
};

/* ---- the file: a group per network, the latest used last ---- */

NatLifetime *
nat_lifetime_new(const char *state_dir, const WgKey *own_public)
{
	NatLifetime *lifetime = g_new0(NatLifetime, 1);

	lifetime->file = nat_state_file_new_for_key(
		state_dir, "lifetimes", own_public,
		"how long NATs keep mappings is learnt anew at each start");
	return lifetime;
}

void
nat_lifetime_free(NatLifetime *lifetime)
{
	if (lifetime == NULL)
		return;
	nat_state_file_free(lifetime->file);
	g_free(lifetime->network);
	g_free(lifetime);
}

static void
make_room(GKeyFile *keys)
{
	gsize n;
	g_auto(GStrv) groups = g_key_file_get_groups(keys, &n);

	for (gsize i = 0; i < n && n - i > NAT_LIFETIME_NETWORKS; i++)
		g_key_file_remove_group(keys, groups[i], NULL);
}

static void
save(NatLifetime *lifetime)
{
	GKeyFile *keys = nat_state_file_keys(lifetime->file);

	if (lifetime->network == NULL)
		return;
	/* taken out and put in again: it moves to the end */
	g_key_file_remove_group(keys, lifetime->network, NULL);
	g_key_file_set_integer(keys, lifetime->network, "held_ms", (int)lifetime->held_ms);
	g_key_file_set_integer(keys, lifetime->network, "lost_ms", (int)lifetime->lost_ms);
	make_room(keys);
	nat_state_file_save(lifetime->file);
}

static guint
read_ms(NatLifetime *lifetime, const char *key)
{
	int ms = g_key_file_get_integer(nat_state_file_keys(lifetime->file), lifetime->network, key,
					NULL);

	return (guint)CLAMP(ms, 0, (int)SILENCE_MAX_MS);
}

/* ---- networks ---- */

static void
append_network(GString *out, const WgEndpoint *address)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint prefix = *address;

	if (!wg_endpoint_is_set(address)) {
		g_string_append_c(out, '-');
		return;
	}
	if (wg_endpoint_family(address) == AF_INET6)
		memset(prefix.v6.sin6_addr.s6_addr + 8, 0, 8);
	g_string_append(out, wg_endpoint_format_address(&prefix, text));
}

char *
nat_lifetime_network_id(const WgEndpoint *local, const WgEndpoint *public_address)
{
	static const WgEndpoint unset;
	GString *out = g_string_new(NULL);

	append_network(out, local);
	g_string_append_c(out, ' ');
	append_network(out, public_address ? public_address : &unset);
	return g_string_free(out, FALSE);
}

/* What GKeyFile takes as the name of a group. */
static gboolean
is_storable(const char *network)
{
	for (const char *c = network; *c; c++)
		if (g_ascii_iscntrl(*c) || strchr("[]", *c))
			return FALSE;
	return *network != '\0' && g_utf8_validate(network, -1, NULL);
}

static gboolean
is_latest(NatLifetime *lifetime)
{
	gsize n;
	g_auto(GStrv) groups = g_key_file_get_groups(nat_state_file_keys(lifetime->file), &n);

	return n > 0 && strcmp(groups[n - 1], lifetime->network) == 0;
}

void
nat_lifetime_enter(NatLifetime *lifetime, const char *network)
{
	if (network != NULL && !is_storable(network))
		network = NULL;
	if (network != NULL && g_strcmp0(network, lifetime->network) == 0)
		return;
	g_free(lifetime->network);
	lifetime->network = g_strdup(network);
	lifetime->held_ms = lifetime->lost_ms = 0;
	if (network == NULL || !g_key_file_has_group(nat_state_file_keys(lifetime->file), network))
		return;
	lifetime->held_ms = read_ms(lifetime, "held_ms");
	lifetime->lost_ms = read_ms(lifetime, "lost_ms");
	if (lifetime->lost_ms != 0 && lifetime->lost_ms <= lifetime->held_ms)
		lifetime->held_ms = lifetime->lost_ms = 0; /* not what we write */
	if (!is_latest(lifetime))
		save(lifetime);
}

/* ---- learning ---- */

/* The first step that is longer; the last one when there is none. */
static guint
step_above_s(guint ms)
{
	for (gsize i = 0; i < G_N_ELEMENTS(STEPS_S); i++)
		if (STEPS_S[i] * 1000u > ms + JITTER_MS)
			return STEPS_S[i];
	return NAT_LIFETIME_MAX_S;
}

/* The last step that is shorter; 0 when there is none. */
static guint
step_below_ms(guint ms)
{
	for (gsize i = G_N_ELEMENTS(STEPS_S); i > 0; i--)
		if (STEPS_S[i - 1] * 1000u + JITTER_MS < ms)
			return STEPS_S[i - 1] * 1000u;
	return 0;
}

/* Clear of a failing one by an eighth, a second at least: NATs sweep their tables now and then. */
static guint
safe_ms(const NatLifetime *lifetime)
{
	guint margin = MAX(1000, lifetime->lost_ms / 8);
	guint below = lifetime->lost_ms > margin ? lifetime->lost_ms - margin : 0;

	return lifetime->held_ms != 0 ? MIN(lifetime->held_ms, below) : below;
}

guint16
nat_lifetime_keepalive_s(const NatLifetime *lifetime)
{
	guint s =
		lifetime->lost_ms != 0 ? safe_ms(lifetime) / 1000 : step_above_s(lifetime->held_ms);

	return (guint16)CLAMP(s, NAT_LIFETIME_MIN_S, NAT_LIFETIME_MAX_S);
}

guint16
nat_lifetime_safe_s(const NatLifetime *lifetime)
{
	guint held_s = lifetime->held_ms / 1000;

	if (lifetime->lost_ms != 0)
		return nat_lifetime_keepalive_s(lifetime);
	return (guint16)CLAMP(held_s, NAT_LIFETIME_FIRST_S, NAT_LIFETIME_MAX_S);
}

gboolean
nat_lifetime_is_new(const NatLifetime *lifetime)
{
	return lifetime->held_ms == 0 && lifetime->lost_ms == 0;
}

gboolean
nat_lifetime_settled(const NatLifetime *lifetime)
{
	return lifetime->lost_ms != 0 ||
	       lifetime->held_ms + JITTER_MS >= NAT_LIFETIME_MAX_S * 1000u;
}

static void
note_held(NatLifetime *lifetime, guint silence_ms)
{
	lifetime->held_ms = MAX(lifetime->held_ms, silence_ms);
	if (lifetime->held_ms >= lifetime->lost_ms)
		lifetime->lost_ms = 0; /* it keeps them longer than it once did */
}

static void
note_lost(NatLifetime *lifetime, guint silence_ms)
{
	if (lifetime->lost_ms == 0 || silence_ms < lifetime->lost_ms)
		lifetime->lost_ms = MAX(silence_ms, 1);
	if (lifetime->held_ms >= lifetime->lost_ms)
		lifetime->held_ms = step_below_ms(lifetime->lost_ms);
}

gboolean
nat_lifetime_observe(NatLifetime *lifetime, guint silence_ms, gboolean held)
{
	guint16 before = nat_lifetime_keepalive_s(lifetime);
	guint held_ms = lifetime->held_ms, lost_ms = lifetime->lost_ms;

	(held ? note_held : note_lost)(lifetime, MIN(silence_ms, SILENCE_MAX_MS));
	if (held_ms != lifetime->held_ms || lost_ms != lifetime->lost_ms)
		save(lifetime);
	return nat_lifetime_keepalive_s(lifetime) != before;
}
