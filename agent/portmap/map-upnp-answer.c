/* SPDX-License-Identifier: MIT */
/* What is made of the router's answers, step by step; see map-upnp.c. */
#include "agent/portmap/map-upnp-private.h"

#define TRIES_MAX 5 /* ports */
#define MISSES_MAX 2

static void
other_port(MapUpnp *upnp, guint fault)
{
	if (++upnp->tries >= TRIES_MAX) {
		map_upnp_declined(upnp, fault, NULL);
		return;
	}
	wg_endpoint_set_port(&upnp->asked, (guint16)g_random_int_range(20000, 60000));
	map_upnp_ask_port(upnp);
}

static gboolean
is_ours(const MapUpnp *upnp, const MapReply *reply)
{
	return wg_endpoint_equal(&reply->client, &upnp->place.own);
}

/* ---- what is answered ---- */

static void
took_address(MapUpnp *upnp, const MapReply *reply)
{
	guint16 port = wg_endpoint_port(&upnp->asked);

	/* a service without an address is one that is not connected */
	if (!wg_endpoint_is_set(&reply->external_address) ||
	    wg_endpoint_family(&reply->external_address) != AF_INET) {
		map_upnp_declined(upnp, reply->fault, MAP_NO_ADDRESS);
		return;
	}
	upnp->asked = reply->external_address;
	wg_endpoint_set_port(&upnp->asked, port);
	map_upnp_ask_port(upnp);
}

static void
took_look(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->fault == 0 && wg_endpoint_is_set(&reply->client) && !is_ours(upnp, reply))
		other_port(upnp, MAP_FAULT_CONFLICT);
	else
		map_upnp_add(upnp); /* it is free, or ours, or the router does not tell */
}

static void
took_add(MapUpnp *upnp, const MapReply *reply)
{
	switch (reply->fault) {
	case 0:
		if (map_upnp_service(upnp)->kind == MAP_SERVICE_IP2 && reply->reserved_port != 0)
			wg_endpoint_set_port(&upnp->asked, reply->reserved_port);
		upnp->tries = MAX(upnp->tries, 1); /* it was made, not only looked at */
		map_upnp_await(upnp, FALSE);
		map_upnp_ask_entry(upnp, STEP_VERIFY);
		break;
	case MAP_FAULT_PERMANENT_ONLY:
		if (upnp->lease_s == 0) {
			map_upnp_declined(upnp, reply->fault, NULL);
			break;
		}
		upnp->lease_s = 0;
		map_upnp_add(upnp);
		break;
	case MAP_FAULT_CONFLICT:
	case MAP_FAULT_NO_FREE_PORT:
		other_port(upnp, reply->fault);
		break;
	default:
		map_upnp_declined(upnp, reply->fault, NULL);
	}
}

/* ---- IPv6: a hole in the router's firewall, known by its id ---- */

static void
took_firewall(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->firewall_off)
		map_upnp_give_up(upnp, MAP_UPNP_ABSENT, NULL);
	else if (reply->no_pinholes)
		map_upnp_declined(upnp, MAP_FAULT_PINHOLES_FORBIDDEN, NULL);
	else
		map_upnp_add(upnp);
}

static void
took_pinhole(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->fault == MAP_FAULT_FIREWALL_OFF) {
		map_upnp_give_up(upnp, MAP_UPNP_ABSENT, NULL);
	} else if (reply->fault != 0 || !reply->has_unique_id) {
		map_upnp_declined(upnp, reply->fault, NULL);
	} else {
		upnp->unique_id = reply->unique_id;
		map_upnp_hold(upnp);
	}
}

/* That it may not be looked at is no proof that it is gone; its life is. */
static void
took_pinhole_check(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->fault == MAP_FAULT_NO_PINHOLE || (upnp->step == STEP_RENEW && reply->fault != 0))
		map_upnp_ask_again(upnp);
	else
		map_upnp_hold(upnp);
}

/* ---- */

static void
took_verify(MapUpnp *upnp, const MapReply *reply)
{
	gboolean looking = upnp->tries == 0;

	if (reply->fault != 0 || !is_ours(upnp, reply)) {
		if (!looking) {
			map_upnp_declined(upnp, reply->fault,
					  "the router says it has mapped the port, and has not");
			return;
		}
		/* it is gone: asked for again, from the address on */
		map_upnp_ask_again(upnp);
		return;
	}
	/* what it believes of the time that is left (IGD 1 may tell what was asked for) */
	if (reply->has_lease && !looking)
		upnp->lease_s = reply->lease_s;
	map_upnp_hold(upnp);
}

void
map_upnp_on_reply(guint status, const char *body, gsize len, const char *problem,
		  gpointer user_data)
{
	MapUpnp *upnp = user_data;
	MapReply reply;

	upnp->http = NULL;
	if (status != 0 && !map_soap_reply(status, body, len, &reply))
		problem = "the router's UPnP answers nonsense";
	if (problem) {
		/* it may have been started anew, at another port: it is searched for */
		if (map_grant_is_set(&upnp->grant) && upnp->misses++ < MISSES_MAX)
			map_upnp_search(upnp);
		else
			map_upnp_give_up(upnp, MAP_UPNP_REFUSED, problem);
		return;
	}
	switch (upnp->step) {
	case STEP_ADDRESS:
		took_address(upnp, &reply);
		break;
	case STEP_LOOK:
		took_look(upnp, &reply);
		break;
	case STEP_FIREWALL:
		took_firewall(upnp, &reply);
		break;
	case STEP_ADD:
		if (reply.fault != 0)
			map_upnp_unmake(upnp);
		(map_upnp_is_v6(upnp) ? took_pinhole : took_add)(upnp, &reply);
		break;
	case STEP_VERIFY:
		(map_upnp_is_v6(upnp) ? took_pinhole_check : took_verify)(upnp, &reply);
		break;
	case STEP_RENEW:
		took_pinhole_check(upnp, &reply);
		break;
	case STEP_NONE:
	case STEP_SEARCH:
		break;
	}
}
