/* SPDX-License-Identifier: MIT */
/* What map-upnp.c and map-upnp-answer.c share. */
#pragma once

#include "agent/portmap/map-find.h"
#include "agent/portmap/map-http.h"
#include "agent/portmap/map-soap.h"
#include "agent/portmap/map-upnp.h"

typedef enum {
	STEP_NONE,
	STEP_SEARCH,
	STEP_ADDRESS,
	STEP_LOOK,
	STEP_ADD,
	STEP_VERIFY,
	STEP_FIREWALL, /* IPv6, as the next */
	STEP_RENEW
} Step;

struct MapUpnp {
	MapPlace place;
	guint16 ssdp_port;
	MapUpnpFunc changed;
	gpointer user_data;
	MapUpnpState state;
	const char *problem;
	gboolean wanted;
	MapGrant grant;
	MapGrant pending; /* asked for, and not known to be ours, nor not to be */
	MapGrant unmade;  /* asked for, and the router has declined */

	Step step;
	MapFind *find;
	guint timer, failures;
	guint misses; /* questions about what is held that were not answered */
	MapHttp *http;
	MapService services[MAP_XML_SERVICES];
	guint n_services, service, tries;
	WgEndpoint asked;  /* the mapping that is being made: the router's address, and a port */
	guint16 unique_id; /* IPv6 */
	guint32 lease_s;
	gint64 checked_us;
};

/* map-upnp.c */
gboolean map_upnp_is_v6(const MapUpnp *upnp);
const MapService *map_upnp_service(const MapUpnp *upnp); /* that is asked now */
void map_upnp_search(MapUpnp *upnp);
/* request (transfer full); the answer comes to map_upnp_on_reply(). */
void map_upnp_ask(MapUpnp *upnp, Step step, char *request);
void map_upnp_ask_again(MapUpnp *upnp); /* from the address on, at the present service */
void map_upnp_ask_port(MapUpnp *upnp);	/* from the port on */
void map_upnp_ask_entry(MapUpnp *upnp, Step step);
void map_upnp_add(MapUpnp *upnp);
/* It is asked for (unsure), or made, but not known to be ours. */
void map_upnp_await(MapUpnp *upnp, gboolean unsure);
void map_upnp_unmake(MapUpnp *upnp); /* what was asked for has not been made, it says */
void map_upnp_hold(MapUpnp *upnp);   /* what was asked for */
/* The next service, or the end. problem NULL: what the fault means. */
void map_upnp_declined(MapUpnp *upnp, guint fault, const char *problem);
/* For a minute, or longer. */
void map_upnp_give_up(MapUpnp *upnp, MapUpnpState state, const char *problem);

/* map-upnp-answer.c: as MapHttpFunc */
void map_upnp_on_reply(guint status, const char *body, gsize len, const char *problem,
		       gpointer user_data);
