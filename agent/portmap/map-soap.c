/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-soap.h"

#include <string.h>

#define DESCRIPTION "nat-agent"

char *
map_soap_get_address(const MapPlace *place, const MapService *service)
{
	return map_xml_call(&place->gateway, service, "GetExternalIPAddress", NULL);
}

static char *
about_port(const MapPlace *place, const MapService *service, const char *action, guint16 external)
{
	g_autofree char *port = g_strdup_printf("%u", external);

	return map_xml_call(&place->gateway, service, action, "NewRemoteHost", "",
			    "NewExternalPort", port, "NewProtocol", "UDP", NULL);
}

char *
map_soap_get_entry(const MapPlace *place, const MapService *service, guint16 external)
{
	return about_port(place, service, "GetSpecificPortMappingEntry", external);
}

char *
map_soap_delete(const MapPlace *place, const MapService *service, guint16 external)
{
	return about_port(place, service, "DeletePortMapping", external);
}

char *
map_soap_add(const MapPlace *place, const MapService *service, guint16 external, guint32 lease_s)
{
	gboolean any = service->kind == MAP_SERVICE_IP2;
	g_autofree char *outside = g_strdup_printf("%u", external);
	g_autofree char *inside = g_strdup_printf("%u", wg_endpoint_port(&place->own));
	g_autofree char *lease = g_strdup_printf("%u", lease_s);
	char own[WG_ENDPOINT_STRLEN];

	return map_xml_call(&place->gateway, service, any ? "AddAnyPortMapping" : "AddPortMapping",
			    "NewRemoteHost", "", "NewExternalPort", outside, "NewProtocol", "UDP",
			    "NewInternalPort", inside, "NewInternalClient",
			    wg_endpoint_format_address(&place->own, own), "NewEnabled", "1",
			    "NewPortMappingDescription", DESCRIPTION, "NewLeaseDuration", lease,
			    NULL);
}

/* ---- pinholes ---- */

char *
map_soap_get_firewall(const MapPlace *place, const MapService *service)
{
	return map_xml_call(&place->gateway, service, "GetFirewallStatus", NULL);
}

char *
map_soap_add_pinhole(const MapPlace *place, const MapService *service, guint32 lease_s)
{
	g_autofree char *inside = g_strdup_printf("%u", wg_endpoint_port(&place->own));
	g_autofree char *lease = g_strdup_printf("%u", lease_s);
	char own[WG_ENDPOINT_STRLEN];

	return map_xml_call(&place->gateway, service, "AddPinhole", "RemoteHost", "", "RemotePort",
			    "0", "InternalClient", wg_endpoint_format_address(&place->own, own),
			    "InternalPort", inside, "Protocol", "17", "LeaseTime", lease, NULL);
}

char *
map_soap_update_pinhole(const MapPlace *place, const MapService *service, guint16 id,
			guint32 lease_s)
{
	g_autofree char *number = g_strdup_printf("%u", id);
	g_autofree char *lease = g_strdup_printf("%u", lease_s);

	return map_xml_call(&place->gateway, service, "UpdatePinhole", "UniqueID", number,
			    "NewLeaseTime", lease, NULL);
}

static char *
about_pinhole(const MapPlace *place, const MapService *service, const char *action, guint16 id)
{
	g_autofree char *number = g_strdup_printf("%u", id);

	return map_xml_call(&place->gateway, service, action, "UniqueID", number, NULL);
}

char *
map_soap_get_pinhole(const MapPlace *place, const MapService *service, guint16 id)
{
	return about_pinhole(place, service, "GetPinholePackets", id);
}

char *
map_soap_delete_pinhole(const MapPlace *place, const MapService *service, guint16 id)
{
	return about_pinhole(place, service, "DeletePinhole", id);
}

gboolean
map_soap_reply(guint status, const char *body, gsize len, MapReply *out)
{
	/* faults come with status 500 (UPnP 1.1 §3.2.2) */
	return status != 0 && map_xml_reply(body, len, out) && (status == 200 || out->fault != 0);
}

gboolean
map_soap_service(const MapGrant *grant, MapService *out)
{
	memset(out, 0, sizeof *out);
	out->port = grant->control_port;
	memcpy(out->path, grant->control_path, sizeof out->path);
	return map_service_from_type(grant->service, &out->kind) && out->port != 0;
}
