/* SPDX-License-Identifier: MIT */
/*
 * MapHttp: one question to a gateway by HTTP, as UPnP has it. The gateway is not trusted: no
 * redirect is followed, an answer has at most MAP_HTTP_MAX bytes with its header, and
 * MAP_HTTP_TIMEOUT_MS in all. Host thread only; never blocks.
 */
#pragma once

#include "agent/portmap/map-gateway.h"

#define MAP_HTTP_MAX (64 * 1024) /* descriptions have 2 to 12 kB */
#define MAP_HTTP_TIMEOUT_MS 4000

typedef struct MapHttp MapHttp;

/* status 0: no answer, `problem` (static) says why. Else the body, with a NUL behind. From the main
 * loop, once; the MapHttp is gone then. */
typedef void (*MapHttpFunc)(guint status, const char *body, gsize len, const char *problem,
			    gpointer user_data);

/* request (transfer full): all of it. NULL: it could not be begun, and nothing is called. */
MapHttp *map_http_start(const MapPlace *place, guint16 port, char *request, MapHttpFunc func,
			gpointer user_data);
void map_http_cancel(MapHttp *http); /* nothing is called any more */

typedef enum { MAP_HTTP_MORE, MAP_HTTP_DONE, MAP_HTTP_BAD } MapHttpParse;
/* Pure: what came so far; ended: and nothing follows. On DONE *status is set and body (cleared
 * before) is the content, chunks put together. */
MapHttpParse map_http_parse(const char *data, gsize len, gboolean ended, guint *status,
			    GString *body);
/* Pure: the value of a header field (of HTTP, or of SSDP), without spaces around it. NULL: absent.
 * (transfer none) */
const char *map_http_field(const char *text, gsize len, const char *name, gsize *value_len);
