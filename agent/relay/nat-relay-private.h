/* SPDX-License-Identifier: MIT */
/* What nat-relay.c and nat-relay-{seat,servers,leg,round,bridge}.c share. */
#pragma once

#include "agent/net/nat-resolve.h"
#include "agent/relay/nat-relay.h"

typedef struct NatRelayLeg NatRelayLeg;
typedef struct NatRelaySeat NatRelaySeat;

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
/* … whatever their credentials. */
gboolean nat_relay_servers_stay(const NatRelay *relay, const GPtrArray *uris);
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
	NatRelaySeat *seat; /* which it is in, or tries to fill */
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

NatRelayLeg *nat_relay_leg_new(NatRelaySeat *seat, const NatTurnUri *uri, const WgEndpoint *server);
void nat_relay_leg_free(NatRelayLeg *leg); /* its bridges are lost */
/* UP; the server will not renew it: it ends with its lifetime. */
void nat_relay_leg_refused(NatRelayLeg *leg);
void nat_relay_leg_retire(NatRelayLeg *leg); /* UP → OLD */
/* A bridge of it has gone. */
void nat_relay_leg_check_end(NatRelayLeg *leg);
/* Whether the kernel would send to the server from another address now. */
gboolean nat_relay_leg_is_stale(const NatRelayLeg *leg);
/* Whether this is another server than the leg's, not just another way to the same. */
gboolean nat_relay_leg_is_elsewhere(const NatRelayLeg *leg, const NatTurnUri *uri,
				    const WgEndpoint *server);
/* Whether the leg's server is still listed. */
gboolean nat_relay_servers_list(const NatRelay *relay, const NatRelayLeg *leg);
/* Whether another one than the leg's is, or may turn out to be once its name is resolved. */
gboolean nat_relay_servers_have_another(const NatRelay *relay, const NatRelayLeg *leg);
void nat_relay_bridge_lost(NatRelayBridge *bridge);

/*
 * A round: the attempts at one allocation. UDP first, the first listed first; TCP and TLS when it
 * takes too long. The first that succeeds ends it. One for the spare leaves out the main one's
 * server.
 */
typedef struct NatRelayRound NatRelayRound;
NatRelayRound *nat_relay_round_new(NatRelaySeat *seat);
void nat_relay_round_free(NatRelayRound *round); /* its attempts are given up */
/* Servers have got addresses, or it is known that they have none. */
void nat_relay_round_plan(NatRelayRound *round);
/* From a leg in TRYING. */
void nat_relay_round_failed(NatRelayRound *round, NatRelayLeg *leg, NatTurnFailure failure,
			    const char *reason);
/* TRUE: the leg is the caller's now; free the round. */
gboolean nat_relay_round_steal(NatRelayRound *round, NatRelayLeg *leg);
gboolean nat_relay_round_is_stale(const NatRelayRound *round);

/* A place for one allocation (nat-relay-seat.c), and what is done to fill it. */
struct NatRelaySeat {
	NatRelay *relay;
	gboolean wanted;
	gboolean replace;     /* `leg` is to be replaced */
	NatRelayLeg *leg;     /* UP */
	NatRelayLeg *old;     /* OLD */
	NatRelayRound *round; /* NULL: not allocating */
	guint failures;	      /* rounds in a row */
	gboolean refused; /* the last of them, or a leg that did not live long: its credentials */
	gboolean fresh_tried; /* others were tried at once since an allocation lived long */
	guint retry_timer;    /* waits for the next round */
	guint idle_timer;     /* not wanted: until it is given back */
};

void nat_relay_seat_clear(NatRelaySeat *seat);
gboolean nat_relay_seat_is_needed(const NatRelaySeat *seat); /* somebody bridges, or will */
/* It holds an allocation, and there is nothing wrong with it. */
gboolean nat_relay_seat_is_good(const NatRelaySeat *seat);
/* Looks at what is wanted and what is there; may: it may be filled now. */
void nat_relay_seat_update(NatRelaySeat *seat, gboolean may);
void nat_relay_seat_stop(NatRelaySeat *seat); /* does not try to fill it now */
/* Its attempts are to begin anew, without regard to what failed before. */
void nat_relay_seat_restart(NatRelaySeat *seat);
/* The same servers have got other credentials. */
void nat_relay_seat_fresh_credentials(NatRelaySeat *seat);
/* Not for a while: longer each time. */
void nat_relay_seat_pause(NatRelaySeat *seat);
/* The leg was there long enough: what failed before it says nothing any more. */
void nat_relay_seat_forgive(NatRelaySeat *seat, const NatRelayLeg *leg);
/* An UP leg for it (transfer full); the present one goes after it. */
void nat_relay_seat_take(NatRelaySeat *seat, NatRelayLeg *leg);
void nat_relay_seat_retire(NatRelaySeat *seat); /* its allocation goes, gently */
void nat_relay_seat_drop(NatRelaySeat *seat);	/* … at once */
/* Whether its allocation still serves: the list of servers changed; the network did. */
void nat_relay_seat_judge(NatRelaySeat *seat);
void nat_relay_seat_judge_network(NatRelaySeat *seat);

struct NatRelay {
	char *ifname;
	NatResolve *resolve;
	guint32 fwmark;
	guint keepalive_s; /* 0: not said */
	NatRelayFuncs funcs;
	gpointer user_data;
	GPtrArray *servers; /* of NatRelayServer */
	NatRelaySeat main, spare;
	guint tell_idle; /* callbacks that are due: */
	gboolean tell_changed, tell_credentials;
	guint64 dropped;      /* by legs that have gone */
	NatBridgeStats stats; /* the same */
	char *problem;
	GHashTable *permits; /* owner → GArray of WgEndpoint */
	gboolean told_many;  /* that not all of them count */
};

/* nat-relay-seat.c */
/* The last attempt of a round failed. (problem: transfer full) */
void nat_relay_round_over(NatRelaySeat *seat, char *problem_take, gboolean credentials);
/* From the leg's NatTurn, which may be freed inside. */
void nat_relay_leg_came_up(NatRelayLeg *leg);
void nat_relay_leg_went_down(NatRelayLeg *leg, NatTurnFailure failure, const char *reason);
/* An OLD or refused leg's time is over: frees it. */
void nat_relay_leg_ended(NatRelayLeg *leg);

/* nat-relay.c */
NatRelayLeg *nat_relay_leg_of(const NatRelay *relay, const WgEndpoint *relayed);
/* Looks at what is wanted and what is there. */
void nat_relay_update(NatRelay *relay);
void nat_relay_apply_permits(NatRelay *relay, NatRelayLeg *leg);
/* The owner is told soon. */
void nat_relay_tell_changed(NatRelay *relay);
void nat_relay_tell_credentials(NatRelay *relay);
/* Why there is no allocation; NULL: there is one, or nobody needs it. (transfer full) */
void nat_relay_set_problem_take(NatRelay *relay, char *problem);
