/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. SEARCH asks the gateway and the group by SSDP; only the gateway's own
 * address may answer. DESCRIBE fetches its description, once. Then, when a mapping is wanted, for
 * one service after the other until one grants it:
 *
 *     ADDRESS (what is the router's?) → LOOK (whose is that port?) → ADD → VERIFY (is it ours?)
 *
 * IGD 1 replaces what is mapped to us and declines what is another's (718), most routers; some
 * replace whatever is there: so LOOK. A port that is another's is passed over for a random one, a
 * few times. IGD 2 finds a free one by itself (AddAnyPortMapping). VERIFY, and again each two
 * minutes, because UPnP has neither nonce nor clock: the router may have given the port to somebody
 * else since.
 */
#include "agent/portmap/map-upnp.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/portmap/map-http.h"
#include "agent/portmap/map-xml.h"

#define SEARCHES 4 /* at 0, 0.25, 0.75 and 1.75 s */
#define SEARCH_RTO_MS 250
#define DRAIN_MAX 64
#define TRIES_MAX 5 /* ports */
#define CHECK_S 120
#define MISSES_MAX 2
#define RETRY_MIN_S 60
#define RETRY_MAX_S 3600
#define CHECK_US G_USEC_PER_SEC
#define DESCRIPTION "nat-agent"

#define FAULT_WILDCARD 715
#define FAULT_NO_ENTRY 714
#define FAULT_CONFLICT 718
#define FAULT_PERMANENT_ONLY 725
#define FAULT_NO_FREE_PORT 728

typedef enum {
	STEP_NONE,
	STEP_SEARCH,
	STEP_DESCRIBE,
	STEP_ADDRESS,
	STEP_LOOK,
	STEP_ADD,
	STEP_VERIFY
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

	Step step;
	int fd; /* of SSDP; -1: shut */
	guint watch, timer, searches, failures;
	guint misses; /* questions about what is held that were not answered */
	MapHttp *http;
	guint16 description_port;
	char description_path[MAP_PATH_MAX];
	MapService services[MAP_XML_SERVICES];
	guint n_services, service, tries;
	WgEndpoint asked; /* the mapping that is being made: the router's address, and a port */
	guint32 lease_s;
	gint64 checked_us;
};

static gboolean on_timer(gpointer user_data);
static void ask_port(MapUpnp *upnp);
static void ask_again(MapUpnp *upnp);
static void search(MapUpnp *upnp);

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
	g_clear_handle_id(&upnp->watch, g_source_remove);
	g_clear_handle_id(&upnp->timer, g_source_remove);
	g_clear_pointer(&upnp->http, map_http_cancel);
	if (upnp->fd >= 0)
		close(upnp->fd);
	upnp->fd = -1;
}

static void
give_up(MapUpnp *upnp, MapUpnpState state, const char *problem)
{
	guint pause = MIN(RETRY_MIN_S << MIN(upnp->failures, 6u), RETRY_MAX_S);

	stop(upnp);
	upnp->failures++;
	memset(&upnp->grant, 0, sizeof upnp->grant);
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

static void
hold(MapUpnp *upnp)
{
	MapGrant grant = {.protocol = MAP_UPNP,
			  .external = upnp->asked,
			  .lifetime_s = upnp->lease_s ? map_codec_clamp_lifetime(upnp->lease_s) : 0,
			  .at_us = g_get_monotonic_time(),
			  .control_port = service(upnp)->port};
	gboolean news = !wg_endpoint_equal(&grant.external, &upnp->grant.external);

	memcpy(grant.control_path, service(upnp)->path, sizeof grant.control_path);
	g_strlcpy(grant.service, map_service_type(service(upnp)->kind), sizeof grant.service);
	if (upnp->state == MAP_UPNP_HELD && !news && upnp->step == STEP_VERIFY && upnp->tries == 0)
		grant.at_us = upnp->grant.at_us; /* only looked at */
	stop(upnp);
	upnp->grant = grant;
	upnp->failures = upnp->misses = 0;
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
	g_autofree char *port = g_strdup_printf("%u", wg_endpoint_port(&upnp->asked));

	ask(upnp, step,
	    map_xml_call(&upnp->place.gateway, service(upnp), "GetSpecificPortMappingEntry",
			 "NewRemoteHost", "", "NewExternalPort", port, "NewProtocol", "UDP", NULL));
}

static void
add(MapUpnp *upnp)
{
	gboolean any = service(upnp)->kind == MAP_SERVICE_IP2;
	g_autofree char *external = g_strdup_printf("%u", wg_endpoint_port(&upnp->asked));
	g_autofree char *internal = g_strdup_printf("%u", wg_endpoint_port(&upnp->place.own));
	g_autofree char *lease = g_strdup_printf("%u", upnp->lease_s);
	char own[WG_ENDPOINT_STRLEN];

	ask(upnp, STEP_ADD,
	    map_xml_call(&upnp->place.gateway, service(upnp),
			 any ? "AddAnyPortMapping" : "AddPortMapping", "NewRemoteHost", "",
			 "NewExternalPort", external, "NewProtocol", "UDP", "NewInternalPort",
			 internal, "NewInternalClient",
			 wg_endpoint_format_address(&upnp->place.own, own), "NewEnabled", "1",
			 "NewPortMappingDescription", DESCRIPTION, "NewLeaseDuration", lease,
			 NULL));
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
	memset(&upnp->asked, 0, sizeof upnp->asked);
	upnp->asked.sa.sa_family = AF_INET;
	wg_endpoint_set_port(&upnp->asked, port);
	ask(upnp, STEP_ADDRESS,
	    map_xml_call(&upnp->place.gateway, service(upnp), "GetExternalIPAddress", NULL));
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
		other_port(upnp, FAULT_CONFLICT);
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
		ask_entry(upnp, STEP_VERIFY);
		break;
	case FAULT_PERMANENT_ONLY:
		if (upnp->lease_s == 0) {
			declined(upnp, reply->fault, NULL);
			break;
		}
		upnp->lease_s = 0;
		add(upnp);
		break;
	case FAULT_CONFLICT:
	case FAULT_NO_FREE_PORT:
		other_port(upnp, reply->fault);
		break;
	default:
		declined(upnp, reply->fault, NULL);
	}
}

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
	/* faults come with status 500 (UPnP 1.1 §3.2.2) */
	if (status != 0 &&
	    (!map_xml_reply(body, len, &reply) || (status != 200 && reply.fault == 0)))
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
	case STEP_ADD:
		took_add(upnp, &reply);
		break;
	case STEP_VERIFY:
		took_verify(upnp, &reply);
		break;
	case STEP_NONE:
	case STEP_SEARCH:
	case STEP_DESCRIBE:
		break;
	}
}

/* ---- the way to it ---- */

static void
on_description(guint status, const char *body, gsize len, const char *problem, gpointer user_data)
{
	MapUpnp *upnp = user_data;
	gboolean foreign = FALSE;

	upnp->http = NULL;
	if (status == 200)
		upnp->n_services =
			map_xml_services(body, len, &upnp->place.gateway, upnp->description_port,
					 upnp->services, &foreign);
	if (upnp->n_services == 0) {
		/* a redirect is none of 200 */
		give_up(upnp, MAP_UPNP_REFUSED,
			foreign		? "the router's UPnP names another host"
			: problem	? problem
			: status == 200 ? "the router's UPnP maps no ports"
					: "the router's UPnP has no description");
		return;
	}
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
describe(MapUpnp *upnp)
{
	stop(upnp);
	upnp->n_services = 0;
	upnp->step = STEP_DESCRIBE;
	upnp->http = map_http_start(
		&upnp->place, upnp->description_port,
		map_xml_get(&upnp->place.gateway, upnp->description_port, upnp->description_path),
		on_description, upnp);
	if (!upnp->http)
		give_up(upnp, MAP_UPNP_REFUSED, "the router's UPnP cannot be asked");
}

static gboolean
on_ssdp(gint fd, GIOCondition condition, gpointer user_data)
{
	MapUpnp *upnp = user_data;

	for (guint i = 0; i < DRAIN_MAX; i++) {
		char buf[2048];
		struct sockaddr_storage sa;
		socklen_t sa_len = sizeof sa;
		WgEndpoint from;
		gboolean foreign;
		ssize_t len =
			recvfrom(fd, buf, sizeof buf, MSG_TRUNC, (struct sockaddr *)&sa, &sa_len);

		if (len < 0)
			return G_SOURCE_CONTINUE;
		if (len > (ssize_t)sizeof buf || !wg_endpoint_from_sockaddr(&from, &sa, sa_len) ||
		    !wg_endpoint_same_address(&from, &upnp->place.gateway))
			continue;
		if (map_xml_location(buf, (gsize)len, &upnp->place.gateway, &upnp->description_port,
				     upnp->description_path, &foreign)) {
			upnp->watch = 0;
			describe(upnp);
			return G_SOURCE_REMOVE;
		}
		if (foreign)
			upnp->problem = "the router's UPnP names another host";
	}
	return G_SOURCE_CONTINUE;
}

static void
search_once(MapUpnp *upnp)
{
	char buf[512];
	WgEndpoint to = upnp->place.gateway;

	wg_endpoint_set_port(&to, upnp->ssdp_port);
	/* what does not leave is not answered */
	if (sendto(upnp->fd, buf, map_xml_search(buf, &to), MSG_NOSIGNAL, &to.sa,
		   wg_endpoint_socklen(&to)) < 0)
		g_debug("portmap: cannot ask the gateway by SSDP: %s", g_strerror(errno));
	/* some hear the group alone */
	if (upnp->ssdp_port != MAP_UPNP_SSDP_PORT ||
	    !wg_endpoint_parse_address(MAP_UPNP_GROUP, MAP_UPNP_SSDP_PORT, &to))
		return;
	if (sendto(upnp->fd, buf, map_xml_search(buf, &to), MSG_NOSIGNAL, &to.sa,
		   wg_endpoint_socklen(&to)) < 0)
		g_debug("portmap: cannot ask the group by SSDP: %s", g_strerror(errno));
}

static gboolean
open_ssdp(MapUpnp *upnp)
{
	struct ip_mreqn by = {.imr_ifindex = upnp->place.ifindex};
	int ttl = 2;

	upnp->fd = map_place_socket(&upnp->place, SOCK_DGRAM);
	if (upnp->fd < 0)
		return FALSE;
	/* without it the group is asked by the route that there is */
	if (setsockopt(upnp->fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) < 0 ||
	    setsockopt(upnp->fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) < 0)
		g_debug("portmap: multicast: %s", g_strerror(errno));
	upnp->watch = g_unix_fd_add(upnp->fd, G_IO_IN, on_ssdp, upnp);
	return TRUE;
}

static void
search(MapUpnp *upnp)
{
	stop(upnp);
	upnp->searches = 0;
	if (!open_ssdp(upnp)) {
		give_up(upnp, MAP_UPNP_ABSENT, NULL);
		return;
	}
	upnp->step = STEP_SEARCH;
	set_state(upnp, MAP_UPNP_LOOKING, NULL);
	schedule(upnp, 0);
}

static gboolean
needs_renewal(const MapUpnp *upnp)
{
	return map_grant_left_s(&upnp->grant, g_get_monotonic_time()) <= upnp->grant.lifetime_s / 2;
}

static void
look_again(MapUpnp *upnp)
{
	upnp->asked = upnp->grant.external;
	upnp->lease_s = upnp->grant.lifetime_s;
	upnp->tries = 0;
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
	if (upnp->step != STEP_SEARCH) {
		if (map_grant_is_set(&upnp->grant))
			look_again(upnp);
		else
			search(upnp);
	} else if (upnp->searches == SEARCHES) {
		give_up(upnp, upnp->problem ? MAP_UPNP_REFUSED : MAP_UPNP_ABSENT, upnp->problem);
	} else {
		search_once(upnp);
		schedule(upnp, SEARCH_RTO_MS << upnp->searches++);
	}
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
	upnp->fd = -1;
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
		if (map_grant_is_set(&upnp->grant))
			map_upnp_remove(&upnp->place, &upnp->grant, NULL, NULL);
		memset(&upnp->grant, 0, sizeof upnp->grant);
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

const char *
map_upnp_problem(const MapUpnp *upnp)
{
	return upnp->problem;
}

/* ---- removal ---- */

typedef struct {
	MapUpnpDone done;
	gpointer user_data;
} Removal;

static void
on_removed(guint status, const char *body, gsize len, const char *problem, gpointer user_data)
{
	Removal *removal = user_data;
	MapReply reply;
	gboolean gone = status == 200 || (status != 0 && map_xml_reply(body, len, &reply) &&
					  reply.fault == FAULT_NO_ENTRY);

	if (removal->done)
		removal->done(gone, removal->user_data);
	g_free(removal);
}

gboolean
map_upnp_remove(const MapPlace *place, const MapGrant *grant, MapUpnpDone done, gpointer user_data)
{
	g_autofree char *port = g_strdup_printf("%u", wg_endpoint_port(&grant->external));
	MapService at = {.port = grant->control_port};
	Removal *removal;

	if (!map_service_from_type(grant->service, &at.kind) || at.port == 0)
		return FALSE;
	memcpy(at.path, grant->control_path, sizeof at.path);
	removal = g_new0(Removal, 1);
	*removal = (Removal){done, user_data};
	if (map_http_start(place, at.port,
			   map_xml_call(&place->gateway, &at, "DeletePortMapping", "NewRemoteHost",
					"", "NewExternalPort", port, "NewProtocol", "UDP", NULL),
			   on_removed, removal))
		return TRUE;
	g_free(removal);
	return FALSE;
}
