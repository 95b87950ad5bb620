/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-tries.h"

#include <string.h>

#define SEC ((gint64)G_USEC_PER_SEC)
#define LIVE_US (180 * SEC)	    /* REJECT_AFTER_TIME */
#define SLOT_US (5500 * SEC / 1000) /* REKEY_TIMEOUT 5 s, and what a snapshot lags */
#define SILENT_US (15 * SEC)	    /* KEEPALIVE_TIMEOUT and REKEY_TIMEOUT: WireGuard doubts too */
#define TRY_US (2500 * SEC / 1000)
#define TRY_SILENT_US (6 * SEC)
#define LOOKUP_US (3 * SEC) /* after this, what is known serves */
#define LOOKUP_EVERY_US (30 * SEC)
#define PAUSE_FIRST_US (2 * SEC)
#define PAUSE_MAX_US (60 * SEC)
#define AGAIN_US (3 * SEC) /* networks change in bursts */
#define KEEPALIVE_S 25

struct InnTries {
	WgKey server;
	InnTriesFuncs funcs;
	gpointer user_data;
	InnTriesState state;
	gint64 since_us; /* of the state; of the try while TRYING */

	/* what was seen of the peer; times are monotonic, 0: never */
	gboolean seen;
	WgEndpoint endpoint;
	guint16 keepalive;
	gint64 handshake_s, handshake_ns; /* as the device says it, for comparing only */
	guint64 rx, tx;
	gint64 first_us, handshake_us, rx_us, tx_us;

	/* what is known */
	WgEndpoint worked;
	GArray *addrs; /* of WgEndpoint */
	gboolean fresh, answered;
	gint64 failed_us, looked_up_us;

	/* the round */
	WgEndpoint list[INN_TRIES_MAX];
	guint n, next, routed, failures;
	gint64 round_us, wrote_us;
	gboolean again; /* the network changed meanwhile */
};

InnTries *
inn_tries_new(const WgKey *server, const InnTriesFuncs *funcs, gpointer user_data)
{
	InnTries *tries = g_new0(InnTries, 1);

	tries->server = *server;
	tries->funcs = *funcs;
	tries->user_data = user_data;
	tries->addrs = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	return tries;
}

void
inn_tries_free(InnTries *tries)
{
	if (!tries)
		return;
	g_array_unref(tries->addrs);
	g_free(tries);
}

/* ---- what is seen ---- */

static void
note_handshake(InnTries *tries, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	if (wg->last_handshake_s == tries->handshake_s &&
	    wg->last_handshake_ns == tries->handshake_ns)
		return;
	tries->handshake_s = wg->last_handshake_s;
	tries->handshake_ns = wg->last_handshake_ns;
	if (wg->last_handshake_s == 0) {
		tries->handshake_us = 0;
	} else if (tries->seen) {
		tries->handshake_us = now_us;
	} else {
		gint64 age_s = CLAMP(real_s - wg->last_handshake_s, 0, 3600);

		/* Monotonic time may be younger than the handshake is old. */
		tries->handshake_us = age_s * SEC < LIVE_US ? MAX(now_us - age_s * SEC, 1) : 0;
	}
}

static void
note(InnTries *tries, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	note_handshake(tries, wg, now_us, real_s);
	if (!tries->seen)
		tries->first_us = now_us;
	/* A replaced peer counts from zero. */
	if (tries->seen && wg->rx_bytes > tries->rx)
		tries->rx_us = now_us;
	if (tries->seen && wg->tx_bytes > tries->tx)
		tries->tx_us = now_us;
	tries->rx = wg->rx_bytes;
	tries->tx = wg->tx_bytes;
	tries->endpoint = wg->endpoint;
	tries->keepalive = wg->keepalive;
	tries->seen = TRUE;
}

static gboolean
has_session(const InnTries *tries, gint64 now_us)
{
	return tries->handshake_us != 0 && now_us - tries->handshake_us < LIVE_US &&
	       wg_endpoint_is_set(&tries->endpoint);
}

static gboolean
is_silent(const InnTries *tries, gint64 now_us)
{
	gint64 heard_us = MAX(MAX(tries->rx_us, tries->handshake_us), tries->first_us);

	return tries->failed_us > heard_us && tries->tx_us > heard_us &&
	       now_us - heard_us >= SILENT_US;
}

/* ---- one round ---- */

static void
set_state(InnTries *tries, InnTriesState state, gint64 now_us)
{
	tries->state = state;
	tries->since_us = now_us;
}

static void
add_to_list(InnTries *tries, const WgEndpoint *ep)
{
	if (!wg_endpoint_is_set(ep) || tries->n == INN_TRIES_MAX)
		return;
	for (guint i = 0; i < tries->n; i++)
		if (wg_endpoint_equal(&tries->list[i], ep))
			return;
	tries->list[tries->n++] = *ep;
}

/* A loopback address is a bridge to a relay, where the server's machine has an agent too: it is of
 * that time only. */
static void
add_remembered(InnTries *tries, const WgEndpoint *ep)
{
	if (!wg_endpoint_is_bogus(ep) || wg_endpoint_array_has(tries->addrs, ep, wg_endpoint_same))
		add_to_list(tries, ep);
}

/* Families in turns after the first. */
static void
alternate(InnTries *tries)
{
	for (guint i = 1; i < tries->n; i++) {
		int last = wg_endpoint_family(&tries->list[i - 1]);
		guint other = i;
		WgEndpoint found;

		while (other < tries->n && wg_endpoint_family(&tries->list[other]) == last)
			other++;
		if (other == tries->n)
			return;
		found = tries->list[other];
		memmove(&tries->list[i + 1], &tries->list[i], (other - i) * sizeof found);
		tries->list[i] = found;
	}
}

/* What the name no longer leads to is the last resort. */
static void
make_list(InnTries *tries)
{
	const WgEndpoint *remembered[] = {&tries->worked, &tries->endpoint};

	tries->n = tries->next = tries->routed = 0;
	for (gsize i = 0; i < G_N_ELEMENTS(remembered); i++)
		if (!tries->fresh ||
		    wg_endpoint_array_has(tries->addrs, remembered[i], wg_endpoint_same))
			add_remembered(tries, remembered[i]);
	for (guint i = 0; i < tries->addrs->len; i++)
		add_to_list(tries, &g_array_index(tries->addrs, WgEndpoint, i));
	alternate(tries);
	for (gsize i = 0; i < G_N_ELEMENTS(remembered); i++)
		add_remembered(tries, remembered[i]);
}

/* Whether WireGuard may have sent an initiation in the last 5 s. When in doubt, yes: without a
 * session a replaced peer loses nothing. */
static gboolean
slot_burned(const InnTries *tries, gint64 now_us)
{
	return tries->keepalive != 0 || now_us - tries->first_us < SLOT_US ||
	       (tries->wrote_us != 0 && now_us - tries->wrote_us < SLOT_US) ||
	       (tries->tx_us != 0 && now_us - tries->tx_us < SLOT_US);
}

static void
write_endpoint(InnTries *tries, const WgEndpoint *ep, WgChangeFlags flags, gint64 now_us)
{
	WgPeerChange change = {
		.public_key = tries->server,
		.flags = WG_CHANGE_ENDPOINT | flags,
		.endpoint = *ep,
		.keepalive = tries->keepalive ? tries->keepalive : KEEPALIVE_S,
	};

	tries->wrote_us = now_us;
	if (!tries->funcs.write(&change, tries->user_data))
		return;
	tries->endpoint = *ep;
	if (flags & WG_CHANGE_KEEPALIVE)
		tries->keepalive = change.keepalive;
}

/* Somebody gave the peer this endpoint a moment ago: its initiation may be on its way, and one of
 * ours within 50 ms would be dropped at the other end for a flood. */
static gboolean
is_just_begun(const InnTries *tries, const WgEndpoint *ep, gint64 now_us)
{
	return now_us - tries->first_us < TRY_US && tries->keepalive != 0 &&
	       wg_endpoint_equal(ep, &tries->endpoint);
}

static void
try_address(InnTries *tries, const WgEndpoint *ep, gint64 now_us)
{
	WgChangeFlags flags = WG_CHANGE_KEEPALIVE;

	set_state(tries, INN_TRIES_TRYING, now_us);
	if (is_just_begun(tries, ep, now_us))
		return;
	if (has_session(tries, now_us))
		flags |= WG_CHANGE_REARM;
	else if (slot_burned(tries, now_us))
		flags |= WG_CHANGE_REPLACE;
	write_endpoint(tries, ep, flags, now_us);
}

static gint64
pause_us(const InnTries *tries)
{
	gint64 pause = PAUSE_FIRST_US;

	for (guint i = 1; i < tries->failures && pause < PAUSE_MAX_US; i++)
		pause *= 2;
	return MIN(pause, PAUSE_MAX_US);
}

static void begin_round(InnTries *tries, gint64 now_us);

static void
end_round(InnTries *tries, gint64 now_us)
{
	if (tries->failures < G_MAXUINT)
		tries->failures++;
	if (tries->n > 0 && !wg_endpoint_equal(&tries->endpoint, &tries->list[0]))
		write_endpoint(tries, &tries->list[0], 0, now_us);
	if (tries->again)
		begin_round(tries, now_us);
	else
		set_state(tries, INN_TRIES_PAUSE, now_us);
}

/* WireGuard itself tries the endpoint that a silent session has. */
static gboolean
is_worth_a_try(InnTries *tries, const WgEndpoint *ep, gint64 now_us)
{
	if (tries->funcs.routed && !tries->funcs.routed(ep, tries->user_data))
		return FALSE;
	tries->routed++;
	return !has_session(tries, now_us) || !wg_endpoint_equal(ep, &tries->endpoint);
}

static void
try_next(InnTries *tries, gint64 now_us)
{
	while (tries->next < tries->n) {
		const WgEndpoint *ep = &tries->list[tries->next++];

		if (is_worth_a_try(tries, ep, now_us)) {
			try_address(tries, ep, now_us);
			return;
		}
	}
	end_round(tries, now_us);
}

static void
look_up(InnTries *tries, gint64 now_us)
{
	tries->answered = FALSE;
	tries->looked_up_us = now_us;
	tries->funcs.lookup(tries->user_data);
}

static void
begin_round(InnTries *tries, gint64 now_us)
{
	tries->again = FALSE;
	tries->round_us = now_us;
	set_state(tries, INN_TRIES_LOOKUP, now_us);
	look_up(tries, now_us);
}

/* ---- events ---- */

void
inn_tries_addresses(InnTries *tries, const WgEndpoint *addrs, gsize n, gboolean fresh)
{
	g_array_set_size(tries->addrs, 0);
	for (gsize i = 0; i < n; i++)
		wg_endpoint_array_add(tries->addrs, &addrs[i], wg_endpoint_same);
	tries->fresh = fresh;
	tries->answered = TRUE;
	/* In the midst of a round: those that are new come at its end. */
	if (tries->state == INN_TRIES_TRYING)
		for (gsize i = 0; i < n; i++)
			add_to_list(tries, &addrs[i]);
}

void
inn_tries_no_addresses(InnTries *tries)
{
	tries->fresh = FALSE;
	tries->answered = TRUE;
}

void
inn_tries_call_failed(InnTries *tries, gint64 now_us)
{
	tries->failed_us = now_us;
	if (tries->state == INN_TRIES_CONNECTED &&
	    (tries->looked_up_us == 0 || now_us - tries->looked_up_us >= LOOKUP_EVERY_US))
		look_up(tries, now_us);
}

/* What failed before says nothing about now. */
void
inn_tries_network_changed(InnTries *tries, gint64 now_us)
{
	tries->failures = 0;
	switch (tries->state) {
	case INN_TRIES_CONNECTED:
		if (now_us - tries->looked_up_us >= AGAIN_US)
			look_up(tries, now_us);
		break;
	case INN_TRIES_PAUSE:
		begin_round(tries, now_us);
		break;
	case INN_TRIES_LOOKUP:
	case INN_TRIES_TRYING:
		if (now_us - tries->round_us >= AGAIN_US)
			begin_round(tries, now_us);
		else
			tries->again = TRUE;
		break;
	}
}

static void
step_lookup(InnTries *tries, gint64 now_us)
{
	gboolean late = now_us - tries->since_us >= LOOKUP_US;

	if (!tries->answered && !late)
		return;
	make_list(tries);
	/* Nothing to try, and an answer may still come. */
	if (tries->n == 0 && !tries->answered)
		return;
	try_next(tries, now_us);
}

static void
step_trying(InnTries *tries, gint64 now_us)
{
	gint64 patience = has_session(tries, now_us) ? TRY_SILENT_US : TRY_US;

	if (now_us - tries->since_us >= patience)
		try_next(tries, now_us);
}

void
inn_tries_observe(InnTries *tries, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	if (!wg)
		return;
	note(tries, wg, now_us, real_s);
	if (has_session(tries, now_us) && !is_silent(tries, now_us)) {
		tries->worked = tries->endpoint;
		tries->failures = 0;
		tries->again = FALSE;
		if (tries->state != INN_TRIES_CONNECTED)
			set_state(tries, INN_TRIES_CONNECTED, now_us);
		return;
	}
	switch (tries->state) {
	case INN_TRIES_CONNECTED:
		begin_round(tries, now_us);
		break;
	case INN_TRIES_LOOKUP:
		step_lookup(tries, now_us);
		break;
	case INN_TRIES_TRYING:
		step_trying(tries, now_us);
		break;
	case INN_TRIES_PAUSE:
		if (now_us - tries->since_us >= pause_us(tries))
			begin_round(tries, now_us);
		break;
	}
}

InnTriesState
inn_tries_state(const InnTries *tries)
{
	return tries->state;
}

guint
inn_tries_failures(const InnTries *tries)
{
	return tries->failures;
}

const WgEndpoint *
inn_tries_list(const InnTries *tries, gsize *n)
{
	*n = tries->n;
	return tries->list;
}

guint
inn_tries_routed(const InnTries *tries)
{
	return tries->routed;
}
