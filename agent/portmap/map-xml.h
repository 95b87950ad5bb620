/* SPDX-License-Identifier: MIT */
/*
 * The texts of UPnP IGD: the place of a gateway's description in its SSDP answer, the services in
 * the description, requests and answers of SOAP. All that comes in is hostile: nothing is followed
 * that leads to another host than the gateway, text is bounded by MAP_HTTP_MAX, depth by
 * MAP_XML_DEPTH, and nothing that was read is sent back or shown but what is checked here. Entities
 * of a document's own do not exist (GMarkup knows the five of XML alone), so that nothing grows.
 * Pure; any thread.
 */
#pragma once

#include "agent/portmap/map-grant.h"

#define MAP_XML_DEPTH 32
#define MAP_XML_SERVICES 4

/* Better ones first. */
typedef enum {
	MAP_SERVICE_IP2,
	MAP_SERVICE_IP1,
	MAP_SERVICE_PPP1,
	MAP_SERVICE_FIREWALL6, /* IPv6's, and the only one of a gateway that is asked by IPv6 */
} MapServiceKind;

typedef struct {
	MapServiceKind kind;
	guint16 port;
	char path[MAP_PATH_MAX]; /* of the control URL, beginning with '/' */
} MapService;

const char *map_service_type(MapServiceKind kind); /* "urn:schemas-upnp-org:…"; static */
gboolean map_service_from_type(const char *type, MapServiceKind *out);

/* M-SEARCH for `type`, to `to`. Returns the length, below 512. */
gsize map_xml_search(char buf[512], const WgEndpoint *to);
/* Of an answer to it. FALSE: it is none of a gateway, or its description is not on this host
 * (*foreign is set then). */
gboolean map_xml_location(const char *text, gsize len, const WgEndpoint *gateway, guint16 *port,
			  char path[MAP_PATH_MAX], gboolean *foreign);
/* http://ADDRESS[:PORT]/PATH of this host. FALSE: it is none. A router that is asked at its
 * link-local address names another one of its own, which nobody could tell from a stranger's: of
 * IPv6, port and path are taken, and `host` is asked for them whatever the address. */
gboolean map_xml_url(const char *url, gsize len, const WgEndpoint *host, guint16 *port,
		     char path[MAP_PATH_MAX]);
/* The services that map ports, better ones first; port: where the description came from. Returns
 * how many. foreign as above. */
guint map_xml_services(const char *text, gsize len, const WgEndpoint *gateway, guint16 port,
		       MapService out[MAP_XML_SERVICES], gboolean *foreign);

char *map_xml_get(const WgEndpoint *gateway, guint16 port, const char *path);
/* A whole request; arguments are pairs of name and value, up to NULL. (transfer full) */
char *map_xml_call(const WgEndpoint *gateway, const MapService *service, const char *action,
		   ...) G_GNUC_NULL_TERMINATED;

typedef struct {
	guint fault;		     /* UPnP's errorCode; 0: none */
	WgEndpoint external_address; /* NewExternalIPAddress, port 0; unset: not said, or bogus */
	WgEndpoint client;	     /* NewInternalClient with NewInternalPort; unset: not said */
	guint16 reserved_port;	     /* NewReservedPort */
	guint32 lease_s;	     /* NewLeaseDuration */
	gboolean has_lease;
	/* WANIPv6FirewallControl */
	guint16 unique_id;
	gboolean has_unique_id, firewall_off, no_pinholes; /* the last two: it says so */
} MapReply;
/* FALSE: it is no XML. */
gboolean map_xml_reply(const char *text, gsize len, MapReply *out);
