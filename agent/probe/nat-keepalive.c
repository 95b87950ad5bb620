/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-keepalive.h"

#include "agent/probe/nat-lifetime.h"

#include <string.h>

#define SEC ((gint64)G_USEC_PER_SEC)
#define RETRY_FIRST_S 60
#define RETRY_MAX_S 3600
/* A NAT that rebooted within a test looks like a forgetful one, so a short lifetime is tested again
 * soon; then all of them each day: routers get new firmware. */
#define SHORT_AGAIN_S 600
#define AGAIN_S (24 * 3600)
#define DOUBT_US (300 * SEC)

typedef enum {
	UNKNOWN,
	OPEN,
	TESTING,
	KNOWN,
	UNTOLD,
} State;

struct NatKeepalive {
	char *ifname;
	guint32 fwmark;
	NatLifetimeProbeTimes times;
	gboolean has_times;
	NatKeepaliveFunc changed;
	gpointer user_data;

	NatLifetime *lifetime;
	NatLifetimeProbe *probe; /* TESTING, or a KNOWN one tested again */
	State state;
	char *network; /* NULL: not known now */
	WgEndpoint servers[NAT_LIFETIME_PROBE_SERVERS];
	gsize n_servers;
	guint16 interval_s;
	gboolean decided; /* the present probe found something out */
	gint64 probed_us;
	guint timer; /* the next probe */
	guint retry_s, again_s;
};

static const char *
state_name(State state)
{
	switch (state) {
	case UNKNOWN:
		return "unknown";
	case OPEN:
		return "no NAT";
	case TESTING:
		return "testing";
	case KNOWN:
		return "known";
	case UNTOLD:
		return "untold";
	}
	return "?";
}

/* ---- the interval ---- */

static guint16
interval_of(const NatKeepalive *keepalive)
{
	switch (keepalive->state) {
	case UNKNOWN:
		return keepalive->interval_s; /* what was true before */
	case OPEN:
		return NAT_LIFETIME_MAX_S;
	case TESTING:
	case KNOWN:
		return nat_lifetime_safe_s(keepalive->lifetime);
	case UNTOLD:
		/* Nobody can tell: WireGuard's usual, unless a part is known. */
		return nat_lifetime_is_new(keepalive->lifetime)
			       ? NAT_LIFETIME_MAX_S
			       : nat_lifetime_safe_s(keepalive->lifetime);
	}
	return NAT_LIFETIME_MAX_S;
}

static void
update_interval(NatKeepalive *keepalive)
{
	guint16 interval = interval_of(keepalive);

	if (interval == keepalive->interval_s)
		return;
	keepalive->interval_s = interval;
	keepalive->changed(keepalive->user_data);
}

static void
set_state(NatKeepalive *keepalive, State state, const char *reason)
{
	if (state != keepalive->state)
		g_debug("%s: NAT mapping lifetime: %s → %s (%s)", keepalive->ifname,
			state_name(keepalive->state), state_name(state), reason);
	keepalive->state = state;
	update_interval(keepalive);
}

/* ---- tests ---- */

static void start_probe(NatKeepalive *keepalive);

static gboolean
on_timer(gpointer user_data)
{
	NatKeepalive *keepalive = user_data;

	keepalive->timer = 0;
	start_probe(keepalive);
	return G_SOURCE_REMOVE;
}

static void
probe_in(NatKeepalive *keepalive, guint seconds)
{
	g_clear_handle_id(&keepalive->timer, g_source_remove);
	keepalive->timer = g_timeout_add_seconds(seconds, on_timer, keepalive);
}

static void
say_known(NatKeepalive *keepalive)
{
	g_message("%s: the NAT keeps mappings for %u s%s: keepalive %u s", keepalive->ifname,
		  nat_keepalive_lifetime_s(keepalive),
		  nat_keepalive_lifetime_s(keepalive) >= NAT_LIFETIME_MAX_S ? " or more" : "",
		  nat_lifetime_safe_s(keepalive->lifetime));
}

static void
plan_again(NatKeepalive *keepalive)
{
	gboolean brief = nat_lifetime_safe_s(keepalive->lifetime) < NAT_LIFETIME_MAX_S;

	probe_in(keepalive, brief ? keepalive->again_s : AGAIN_S);
	keepalive->again_s = MIN(keepalive->again_s * 4, AGAIN_S);
}

static void
conclude(NatKeepalive *keepalive)
{
	guint16 before = keepalive->interval_s;
	gboolean was_known = keepalive->state == KNOWN;

	g_clear_pointer(&keepalive->probe, nat_lifetime_probe_free);
	if (nat_lifetime_settled(keepalive->lifetime)) {
		plan_again(keepalive);
		set_state(keepalive, KNOWN, "tested");
		if (!was_known || before != keepalive->interval_s)
			say_known(keepalive);
	} else {
		set_state(keepalive, UNTOLD,
			  keepalive->decided ? "some servers did not answer"
					     : "the servers cannot tell");
		probe_in(keepalive, keepalive->retry_s);
		keepalive->retry_s = MIN(keepalive->retry_s * 2, RETRY_MAX_S);
	}
}

static void
on_verdict(guint silence_ms, NatLifetimeVerdict verdict, gboolean last, gpointer user_data)
{
	NatKeepalive *keepalive = user_data;

	switch (verdict) {
	case NAT_LIFETIME_HELD:
	case NAT_LIFETIME_LOST:
		g_debug("%s: a mapping silent for %u ms was %s", keepalive->ifname, silence_ms,
			verdict == NAT_LIFETIME_HELD ? "there" : "gone");
		keepalive->decided = TRUE;
		nat_lifetime_observe(keepalive->lifetime, silence_ms, verdict == NAT_LIFETIME_HELD);
		break;
	case NAT_LIFETIME_UNDECIDED:
		break;
	}
	if (last)
		conclude(keepalive);
	/* What breaks sooner is heeded at once; longer silences wait for the end, so that a
	 * tunnel's keepalive is written once. */
	else if (nat_lifetime_safe_s(keepalive->lifetime) < keepalive->interval_s)
		update_interval(keepalive);
}

static void
start_probe(NatKeepalive *keepalive)
{
	g_clear_handle_id(&keepalive->timer, g_source_remove);
	g_clear_pointer(&keepalive->probe, nat_lifetime_probe_free);
	keepalive->decided = FALSE;
	keepalive->probed_us = g_get_monotonic_time();
	keepalive->probe = nat_lifetime_probe_new(
		keepalive->servers, keepalive->n_servers, keepalive->fwmark,
		keepalive->has_times ? &keepalive->times : NULL, on_verdict, keepalive);
}

static void
stop_probe(NatKeepalive *keepalive)
{
	g_clear_handle_id(&keepalive->timer, g_source_remove);
	g_clear_pointer(&keepalive->probe, nat_lifetime_probe_free);
}

/* ---- networks ---- */

static void
enter_network(NatKeepalive *keepalive)
{
	stop_probe(keepalive);
	keepalive->retry_s = RETRY_FIRST_S;
	keepalive->again_s = SHORT_AGAIN_S;
	nat_lifetime_enter(keepalive->lifetime, keepalive->network);
	if (nat_lifetime_settled(keepalive->lifetime)) {
		plan_again(keepalive);
		set_state(keepalive, KNOWN, "remembered");
		say_known(keepalive);
	} else {
		set_state(keepalive, TESTING, "behind a NAT");
		start_probe(keepalive);
	}
}

void
nat_keepalive_set_nat(NatKeepalive *keepalive, const WgEndpoint *local,
		      const WgEndpoint *public_address, const WgEndpoint *servers, gsize n)
{
	g_autofree char *network = nat_lifetime_network_id(local, public_address);

	/* a test under way keeps the servers it has */
	keepalive->n_servers = MIN(n, NAT_LIFETIME_PROBE_SERVERS);
	memcpy(keepalive->servers, servers, keepalive->n_servers * sizeof *servers);
	if (g_strcmp0(network, keepalive->network) == 0)
		return;
	g_free(keepalive->network);
	keepalive->network = g_steal_pointer(&network);
	enter_network(keepalive);
}

void
nat_keepalive_set_open(NatKeepalive *keepalive)
{
	if (keepalive->state == OPEN)
		return;
	stop_probe(keepalive);
	g_clear_pointer(&keepalive->network, g_free);
	set_state(keepalive, OPEN, "our own address is the public one");
}

void
nat_keepalive_doubt(NatKeepalive *keepalive)
{
	if ((keepalive->state == KNOWN || keepalive->state == UNTOLD) && keepalive->probe == NULL &&
	    g_get_monotonic_time() - keepalive->probed_us >= DOUBT_US)
		start_probe(keepalive);
}

void
nat_keepalive_set_fwmark(NatKeepalive *keepalive, guint32 fwmark)
{
	if (keepalive->fwmark == fwmark)
		return;
	keepalive->fwmark = fwmark;
	/* it may lead elsewhere: what is there will be said */
	stop_probe(keepalive);
	g_clear_pointer(&keepalive->network, g_free);
	set_state(keepalive, UNKNOWN, "another fwmark");
}

/* ---- life ---- */

NatKeepalive *
nat_keepalive_new(const char *ifname, const char *state_dir, const WgKey *own_public,
		  guint32 fwmark, const NatLifetimeProbeTimes *times, NatKeepaliveFunc changed,
		  gpointer user_data)
{
	NatKeepalive *keepalive = g_new0(NatKeepalive, 1);

	keepalive->ifname = g_strdup(ifname);
	keepalive->lifetime = nat_lifetime_new(state_dir, own_public);
	keepalive->fwmark = fwmark;
	keepalive->has_times = times != NULL;
	if (times != NULL)
		keepalive->times = *times;
	keepalive->changed = changed;
	keepalive->user_data = user_data;
	keepalive->interval_s = NAT_LIFETIME_MAX_S;
	keepalive->probed_us = G_MININT64 / 2;
	return keepalive;
}

void
nat_keepalive_free(NatKeepalive *keepalive)
{
	if (keepalive == NULL)
		return;
	stop_probe(keepalive);
	nat_lifetime_free(keepalive->lifetime);
	g_free(keepalive->network);
	g_free(keepalive->ifname);
	g_free(keepalive);
}

guint16
nat_keepalive_s(const NatKeepalive *keepalive)
{
	return keepalive->interval_s;
}

guint
nat_keepalive_lifetime_s(const NatKeepalive *keepalive)
{
	gboolean behind = keepalive->state == TESTING || keepalive->state == KNOWN ||
			  keepalive->state == UNTOLD;

	return behind && nat_lifetime_settled(keepalive->lifetime)
		       ? nat_lifetime_safe_s(keepalive->lifetime)
		       : 0;
}
