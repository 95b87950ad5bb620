/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-find.h"

#include "agent/portmap/map-http.h"

struct MapFind {
	MapPlace place;
	MapFindFunc func;
	gpointer user_data;
	MapSsdp *ssdp;
	MapHttp *http;
	guint16 port; /* of the description */
};

void
map_find_cancel(MapFind *find)
{
	if (!find)
		return;
	map_ssdp_cancel(find->ssdp);
	map_http_cancel(find->http);
	g_free(find);
}

static void
finish(MapFind *find, const MapService *services, guint n, const char *problem)
{
	MapFindFunc func = find->func;
	gpointer user_data = find->user_data;

	map_find_cancel(find);
	func(services, n, problem, user_data);
}

static void
on_description(guint status, const char *body, gsize len, const char *problem, gpointer user_data)
{
	MapFind *find = user_data;
	MapService services[MAP_XML_SERVICES];
	gboolean foreign = FALSE;
	guint n = 0;

	find->http = NULL;
	if (status == 200)
		n = map_xml_services(body, len, &find->place.gateway, find->port, services,
				     &foreign);
	if (n > 0)
		problem = NULL;
	else if (foreign)
		problem = "the router's UPnP names another host";
	else if (!problem) /* a redirect is none of 200 */
		problem = status == 200 ? "the router's UPnP maps no ports"
					: "the router's UPnP has no description";
	finish(find, services, n, problem);
}

static void
on_found(guint16 port, const char *path, gboolean foreign, gpointer user_data)
{
	MapFind *find = user_data;

	find->ssdp = NULL;
	if (port == 0) {
		finish(find, NULL, 0, foreign ? "the router's UPnP names another host" : NULL);
		return;
	}
	find->port = port;
	find->http =
		map_http_start(&find->place, port, map_xml_get(&find->place.gateway, port, path),
			       on_description, find);
	if (!find->http)
		finish(find, NULL, 0, "the router's UPnP cannot be asked");
}

MapFind *
map_find_start(const MapPlace *place, guint16 ssdp_port, MapFindFunc func, gpointer user_data)
{
	MapFind *find = g_new0(MapFind, 1);

	find->place = *place;
	find->func = func;
	find->user_data = user_data;
	find->ssdp = map_ssdp_start(place, ssdp_port, on_found, find);
	if (!find->ssdp)
		g_clear_pointer(&find, g_free);
	return find;
}
