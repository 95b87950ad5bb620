/* SPDX-License-Identifier: MIT */
/*
 * InnHttp: calls to the API of an innernet server (HTTP/1.1, inside the tunnel). Every answer is
 * hostile input: no redirect is followed, no more than INN_HTTP_MAX bytes of a body are read and
 * held, and what takes longer than INN_HTTP_TIMEOUT_S in all, from when its turn has come, has
 * failed. Nothing is ever sent twice. No proxy is asked, and nothing is marked: the API is inside
 * the tunnel.
 * Host thread only; callbacks come from the main loop.
 */
#pragma once

#include <gio/gio.h>

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

#define INN_HTTP_MAX (4 * 1024 * 1024)
#define INN_HTTP_TIMEOUT_S 10
#define INN_HTTP_BODY_MAX 16384 /* bytes the server takes */

typedef struct InnHttp InnHttp;

/* status: 100 to 599, with the body (never NULL); or 0, and error (G_IO_ERROR) is one line with the
 * cause (refused, timed out, too long, cut, no HTTP). A body in chunks may have been cut between
 * two of them: libsoup does not tell. Called exactly once for each call, unless the InnHttp is
 * freed before; it may be freed inside. */
typedef void (*InnHttpFunc)(guint status, GBytes *body, const GError *error, gpointer user_data);

/* server: address and port of the API. server_key: for X-Innernet-Server-Key. */
InnHttp *inn_http_new(const WgEndpoint *server, const WgKey *server_key);
void inn_http_free(InnHttp *http); /* no callback comes any more */
/* path: "/v1/user/state" and so on. json: the body, NULL for none; sent with a Content-Length.
 * Calls are made one after the other, in order. */
void inn_http_call(InnHttp *http, const char *method, const char *path, const char *json,
		   InnHttpFunc func, gpointer user_data);
guint inn_http_pending(const InnHttp *http); /* calls not answered yet */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnHttp, inn_http_free)
