/* SPDX-License-Identifier: MIT */
/*
 * MapClient: a mapping of WireGuard's port at one gateway by PCP, or by NAT-PMP where it has no
 * PCP: asked for, renewed at half its life, asked for again where the gateway has forgotten it.
 * Host thread only; callbacks come from the main loop.
 */
#pragma once

#include "agent/portmap/map-gateway.h"
#include "agent/portmap/map-grant.h"

typedef struct MapClient MapClient;

typedef enum {
	MAP_CLIENT_ASKING,
	MAP_CLIENT_HELD,
	MAP_CLIENT_REFUSED, /* map_client_problem() has why */
	MAP_CLIENT_SILENT,
} MapClientState;

/* The state, or what is held, is another. The client must not be freed inside. */
typedef void (*MapClientFunc)(gpointer user_data);

/* server_port: MAP_CODEC_PORT; for tests another. Nothing is sent before map_client_start(). */
MapClient *map_client_new(const MapPlace *place, guint16 server_port, MapClientFunc changed,
			  gpointer user_data);
/* Stops; what is held stays at the gateway. */
void map_client_free(MapClient *client);
/* kept: what an earlier run has held at this place, which is taken for true until the gateway says
 * otherwise; NULL: nothing. */
void map_client_start(MapClient *client, const MapGrant *kept);
/* Before the start: a mapping of ours that may be there is asked for again, by its nonce. */
void map_client_wish(MapClient *client, const MapGrant *old);
/* Something may have happened to the gateway, or to us: it is asked whether all is as it was. At
 * most once a second. */
void map_client_check(MapClient *client);
/* Whether anything of PCP or NAT-PMP has ever come from there. */
gboolean map_client_has_answered(const MapClient *client);
/* Nothing is sent any more until it resumes. */
void map_client_pause(MapClient *client);
void map_client_resume(MapClient *client); /* where it is paused: asks at once */
MapClientState map_client_state(const MapClient *client);
/* PCP or NAT-PMP has not answered, nor been refused; something else may be tried meanwhile. */
gboolean map_client_is_waiting(const MapClient *client);
const MapGrant *map_client_grant(const MapClient *client); /* not set: nothing is held */
const char *map_client_problem(const MapClient *client);   /* one line; NULL: none; static */
guint64 map_client_dropped(const MapClient *client);	   /* answers that were none of ours */
