/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. MapFind looks for the gateway's services. Then, when a mapping is wanted,
 * for one service after the other until one grants it:
 *
 *     ADDRESS (what is the router's?) → LOOK (whose is that port?) → ADD → VERIFY (is it ours?)
 *
 * IGD 1 replaces what is mapped to us and declines what is another's (718), most routers; some
 * replace whatever is there: so LOOK. A port that is another's is passed over for a random one, a
 * few times. IGD 2 finds a free one by itself (AddAnyPortMapping). VERIFY, and again each two
 * minutes, because UPnP has neither nonce nor clock: the router may have given the port to somebody
 * else since. What was added is `pending` until then. IPv6 has a firewall instead of a NAT:
 *
 *     FIREWALL (is there one, may we?) → ADD (AddPinhole) … VERIFY (is it there?), RENEW at half
 * its life
 */
#include "agent/portmap/map-upnp.h"

#include <string.h>

#include "agent/portmap/map-find.h"
#include "agent/portmap/map-http.h"
#include "agent/portmap/map-soap.h"

#define TRIES_MAX 5 /* ports */
#define CHECK_S 120
#define MISSES_MAX 2
#define RETRY_MIN_S 60
#define RETRY_MAX_S 3600
#define CHECK_US G_USEC_PER_SEC

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

static gboolean on_timer(gpointer user_data);
static void ask_port(MapUpnp *upnp);
static void ask_again(MapUpnp *upnp);
static void search(MapUpnp *upnp);

static gboolean
is_v6(const MapUpnp *upnp)
{
	return wg_endpoint_family(&upnp->place.own) == AF_INET6;
}

/* ---- state ---- */

static void
set_state(MapUpnp *upnp, MapUpnpState state, const char *problem)
{
	gboolean news = state != upnp->state || g_strcmp0(problem, upnp->problem) != 0;

	upnp->state = state;
	upnp->problem = problem;
	if (news)
		upnp->changed(upnp->user_data);
}

static void
schedule(MapUpnp *upnp, guint ms)
{
	g_clear_handle_id(&upnp->timer, g_source_remove);
	upnp->timer = g_timeout_add(ms, on_timer, upnp);
}

static void
stop(MapUpnp *upnp)
{
	upnp->step = STEP_NONE;
	g_clear_handle_id(&upnp->timer, g_source_remove);
	g_clear_pointer(&upnp->http, map_http_cancel);
	g_clear_pointer(&upnp->find, map_find_cancel);
}

/* What is no longer pending, and was neither held nor declined, is owed: whoever follows
 * map_upnp_pending() sees it go. */
static void
set_pending(MapUpnp *upnp, const MapGrant *pending)
{
	gboolean news = memcmp(pending, &upnp->pending, sizeof *pending) != 0;

	upnp->pending = *pending;
	if (news)
		upnp->changed(upnp->user_data);
}

static void
forget_pending(MapUpnp *upnp)
{
	static const MapGrant NONE;

	set_pending(upnp, &NONE);
}

static void
give_up(MapUpnp *upnp, MapUpnpState state, const char *problem)
{
	guint pause = MIN(RETRY_MIN_S << MIN(upnp->failures, 6u), RETRY_MAX_S);

	stop(upnp);
	upnp->failures++;
	memset(&upnp->grant, 0, sizeof upnp->grant);
	forget_pending(upnp);
	schedule(upnp, pause * 1000);
	set_state(upnp, state, problem);
}

/* ---- SOAP ---- */

static const MapService *
service(const MapUpnp *upnp)
{
	return &upnp->services[upnp->service];
}

/* The next service, or the end. */
static void
declined(MapUpnp *upnp, guint fault, const char *problem)
{
	if (!problem)
		problem = map_codec_code_to_string(MAP_UPNP, fault);
	if (upnp->service + 1 >= upnp->n_services) {
		give_up(upnp, MAP_UPNP_REFUSED, problem);
		return;
	}
	upnp->service++;
	ask_again(upnp);
}

/* What is asked for, as if it were granted now. */
static MapGrant
asked_grant(const MapUpnp *upnp)
{
	MapGrant grant;

	memset(&grant, 0, sizeof grant); /* with its padding: grants are compared as bytes */
	grant.protocol = MAP_UPNP;
	grant.external = upnp->asked;
	grant.lifetime_s = upnp->lease_s ? map_codec_clamp_lifetime(upnp->lease_s) : 0;
	grant.at_us = g_get_monotonic_time();
	grant.unique_id = upnp->unique_id;
	grant.control_port = service(upnp)->port;
	memcpy(grant.control_path, service(upnp)->path, sizeof grant.control_path);
	g_strlcpy(grant.service, map_service_type(service(upnp)->kind), sizeof grant.service);
	return grant;
}

/* It is asked for, or made, but not known to be ours. */
static void
await(MapUpnp *upnp, gboolean unsure)
{
	MapGrant pending = asked_grant(upnp);

	pending.unsure = unsure;
	if (!map_grant_is_set(&upnp->grant) || !map_grant_same_mapping(&pending, &upnp->grant))
		set_pending(upnp, &pending);
}

static void
hold(MapUpnp *upnp)
{
	MapGrant grant = asked_grant(upnp);
	gboolean news = !wg_endpoint_equal(&grant.external, &upnp->grant.external);

	if (upnp->state == MAP_UPNP_HELD && !news && upnp->step == STEP_VERIFY && upnp->tries == 0)
		grant.at_us = upnp->grant.at_us; /* only looked at */
	stop(upnp);
	upnp->grant = grant;
	upnp->failures = upnp->misses = 0;
	forget_pending(upnp);
	schedule(upnp, CHECK_S * 1000);
	if (news && upnp->state == MAP_UPNP_HELD)
		upnp->changed(upnp->user_data);
	set_state(upnp, MAP_UPNP_HELD, NULL);
}

static void
other_port(MapUpnp *upnp, guint fault)
{
	if (++upnp->tries >= TRIES_MAX) {
		declined(upnp, fault, NULL);
		return;
	}
	wg_endpoint_set_port(&upnp->asked, (guint16)g_random_int_range(20000, 60000));
	ask_port(upnp);
}

static gboolean
is_ours(const MapUpnp *upnp, const MapReply *reply)
{
	return wg_endpoint_equal(&reply->client, &upnp->place.own);
}

static void on_reply(guint status, const char *body, gsize len, const char *problem,
		     gpointer user_data);

/* request (transfer full) */
static void
ask(MapUpnp *upnp, Step step, char *request)
{
	upnp->step = step;
	upnp->http = map_http_start(&upnp->place, service(upnp)->port, request, on_reply, upnp);
	if (!upnp->http)
		give_up(upnp, MAP_UPNP_REFUSED, "the router's UPnP cannot be asked");
}

static void
ask_entry(MapUpnp *upnp, Step step)
{
	ask(upnp, step,
	    map_soap_get_entry(&upnp->place, service(upnp), wg_endpoint_port(&upnp->asked)));
}

static void
add(MapUpnp *upnp)
{
	/* told before it leaves: an answer that is lost must not hide what was made */
	await(upnp, TRUE);
	ask(upnp, STEP_ADD,
	    is_v6(upnp) ? map_soap_add_pinhole(&upnp->place, service(upnp), upnp->lease_s)
			: map_soap_add(&upnp->place, service(upnp), wg_endpoint_port(&upnp->asked),
				       upnp->lease_s));
}

static void
ask_port(MapUpnp *upnp)
{
	ask_entry(upnp, STEP_LOOK);
}

/* From the start, with the present service: what is held is asked for again. */
static void
ask_again(MapUpnp *upnp)
{
	guint16 port = wg_endpoint_port(map_grant_is_set(&upnp->grant) ? &upnp->grant.external
								       : &upnp->place.own);

	upnp->tries = 0;
	upnp->lease_s = MAP_LIFETIME_S;
	if (is_v6(upnp)) {
		upnp->asked = upnp->place.own;
		ask(upnp, STEP_FIREWALL, map_soap_get_firewall(&upnp->place, service(upnp)));
		return;
	}
	memset(&upnp->asked, 0, sizeof upnp->asked);
	upnp->asked.sa.sa_family = AF_INET;
	wg_endpoint_set_port(&upnp->asked, port);
	ask(upnp, STEP_ADDRESS, map_soap_get_address(&upnp->place, service(upnp)));
}

/* ---- what is answered ---- */

static void
took_address(MapUpnp *upnp, const MapReply *reply)
{
	guint16 port = wg_endpoint_port(&upnp->asked);

	/* a service without an address is one that is not connected */
	if (!wg_endpoint_is_set(&reply->external_address) ||
	    wg_endpoint_family(&reply->external_address) != AF_INET) {
		declined(upnp, reply->fault, MAP_NO_ADDRESS);
		return;
	}
	upnp->asked = reply->external_address;
	wg_endpoint_set_port(&upnp->asked, port);
	ask_port(upnp);
}

static void
took_look(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->fault == 0 && wg_endpoint_is_set(&reply->client) && !is_ours(upnp, reply))
		other_port(upnp, MAP_FAULT_CONFLICT);
	else
		add(upnp); /* it is free, or ours, or the router does not tell */
}

static void
took_add(MapUpnp *upnp, const MapReply *reply)
{
	switch (reply->fault) {
	case 0:
		if (service(upnp)->kind == MAP_SERVICE_IP2 && reply->reserved_port != 0)
			wg_endpoint_set_port(&upnp->asked, reply->reserved_port);
		upnp->tries = MAX(upnp->tries, 1); /* it was made, not only looked at */
		await(upnp, FALSE);
		ask_entry(upnp, STEP_VERIFY);
		break;
	case MAP_FAULT_PERMANENT_ONLY:
		if (upnp->lease_s == 0) {
			declined(upnp, reply->fault, NULL);
			break;
		}
		upnp->lease_s = 0;
		add(upnp);
		break;
	case MAP_FAULT_CONFLICT:
	case MAP_FAULT_NO_FREE_PORT:
		other_port(upnp, reply->fault);
		break;
	default:
		declined(upnp, reply->fault, NULL);
	}
}

/* ---- IPv6: a hole in the router's firewall, known by its id ---- */

static void
took_firewall(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->firewall_off)
		give_up(upnp, MAP_UPNP_ABSENT, NULL);
	else if (reply->no_pinholes)
		declined(upnp, MAP_FAULT_PINHOLES_FORBIDDEN, NULL);
	else
		add(upnp);
}

static void
took_pinhole(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->fault == MAP_FAULT_FIREWALL_OFF) {
		give_up(upnp, MAP_UPNP_ABSENT, NULL);
	} else if (reply->fault != 0 || !reply->has_unique_id) {
		declined(upnp, reply->fault, NULL);
	} else {
		upnp->unique_id = reply->unique_id;
		hold(upnp);
	}
}

/* That it may not be looked at is no proof that it is gone; its life is. */
static void
took_pinhole_check(MapUpnp *upnp, const MapReply *reply)
{
	if (reply->fault == MAP_FAULT_NO_PINHOLE || (upnp->step == STEP_RENEW && reply->fault != 0))
		ask_again(upnp);
	else
		hold(upnp);
}

/* ---- */

static void
took_verify(MapUpnp *upnp, const MapReply *reply)
{
	gboolean looking = upnp->tries == 0;

	if (reply->fault != 0 || !is_ours(upnp, reply)) {
		if (!looking) {
			declined(upnp, reply->fault,
				 "the router says it has mapped the port, and has not");
			return;
		}
		/* it is gone: asked for again, from the address on */
		ask_again(upnp);
		return;
	}
	/* what it believes of the time that is left (IGD 1 may tell what was asked for) */
	if (reply->has_lease && !looking)
		upnp->lease_s = reply->lease_s;
	hold(upnp);
}

static void
on_reply(guint status, const char *body, gsize len, const char *problem, gpointer user_data)
{
	MapUpnp *upnp = user_data;
	MapReply reply;

	upnp->http = NULL;
	if (status != 0 && !map_soap_reply(status, body, len, &reply))
		problem = "the router's UPnP answers nonsense";
	if (problem) {
		/* it may have been started anew, at another port: it is searched for */
		if (map_grant_is_set(&upnp->grant) && upnp->misses++ < MISSES_MAX)
			search(upnp);
		else
			give_up(upnp, MAP_UPNP_REFUSED, problem);
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
		(is_v6(upnp) ? took_pinhole : took_add)(upnp, &reply);
		break;
	case STEP_VERIFY:
		(is_v6(upnp) ? took_pinhole_check : took_verify)(upnp, &reply);
		break;
	case STEP_RENEW:
		took_pinhole_check(upnp, &reply);
		break;
	case STEP_NONE:
	case STEP_SEARCH:
		break;
	}
}

/* ---- the way to it ---- */

static void
on_found(const MapService *services, guint n, const char *problem, gpointer user_data)
{
	MapUpnp *upnp = user_data;

	upnp->find = NULL;
	if (n == 0) {
		give_up(upnp, problem ? MAP_UPNP_REFUSED : MAP_UPNP_ABSENT, problem);
		return;
	}
	memcpy(upnp->services, services, n * sizeof *services);
	upnp->n_services = n;
	upnp->step = STEP_NONE;
	upnp->service = 0;
	if (upnp->wanted) {
		set_state(upnp, MAP_UPNP_ASKING, NULL);
		ask_again(upnp);
	} else {
		set_state(upnp, MAP_UPNP_READY, NULL);
	}
}

static void
search(MapUpnp *upnp)
{
	stop(upnp);
	upnp->find = map_find_start(&upnp->place, upnp->ssdp_port, on_found, upnp);
	if (!upnp->find) {
		give_up(upnp, MAP_UPNP_ABSENT, NULL);
		return;
	}
	upnp->step = STEP_SEARCH;
	set_state(upnp, MAP_UPNP_LOOKING, NULL);
}

static gboolean
needs_renewal(const MapUpnp *upnp)
{
	return map_grant_left_s(&upnp->grant, g_get_monotonic_time()) <= upnp->grant.lifetime_s / 2;
}

static void
look_at_pinhole(MapUpnp *upnp)
{
	const MapService *at = service(upnp);

	if (!needs_renewal(upnp)) {
		ask(upnp, STEP_VERIFY, map_soap_get_pinhole(&upnp->place, at, upnp->unique_id));
		return;
	}
	upnp->lease_s = MAP_LIFETIME_S;
	ask(upnp, STEP_RENEW,
	    map_soap_update_pinhole(&upnp->place, at, upnp->unique_id, upnp->lease_s));
}

static void
look_again(MapUpnp *upnp)
{
	upnp->asked = upnp->grant.external;
	upnp->lease_s = upnp->grant.lifetime_s;
	upnp->tries = 0;
	if (is_v6(upnp)) {
		look_at_pinhole(upnp);
		return;
	}
	if (upnp->grant.lifetime_s != 0 && needs_renewal(upnp))
		ask_again(upnp);
	else
		ask_entry(upnp, STEP_VERIFY);
}

static gboolean
on_timer(gpointer user_data)
{
	MapUpnp *upnp = user_data;

	upnp->timer = 0;
	if (map_grant_is_set(&upnp->grant))
		look_again(upnp);
	else
		search(upnp);
	return G_SOURCE_REMOVE;
}

/* ---- life ---- */

MapUpnp *
map_upnp_new(const MapPlace *place, guint16 ssdp_port, MapUpnpFunc changed, gpointer user_data)
{
	MapUpnp *upnp = g_new0(MapUpnp, 1);

	upnp->place = *place;
	upnp->ssdp_port = ssdp_port;
	upnp->changed = changed;
	upnp->user_data = user_data;
	return upnp;
}

void
map_upnp_free(MapUpnp *upnp)
{
	if (!upnp)
		return;
	stop(upnp);
	g_free(upnp);
}

/* The service that it was made by is asked, without a search. */
static gboolean
adopt(MapUpnp *upnp, const MapGrant *kept)
{
	MapService *only = &upnp->services[0];

	if (!map_service_from_type(kept->service, &only->kind) || kept->control_port == 0)
		return FALSE;
	only->port = kept->control_port;
	memcpy(only->path, kept->control_path, sizeof only->path);
	upnp->n_services = 1;
	upnp->service = 0;
	upnp->grant = *kept;
	upnp->unique_id = kept->unique_id;
	upnp->state = MAP_UPNP_HELD;
	return TRUE;
}

void
map_upnp_start(MapUpnp *upnp, const MapGrant *kept)
{
	if (kept && adopt(upnp, kept))
		look_again(upnp);
	else
		search(upnp);
}

void
map_upnp_want(MapUpnp *upnp, gboolean want)
{
	gboolean idle = upnp->step == STEP_NONE && !upnp->http;

	if (want == upnp->wanted)
		return;
	upnp->wanted = want;
	if (want && idle && upnp->state == MAP_UPNP_READY) {
		set_state(upnp, MAP_UPNP_ASKING, NULL);
		ask_again(upnp);
	} else if (!want && (map_grant_is_set(&upnp->grant) || upnp->step >= STEP_ADDRESS)) {
		stop(upnp);
		memset(&upnp->grant, 0, sizeof upnp->grant);
		forget_pending(upnp);
		set_state(upnp, MAP_UPNP_READY, NULL);
	}
}

void
map_upnp_check(MapUpnp *upnp)
{
	gint64 now = g_get_monotonic_time();

	if (upnp->step != STEP_NONE || now - upnp->checked_us < CHECK_US)
		return;
	upnp->checked_us = now;
	g_clear_handle_id(&upnp->timer, g_source_remove);
	if (map_grant_is_set(&upnp->grant))
		look_again(upnp);
	else if (upnp->state != MAP_UPNP_READY)
		search(upnp);
}

MapUpnpState
map_upnp_state(const MapUpnp *upnp)
{
	return upnp->state;
}

const MapGrant *
map_upnp_grant(const MapUpnp *upnp)
{
	return &upnp->grant;
}

const MapGrant *
map_upnp_pending(const MapUpnp *upnp)
{
	return &upnp->pending;
}

const char *
map_upnp_problem(const MapUpnp *upnp)
{
	return upnp->problem;
}
