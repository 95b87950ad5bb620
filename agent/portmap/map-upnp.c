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
#include "agent/portmap/map-upnp-private.h"

#include <string.h>

#define CHECK_S 120
#define RETRY_MIN_S 60
#define RETRY_MAX_S 3600
#define CHECK_US G_USEC_PER_SEC

static gboolean on_timer(gpointer user_data);

gboolean
map_upnp_is_v6(const MapUpnp *upnp)
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

void
map_upnp_give_up(MapUpnp *upnp, MapUpnpState state, const char *problem)
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

const MapService *
map_upnp_service(const MapUpnp *upnp)
{
	return &upnp->services[upnp->service];
}

/* The next service, or the end. */
void
map_upnp_declined(MapUpnp *upnp, guint fault, const char *problem)
{
	if (!problem)
		problem = map_codec_code_to_string(MAP_UPNP, fault);
	if (upnp->service + 1 >= upnp->n_services) {
		map_upnp_give_up(upnp, MAP_UPNP_REFUSED, problem);
		return;
	}
	upnp->service++;
	map_upnp_ask_again(upnp);
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
	grant.control_port = map_upnp_service(upnp)->port;
	memcpy(grant.control_path, map_upnp_service(upnp)->path, sizeof grant.control_path);
	g_strlcpy(grant.service, map_service_type(map_upnp_service(upnp)->kind),
		  sizeof grant.service);
	return grant;
}

/* It is asked for, or made, but not known to be ours. */
void
map_upnp_await(MapUpnp *upnp, gboolean unsure)
{
	MapGrant pending = asked_grant(upnp);

	pending.unsure = unsure;
	memset(&upnp->unmade, 0, sizeof upnp->unmade);
	if (!map_grant_is_set(&upnp->grant) || !map_grant_same_mapping(&pending, &upnp->grant))
		set_pending(upnp, &pending);
}

void
map_upnp_unmake(MapUpnp *upnp)
{
	if (!map_grant_is_set(&upnp->pending))
		return;
	upnp->unmade = upnp->pending;
	forget_pending(upnp);
}

void
map_upnp_hold(MapUpnp *upnp)
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

/* request (transfer full) */
void
map_upnp_ask(MapUpnp *upnp, Step step, char *request)
{
	upnp->step = step;
	upnp->http = map_http_start(&upnp->place, map_upnp_service(upnp)->port, request,
				    map_upnp_on_reply, upnp);
	if (!upnp->http)
		map_upnp_give_up(upnp, MAP_UPNP_REFUSED, "the router's UPnP cannot be asked");
}

void
map_upnp_ask_entry(MapUpnp *upnp, Step step)
{
	map_upnp_ask(upnp, step,
		     map_soap_get_entry(&upnp->place, map_upnp_service(upnp),
					wg_endpoint_port(&upnp->asked)));
}

void
map_upnp_add(MapUpnp *upnp)
{
	/* told before it leaves: an answer that is lost must not hide what was made */
	map_upnp_await(upnp, TRUE);
	map_upnp_ask(
		upnp, STEP_ADD,
		map_upnp_is_v6(upnp)
			? map_soap_add_pinhole(&upnp->place, map_upnp_service(upnp), upnp->lease_s)
			: map_soap_add(&upnp->place, map_upnp_service(upnp),
				       wg_endpoint_port(&upnp->asked), upnp->lease_s));
}

void
map_upnp_ask_port(MapUpnp *upnp)
{
	map_upnp_ask_entry(upnp, STEP_LOOK);
}

/* From the start, with the present service: what is held is asked for again. */
void
map_upnp_ask_again(MapUpnp *upnp)
{
	guint16 port = wg_endpoint_port(map_grant_is_set(&upnp->grant) ? &upnp->grant.external
								       : &upnp->place.own);

	upnp->tries = 0;
	upnp->lease_s = MAP_LIFETIME_S;
	if (map_upnp_is_v6(upnp)) {
		upnp->asked = upnp->place.own;
		map_upnp_ask(upnp, STEP_FIREWALL,
			     map_soap_get_firewall(&upnp->place, map_upnp_service(upnp)));
		return;
	}
	memset(&upnp->asked, 0, sizeof upnp->asked);
	upnp->asked.sa.sa_family = AF_INET;
	wg_endpoint_set_port(&upnp->asked, port);
	map_upnp_ask(upnp, STEP_ADDRESS,
		     map_soap_get_address(&upnp->place, map_upnp_service(upnp)));
}

/* ---- the way to it ---- */

static void
on_found(const MapService *services, guint n, const char *problem, gpointer user_data)
{
	MapUpnp *upnp = user_data;

	upnp->find = NULL;
	if (n == 0) {
		map_upnp_give_up(upnp, problem ? MAP_UPNP_REFUSED : MAP_UPNP_ABSENT, problem);
		return;
	}
	memcpy(upnp->services, services, n * sizeof *services);
	upnp->n_services = n;
	upnp->step = STEP_NONE;
	upnp->service = 0;
	if (upnp->wanted) {
		set_state(upnp, MAP_UPNP_ASKING, NULL);
		map_upnp_ask_again(upnp);
	} else {
		set_state(upnp, MAP_UPNP_READY, NULL);
	}
}

void
map_upnp_search(MapUpnp *upnp)
{
	stop(upnp);
	upnp->find = map_find_start(&upnp->place, upnp->ssdp_port, on_found, upnp);
	if (!upnp->find) {
		map_upnp_give_up(upnp, MAP_UPNP_ABSENT, NULL);
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
	const MapService *at = map_upnp_service(upnp);

	if (!needs_renewal(upnp)) {
		map_upnp_ask(upnp, STEP_VERIFY,
			     map_soap_get_pinhole(&upnp->place, at, upnp->unique_id));
		return;
	}
	upnp->lease_s = MAP_LIFETIME_S;
	map_upnp_ask(upnp, STEP_RENEW,
		     map_soap_update_pinhole(&upnp->place, at, upnp->unique_id, upnp->lease_s));
}

static void
look_again(MapUpnp *upnp)
{
	upnp->asked = upnp->grant.external;
	upnp->lease_s = upnp->grant.lifetime_s;
	upnp->tries = 0;
	if (map_upnp_is_v6(upnp)) {
		look_at_pinhole(upnp);
		return;
	}
	if (upnp->grant.lifetime_s != 0 && needs_renewal(upnp))
		map_upnp_ask_again(upnp);
	else
		map_upnp_ask_entry(upnp, STEP_VERIFY);
}

static gboolean
on_timer(gpointer user_data)
{
	MapUpnp *upnp = user_data;

	upnp->timer = 0;
	if (map_grant_is_set(&upnp->grant))
		look_again(upnp);
	else
		map_upnp_search(upnp);
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
		map_upnp_search(upnp);
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
		map_upnp_ask_again(upnp);
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
		map_upnp_search(upnp);
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

const MapGrant *
map_upnp_unmade(const MapUpnp *upnp)
{
	return &upnp->unmade;
}

const char *
map_upnp_problem(const MapUpnp *upnp)
{
	return upnp->problem;
}
