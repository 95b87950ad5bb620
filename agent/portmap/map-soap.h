/* SPDX-License-Identifier: MIT */
/* The questions that UPnP is asked about a mapping of ours, and what is made of the answers. Pure;
 * any thread. */
#pragma once

#include "agent/portmap/map-gateway.h"
#include "agent/portmap/map-xml.h"

#define MAP_FAULT_NO_ENTRY 714
#define MAP_FAULT_CONFLICT 718
#define MAP_FAULT_PERMANENT_ONLY 725
#define MAP_FAULT_NO_FREE_PORT 728

/* Each a whole request. (transfer full) */
char *map_soap_get_address(const MapPlace *place, const MapService *service);
char *map_soap_get_entry(const MapPlace *place, const MapService *service, guint16 external);
/* IGD 2 may give another port: MapReply.reserved_port. lease_s 0: for ever. */
char *map_soap_add(const MapPlace *place, const MapService *service, guint16 external,
		   guint32 lease_s);
char *map_soap_delete(const MapPlace *place, const MapService *service, guint16 external);

/* WANIPv6FirewallControl: P of our address, open to all. The same pinhole asked for again has the
 * same id. */
#define MAP_FAULT_FIREWALL_OFF 702
#define MAP_FAULT_NO_PINHOLE 704
#define MAP_FAULT_PINHOLES_FORBIDDEN 703
char *map_soap_get_firewall(const MapPlace *place, const MapService *service);
char *map_soap_add_pinhole(const MapPlace *place, const MapService *service, guint32 lease_s);
char *map_soap_update_pinhole(const MapPlace *place, const MapService *service, guint16 id,
			      guint32 lease_s);
char *map_soap_get_pinhole(const MapPlace *place, const MapService *service, guint16 id);
char *map_soap_delete_pinhole(const MapPlace *place, const MapService *service, guint16 id);

/* FALSE: it is no answer to any of them. */
gboolean map_soap_reply(guint status, const char *body, gsize len, MapReply *out);
/* The service that a grant was made by. FALSE: none that is known. */
gboolean map_soap_service(const MapGrant *grant, MapService *out);
