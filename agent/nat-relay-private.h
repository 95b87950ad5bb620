/* SPDX-License-Identifier: MIT */
/* What nat-relay.c and nat-relay-{servers,leg,round,bridge}.c share. */
#pragma once

#include "agent/nat-relay.h"
#include "agent/nat-resolve.h"

typedef struct NatRelayLeg NatRelayLeg;

/* A listed server. */
typedef struct {
	NatRelay *relay;
	NatTurnUri *uri;
	NatLookup *lookup; /* NULL: a numeric host */
	GArray *addrs;	   /* of WgEndpoint */
	char *problem;	   /* why there are none */
	char *failure;	   /* how its last attempt ended, when badly */
} NatRelayServer;

GPtrArray *nat_relay_servers_new(void);
/* Whether they are the present ones, credentials included. */
gboolean nat_relay_servers_are(const NatRelay *relay, const GPtrArray *uris);
void nat_relay_servers_replace(NatRelay *relay, const GPtrArray *uris);
/* How an attempt at the leg's server ended; reason NULL: well. */
void nat_relay_servers_note(NatRelay *relay, const NatRelayLeg *leg, const char *reason);
void nat_relay_servers_resolve(NatRelay *relay); /* afresh; what is known serves meanwhile */

/*
 * An allocation or the attempt at one: a NatTurn and the bridges through it.
 *
 *     TRYING → UP → OLD → (freed)        OLD: replaced; serves until nobody bridges, 10 s at most
 *         ↘ (freed)    ↘ (freed)
 */
typedef enum {
	NAT_RELAY_LEG_TRYING,
	NAT_RELAY_LEG_UP,
	NAT_RELAY_LEG_OLD,
} NatRelayLegState;

struct NatRelayLeg {
	NatRelay *relay;
	NatRelayLegState state;
	NatTurnUri *uri; /* with the transport it uses */
	char *label;	 /* of uri, without credentials */
	WgEndpoint server, source;
	guint32 fwmark;
	NatTurn *turn;
	gboolean refused;   /* UP, and the server does not renew it: to be replaced */
	GPtrArray *bridges; /* of NatRelayBridge, not owned */
	gint64 up_us;
	guint end_timer;
};

NatRelayLeg *nat_relay_leg_new(NatRelay *relay, const NatTurnUri *uri, const WgEndpoint *server);
void nat_relay_leg_free(NatRelayLeg *leg); /* its bridges are lost */
/* UP; the server will not renew it: it ends with its lifetime. */
void nat_relay_leg_refused(NatRelayLeg *leg);
void nat_relay_leg_retire(NatRelayLeg *leg); /* UP → OLD */
/* A bridge of it has gone. */
void nat_relay_leg_check_end(NatRelayLeg *leg);
/* Whether the kernel would send to the server from another address now. */
gboolean nat_relay_leg_is_stale(const NatRelayLeg *leg);
/* Whether the leg's server is still listed. */
gboolean nat_relay_servers_list(const NatRelay *relay, const NatRelayLeg *leg);
void nat_relay_bridge_lost(NatRelayBridge *bridge);

/*
 * A round: the attempts at one allocation. UDP first, the first listed first; TCP and TLS when it
 * takes too long. The first that succeeds ends it.
 */
typedef struct NatRelayRound NatRelayRound;
NatRelayRound *nat_relay_round_new(NatRelay *relay);
void nat_relay_round_free(NatRelayRound *round); /* its attempts are given up */
/* Servers have got addresses, or it is known that they have none. */
void nat_relay_round_plan(NatRelayRound *round);
/* From a leg in TRYING. */
void nat_relay_round_failed(NatRelayRound *round, NatRelayLeg *leg, NatTurnFailure failure,
			    const char *reason);
/* TRUE: the leg is the caller's now; free the round. */
gboolean nat_relay_round_steal(NatRelayRound *round, NatRelayLeg *leg);
gboolean nat_relay_round_is_stale(const NatRelayRound *round);

struct NatRelay {
	char *ifname;
	NatResolve *resolve;
	guint32 fwmark;
	guint keepalive_s; /* 0: not said */
	NatRelayFuncs funcs;
	gpointer user_data;
	GPtrArray *servers; /* of NatRelayServer */
	gboolean wanted;
	gboolean replace;     /* `current` is to be replaced */
	NatRelayLeg *current; /* UP; the one to publish */
	NatRelayLeg *old;     /* OLD */
	NatRelayRound *round; /* NULL: not allocating */
	guint failures;	      /* rounds in a row */
	guint retry_timer;    /* waits for the next round */
	guint idle_timer;     /* not wanted: until it is given back */
	guint tell_idle;      /* callbacks that are due: */
	gboolean tell_changed, tell_credentials;
	guint64 dropped; /* by legs that have gone */
	char *problem;
	GHashTable *permits; /* owner → GArray of WgEndpoint */
};

/* The last attempt of a round failed. (problem: transfer full) */
void nat_relay_round_over(NatRelay *relay, char *problem_take, gboolean credentials);
/* From the leg's NatTurn, which may be freed inside. */
void nat_relay_leg_came_up(NatRelay *relay, NatRelayLeg *leg);
void nat_relay_leg_went_down(NatRelay *relay, NatRelayLeg *leg, NatTurnFailure failure,
			     const char *reason);
/* An OLD or refused leg's time is over: frees it. */
void nat_relay_leg_ended(NatRelay *relay, NatRelayLeg *leg);
NatRelayLeg *nat_relay_leg_of(const NatRelay *relay, const WgEndpoint *relayed);
/* Looks at what is wanted and what is there. */
void nat_relay_update(NatRelay *relay);
