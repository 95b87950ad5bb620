/* SPDX-License-Identifier: MIT */
/*
 * CONNECTING  a lookup, then a NatWebsocket, until the server's welcome; `attempt_timer` bounds it
 *             all. Login, interest and what the sessions have to say leave in one flight
 * CONNECTED   the server has let us in
 * WAITING, DUPLICATE  no socket; `retry_timer` runs; the lookup may still be under way
 *
 * So one of retry_timer, attempt_timer and a logged-in websocket exists at any time after _start,
 * and each of them leads on. nat_signal_client_set_state() is the only place that changes the
 * state.
 *
 * Callbacks may free the client: it is reference counted by those who call them, and `gone` then
 * stops the rest.
 */
#pragma once

#include "agent/base/nat-backoff.h"
#include "agent/net/nat-resolve.h"
#include "agent/session/nat-interest.h"
#include "agent/session/nat-signal-client.h"
#include "agent/session/nat-signal-url.h"
#include "agent/session/nat-websocket.h"
#include "signaling/sig-wire.h"

struct NatSignalClient {
	NatSignalFuncs funcs;
	gpointer user_data;
	NatSignalUrl *url;
	WgKey private_key;
	guint32 fwmark;

	NatSignalState state;
	char *reason;
	gboolean started, gone;
	NatBackoff backoff;
	guint retry_timer, attempt_timer, flush_idle;
	gint64 attempt_at;

	NatResolve *resolve;
	NatLookup *lookup;
	gboolean resolved; /* it has said addresses */
	NatWebsocket *ws;
	GArray *addrs; /* of WgEndpoint: what the present connection was made from */

	gboolean may_send;		     /* login is sent */
	gint64 welcome_at;		     /* 0: not logged in */
	WgEndpoint seen;		     /* where the server sees us; unset: unknown */
	char refusal[SIG_WIRE_CODE_MAX + 1]; /* of the last error frame */
	char *refusal_text;		     /* escaped */
	gint64 drain_until;		     /* 0: no drain */

	guint n_stun;
	guint16 stun[SIG_WIRE_STUN_MAX];

	NatInterest *interest;
	guint64 dropped;
};

/* nat-signal-client.c */

/* Stays at hand while callbacks run: held = _hold(client) … _unref(held). */
NatSignalClient *nat_signal_client_hold(NatSignalClient *client);
void nat_signal_client_unref(NatSignalClient *client);
/* reason NULL: none. The client may be gone afterwards. */
void nat_signal_client_set_state(NatSignalClient *client, NatSignalState state, const char *reason);
/* The connection's age counts before the next wait is chosen. */
void nat_signal_client_count_age(NatSignalClient *client);
void nat_signal_client_fail(NatSignalClient *client, const char *reason);
gboolean nat_signal_client_on_retry(gpointer client);
void nat_signal_client_flush(NatSignalClient *client); /* what interest there is to tell */

/* nat-signal-frames.c: what the server says */

void nat_signal_client_on_text(const char *text, gsize len, gpointer client);
void nat_signal_client_on_binary(const guint8 *data, gsize len, gpointer client);
void nat_signal_client_report_stun(NatSignalClient *client);
