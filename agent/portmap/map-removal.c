/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-removal.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/portmap/map-find.h"
#include "agent/portmap/map-http.h"
#include "agent/portmap/map-soap.h"

#define RTO_MS 250
#define SENDS_MAX 4 /* at 0, 0.25, 0.75 and 1.75 s; given up at 3.75 s */
#define DRAIN_MAX 64
#define DROPS_MAX 256

struct MapRemoval {
	MapPlace place;
	MapGrant grant;
	MapRemovalFuncs funcs;
	guint timer, watch, sends, drops;
	/* PCP, NAT-PMP */
	int fd; /* -1: none */
	/* UPnP */
	guint16 ssdp_port;
	gboolean searched;
	MapFind *find;
	MapHttp *http;
	MapService service;
};

/* ---- life ---- */

void
map_removal_cancel(MapRemoval *removal)
{
	if (!removal)
		return;
	g_clear_handle_id(&removal->timer, g_source_remove);
	g_clear_handle_id(&removal->watch, g_source_remove);
	g_clear_pointer(&removal->http, map_http_cancel);
	g_clear_pointer(&removal->find, map_find_cancel);
	if (removal->fd >= 0)
		close(removal->fd);
	g_free(removal);
}

static void
finish(MapRemoval *removal, MapRemovalResult result)
{
	MapRemovalFuncs funcs = removal->funcs;

	map_removal_cancel(removal);
	funcs.done(result, funcs.user_data);
}

static gboolean
is_wanted(const MapRemoval *removal)
{
	return !removal->funcs.wanted || removal->funcs.wanted(removal->funcs.user_data);
}

/* ---- PCP, NAT-PMP ---- */

static gsize
make_request(const MapPlace *place, const MapGrant *grant, guint8 buf[MAP_CODEC_REQUEST_MAX])
{
	/* RFC 6886 §3.4: the suggested port must be zero */
	return grant->protocol == MAP_PMP
		       ? map_codec_pmp_map(buf, wg_endpoint_port(&place->own), 0, 0)
		       : map_codec_pcp_map(buf, &place->own, grant->nonce, &grant->external, 0);
}

static int
open_socket(const MapPlace *place, guint16 server_port)
{
	WgEndpoint server = place->gateway;
	int fd = map_place_socket(place, SOCK_DGRAM);

	wg_endpoint_set_port(&server, server_port);
	if (fd < 0 || connect(fd, &server.sa, wg_endpoint_socklen(&server)) == 0)
		return fd;
	close(fd);
	return -1;
}

static gboolean
send_request(int fd, const MapPlace *place, const MapGrant *grant)
{
	guint8 buf[MAP_CODEC_REQUEST_MAX];

	return send(fd, buf, make_request(place, grant, buf), MSG_NOSIGNAL) >= 0;
}

gboolean
map_removal_send(const MapPlace *place, guint16 server_port, const MapGrant *grant)
{
	int fd = grant->protocol == MAP_UPNP ? -1 : open_socket(place, server_port);
	gboolean left = fd >= 0 && send_request(fd, place, grant);

	if (fd >= 0)
		close(fd);
	return left;
}

static gboolean
is_ours(const MapRemoval *removal, const MapAnswer *answer)
{
	return answer->protocol == removal->grant.protocol && answer->kind == MAP_ANSWER_MAPPING &&
	       answer->internal_port == wg_endpoint_port(&removal->place.own) &&
	       (answer->protocol == MAP_PMP ||
		memcmp(answer->nonce, removal->grant.nonce, MAP_NONCE_LEN) == 0);
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	MapRemoval *removal = user_data;

	for (guint i = 0; i < DRAIN_MAX; i++) {
		guint8 buf[MAP_CODEC_ANSWER_MAX + 1];
		MapAnswer answer;
		ssize_t len = recv(fd, buf, sizeof buf, 0);

		if (len < 0) /* ECONNREFUSED: asked again; what listened there may be back */
			return G_SOURCE_CONTINUE;
		if (map_codec_parse(buf, (gsize)len, &answer) && is_ours(removal, &answer)) {
			removal->watch = 0;
			finish(removal,
			       map_codec_is_removed(&answer) ? MAP_REMOVED : MAP_REMOVAL_REFUSED);
			return G_SOURCE_REMOVE;
		}
		if (++removal->drops > DROPS_MAX) {
			removal->watch = 0;
			return G_SOURCE_REMOVE;
		}
	}
	return G_SOURCE_CONTINUE;
}

static gboolean
on_timer(gpointer user_data)
{
	MapRemoval *removal = user_data;

	removal->timer = 0;
	if (removal->sends == SENDS_MAX || !is_wanted(removal)) {
		finish(removal, MAP_REMOVAL_SILENT);
		return G_SOURCE_REMOVE;
	}
	if (!send_request(removal->fd, &removal->place, &removal->grant))
		g_debug("portmap: cannot ask the gateway: %s", g_strerror(errno));
	removal->timer = g_timeout_add(RTO_MS << removal->sends++, on_timer, removal);
	return G_SOURCE_REMOVE;
}

/* ---- UPnP ---- */

static void begin_upnp(MapRemoval *removal);

/* A router that was started anew may have its services at another port. */
static void
on_found(const MapService *services, guint n, const char *problem, gpointer user_data)
{
	MapRemoval *removal = user_data;

	removal->find = NULL;
	for (guint i = 0; i < n; i++) {
		if (services[i].kind != removal->service.kind)
			continue;
		removal->service = services[i];
		begin_upnp(removal);
		return;
	}
	finish(removal, MAP_REMOVAL_SILENT);
}

static void
unanswered(MapRemoval *removal)
{
	if (!removal->searched && is_wanted(removal))
		removal->find =
			map_find_start(&removal->place, removal->ssdp_port, on_found, removal);
	removal->searched = TRUE;
	if (!removal->find)
		finish(removal, MAP_REMOVAL_SILENT);
}

/* request (transfer full) */
static void
ask(MapRemoval *removal, char *request, MapHttpFunc func)
{
	removal->http =
		map_http_start(&removal->place, removal->service.port, request, func, removal);
	if (!removal->http)
		unanswered(removal);
}

static gboolean
is_pinhole(const MapRemoval *removal)
{
	return removal->service.kind == MAP_SERVICE_FIREWALL6;
}

static void
on_deleted(guint status, const char *body, gsize len, const char *problem, gpointer user_data)
{
	MapRemoval *removal = user_data;
	MapReply reply;

	removal->http = NULL;
	if (!map_soap_reply(status, body, len, &reply))
		unanswered(removal);
	else if (reply.fault == 0 ||
		 reply.fault == (is_pinhole(removal) ? MAP_FAULT_NO_PINHOLE : MAP_FAULT_NO_ENTRY))
		finish(removal, MAP_REMOVED);
	else
		finish(removal, MAP_REMOVAL_REFUSED);
}

static void
on_looked(guint status, const char *body, gsize len, const char *problem, gpointer user_data)
{
	MapRemoval *removal = user_data;
	MapReply reply;

	removal->http = NULL;
	if (!map_soap_reply(status, body, len, &reply) || !is_wanted(removal)) {
		unanswered(removal);
		return;
	}
	if (reply.fault == MAP_FAULT_NO_ENTRY ||
	    (reply.fault == 0 && wg_endpoint_is_set(&reply.client) &&
	     !wg_endpoint_equal(&reply.client, &removal->place.own))) {
		finish(removal, MAP_REMOVED);
		return;
	}
	/* the router does not tell whose it is */
	if (reply.fault != 0 && removal->grant.unsure) {
		finish(removal, MAP_REMOVAL_REFUSED);
		return;
	}
	ask(removal,
	    map_soap_delete(&removal->place, &removal->service,
			    wg_endpoint_port(&removal->grant.external)),
	    on_deleted);
}

/* A pinhole is known by its id alone; one that is asked for again has the same. */
static void
on_named(guint status, const char *body, gsize len, const char *problem, gpointer user_data)
{
	MapRemoval *removal = user_data;
	MapReply reply;

	removal->http = NULL;
	if (!map_soap_reply(status, body, len, &reply) || !is_wanted(removal))
		unanswered(removal);
	else if (reply.fault != 0) /* then it has declined the first time, too */
		finish(removal, MAP_REMOVED);
	else if (!reply.has_unique_id)
		finish(removal, MAP_REMOVAL_REFUSED);
	else
		ask(removal,
		    map_soap_delete_pinhole(&removal->place, &removal->service, reply.unique_id),
		    on_deleted);
}

static void
begin_upnp(MapRemoval *removal)
{
	const MapPlace *place = &removal->place;
	const MapService *service = &removal->service;

	if (!is_pinhole(removal))
		ask(removal,
		    map_soap_get_entry(place, service, wg_endpoint_port(&removal->grant.external)),
		    on_looked);
	else if (removal->grant.unsure)
		ask(removal, map_soap_add_pinhole(place, service, MAP_LIFETIME_MIN_S), on_named);
	else
		ask(removal, map_soap_delete_pinhole(place, service, removal->grant.unique_id),
		    on_deleted);
}

/* ---- the beginning ---- */

static gboolean
on_idle(gpointer user_data)
{
	MapRemoval *removal = user_data;

	removal->timer = 0;
	if (!is_wanted(removal) || (removal->grant.protocol == MAP_UPNP
					    ? !map_soap_service(&removal->grant, &removal->service)
					    : removal->fd < 0))
		finish(removal, MAP_REMOVAL_SILENT);
	else if (removal->grant.protocol == MAP_UPNP)
		begin_upnp(removal);
	else
		on_timer(removal);
	return G_SOURCE_REMOVE;
}

MapRemoval *
map_removal_start(const MapPlace *place, guint16 server_port, guint16 ssdp_port,
		  const MapGrant *grant, const MapRemovalFuncs *funcs)
{
	MapRemoval *removal = g_new0(MapRemoval, 1);

	removal->place = *place;
	removal->grant = *grant;
	removal->ssdp_port = ssdp_port;
	removal->funcs = *funcs;
	removal->fd = grant->protocol == MAP_UPNP ? -1 : open_socket(place, server_port);
	if (removal->fd >= 0)
		removal->watch = g_unix_fd_add(removal->fd, G_IO_IN, on_readable, removal);
	removal->timer = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, removal, NULL);
	return removal;
}
