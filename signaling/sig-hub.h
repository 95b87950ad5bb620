/* SPDX-License-Identifier: MIT */
/*
 * SigHub: what all connections of one server share. Filled by the server before the first
 * connection and outlives the last; one thread.
 */
#pragma once

#include "signaling/sig-address.h"
#include "signaling/sig-auth.h"
#include "signaling/sig-config.h"
#include "signaling/sig-directory.h"
#include "signaling/sig-gate.h"
#include "signaling/sig-ratelimit.h"
#include "signaling/sig-turn.h"
#include "signaling/sig-wheel.h"

#define SIG_HUB_CLOSES 16 /* more than there are close codes */

typedef struct {
	guint64 accepted;	 /* TCP connections taken */
	guint64 turned_away;	 /* closed at once: too many not logged in, or too many at all */
	guint64 connect_limited; /* of those, because their address has too many or is too fast */
	guint64 logins;		 /* good ones */
	guint64 refused;	 /* connections that ended with an error frame */
	guint64 closed[SIG_HUB_CLOSES]; /* of those, by sig_close_index() */
	guint64 drained;		/* connections told to come back */
	guint64 routed;			/* messages delivered to a queue */
	guint64 unavailable;		/* messages that were not */
	guint64 rate_limited;		/* of those, because the sender was too fast */
	guint64 address_limited;	/* of those, because the sender's address was */
	guint64 destination_limited;	/* of those, because too many came for the receiver */
	guint64 queue_full;		/* of those, because the receiver's queue had no room */
} SigStats;

typedef struct {
	SigLimits limits;
	guint16 stun[SIG_WIRE_STUN_MAX]; /* ports really bound */
	guint n_stun;
	SigAuth *auth;
	SigDirectory *directory;
	SigGate *gate;
	SigAddresses *addresses;
	SigRateLimit *frames; /* by key */
	SigRateLimit *logs;   /* one bucket: refusals are logged, floods of them are not */
	SigWheel *wheel;
	SigWheel *turn_wheel; /* when credentials are to be renewed; another owner's timers */
	const SigTurn *turn;  /* NULL: no relays; set after sig_hub_new(), not owned */
	/* The transport sets both before it calls into a connection. */
	gint64 now;	/* µs, monotonic */
	gint64 clock;	/* s since 1970: what credentials expire by */
	GQueue leaving; /* connections that are closing and still in the directory (sig-conn.c) */
	SigStats stats;
	/* The connection of this transport has something to write: called once, until the
	 * transport takes notice (sig_conn_set_writer()). */
	void (*wake)(gpointer transport);
	/* Whether a proved key may log in (sig_admit_check()); NULL: any may. Set after
	 * sig_hub_new(). */
	gboolean (*admit)(const WgKey *key, const WgEndpoint *address, gboolean from_here,
			  const SigScope **scope, const char **why, gpointer user_data);
	gpointer admit_data;
	gboolean log_addresses;
} SigHub;

SigHub *sig_hub_new(const SigLimits *limits, const char *const *names,
		    void (*wake)(gpointer transport));
void sig_hub_free(SigHub *hub);
/* Whether a connection that has come, beside n_open others, may stay: it has its place in the gate
 * then. Counted in stats. */
gboolean sig_hub_admit(SigHub *hub, guint n_open, const WgEndpoint *from);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigHub, sig_hub_free)
