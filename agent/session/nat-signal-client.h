/* SPDX-License-Identifier: MIT */
/*
 * NatSignalClient: one agent interface's connection to nat-signald (libsoup-3 WebSocket), with
 * proved login, incremental interest, reconnection with full jitter, and the last good addresses of
 * the server's name. All its sockets carry the fwmark. Host thread only; callbacks run in it, from
 * the main loop, never from inside a call into the client.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

typedef struct NatSignalClient NatSignalClient;

typedef enum {
	NAT_SIGNAL_CONNECTING, /* "connecting" */
	NAT_SIGNAL_CONNECTED,  /* "connected": the server has let us in */
	NAT_SIGNAL_WAITING,    /* "waiting": lost or refused, next try is scheduled */
	NAT_SIGNAL_DUPLICATE,  /* "duplicate-key": another agent with our key took over */
} NatSignalState;

typedef struct {
	/* The login is on its way, and so is what is said from here: it takes effect if the server
	 * lets us in. May be NULL. */
	void (*logging_in)(gpointer user_data);
	/* reason: one clear line, also for status; NULL when connected */
	void (*state_changed)(NatSignalState state, const char *reason, gpointer user_data);
	/* Addresses of the URL's host (A and AAAA, port = an announced or guessed STUN port).
	 * Called as soon as the name is resolved (guess: 3478) and again when hello announces
	 * others. stun: WgEndpoint array, the complete list each time. */
	void (*stun_servers)(const WgEndpoint *stun, gsize n, gpointer user_data);
	/* Presence of a mutually interested peer. All known-online peers are reported offline
	 * implicitly when the connection is lost (no calls). */
	void (*presence)(const WgKey *peer, gboolean online, gpointer user_data);
	/* A sealed body from peer (as the server says: the seal proves it). */
	void (*message)(const WgKey *peer, const guint8 *body, gsize len, gpointer user_data);
	/* Relays and fresh credentials for them, as the server says: what a URI means, and whether
	 * it may be used, is the callee's to judge. uris: NULL-terminated, 1 to 8. ttl_s: from now,
	 * 1 to 86400. Comes before the first presence, and again in time; those of before stay
	 * good for their own life. May be NULL. */
	void (*turn)(const char *const *uris, const char *username, const char *password,
		     guint ttl_s, gpointer user_data);
	/* The server sees the peer's connection come from this address (without port): an
	 * independent word on one that the peer may claim. Comes before presence(); may be NULL. */
	void (*seen)(const WgKey *peer, const WgEndpoint *address, gpointer user_data);
} NatSignalFuncs;

/* url: ws:// or wss://, host and port. state_dir: where last good addresses are kept (file named by
 * the public key); may be NULL. Does nothing before _start. */
NatSignalClient *nat_signal_client_new(const char *url, const WgKey *private_key, guint32 fwmark,
				       const char *state_dir, const NatSignalFuncs *funcs,
				       gpointer user_data, GError **error);
void nat_signal_client_free(NatSignalClient *client); /* closes at once */
void nat_signal_client_start(NatSignalClient *client);
/* Drops a wait and tries now (network changed). A connection stays unless `force`, or the server is
 * not heard of within 4 s; nor does a clone go away by itself. */
void nat_signal_client_kick(NatSignalClient *client, gboolean force);
void nat_signal_client_set_fwmark(NatSignalClient *client, guint32 fwmark);
/* Interest is remembered and sent incrementally; after a reconnect all of it again. */
void nat_signal_client_add_interest(NatSignalClient *client, const WgKey *peer);
void nat_signal_client_remove_interest(NatSignalClient *client, const WgKey *peer);
/* Sends a sealed body. FALSE when not connected (nothing is queued: the session machine sends its
 * snapshot again). May be called right from logging_in(): the server takes messages that follow the
 * interest of the same flight. */
gboolean nat_signal_client_send(NatSignalClient *client, const WgKey *peer, GBytes *body);
/* Asks for fresh TURN credentials (a relay has refused the old ones). The answer is a call of
 * funcs.turn, or none: the server has no relay, or we no mutual peer. FALSE when not connected. The
 * server ends who asks too often, like who sends too much of anything. */
gboolean nat_signal_client_want_turn(NatSignalClient *client);
NatSignalState nat_signal_client_state(NatSignalClient *client);
const char *nat_signal_client_reason(NatSignalClient *client); /* (transfer none) may be NULL */
const char *nat_signal_client_url(NatSignalClient *client);
/* Frames that were malformed or out of place. */
guint64 nat_signal_client_dropped(NatSignalClient *client);
const char *nat_signal_state_to_string(NatSignalState state);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatSignalClient, nat_signal_client_free)
