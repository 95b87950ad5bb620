/* SPDX-License-Identifier: MIT */
/* What map-client.c and map-client-answer.c share. */
#pragma once

#include "agent/portmap/map-client.h"

typedef enum { ROUND_NONE, ROUND_ASK, ROUND_CHECK } Round;

struct MapClient {
	MapPlace place;
	WgEndpoint server;
	MapClientFunc changed;
	gpointer user_data;
	MapClientState state;
	const char *problem;
	MapGrant grant;
	WgEndpoint wish; /* what is asked for where nothing is held; unset: our own port */
	guint8 nonce[MAP_NONCE_LEN];

	Round round;
	gboolean paused;
	gint64 round_us;
	guint sends, round_drops;
	int fd; /* -1: no round */
	guint watch, timer;
	gboolean pcp_declined, pmp_declined; /* in this round */
	gboolean pcp_seen, pmp_seen;	     /* it has answered in this version, ever */
	WgEndpoint address;		     /* NAT-PMP's, of this round */
	guint16 pmp_port;		     /* that NAT-PMP has mapped in this round; 0: not yet */
	guint32 pmp_lifetime_s;
	MapEpoch epochs[2]; /* by MapProtocol */
	gint64 forgot_us, checked_us;
	guint failures;
	guint64 dropped;
};

/* map-client.c */
void map_client_begin(MapClient *client, Round round);
void map_client_end_round(MapClient *client); /* nothing is waited for any more */
void map_client_set_state(MapClient *client, MapClientState state, const char *problem);
void map_client_schedule(MapClient *client, guint ms);
guint map_client_half_left_ms(const MapClient *client); /* of what is held, bounded */
void map_client_lose(MapClient *client);
/* Nothing, or nothing useful, has come; it is asked again, after at least_s or later. */
void map_client_give_up(MapClient *client, MapClientState state, const char *problem,
			guint32 at_least_s);
gboolean map_client_is_v4(const MapClient *client);
/* What is held is asked about in its own protocol alone. */
gboolean map_client_uses(const MapClient *client, MapProtocol protocol);
gboolean map_client_pmp_may_map(const MapClient *client);
void map_client_ask_pmp(MapClient *client);

/* map-client-answer.c: as GUnixFDSourceFunc */
gboolean map_client_on_readable(gint fd, GIOCondition condition, gpointer user_data);
