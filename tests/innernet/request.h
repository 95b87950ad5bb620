/* SPDX-License-Identifier: MIT */
/*
 * The head of an HTTP/1.1 request, read as strictly as an innernet server's library does (hyper
 * 0.14 with httparse): what it refuses is refused with its status. Pure.
 */
#pragma once

#include <glib.h>

#define REQUEST_HEAD_MAX (8192 + 4096 * 100)
#define REQUEST_HEADERS_MAX 100
#define REQUEST_URI_MAX 65534

typedef struct {
	char *method;
	char *path;	  /* without the query */
	char *server_key; /* X-Innernet-Server-Key, the first of them; NULL: none */
	gboolean has_length;
	guint64 length; /* of Content-Length */
	gboolean is_chunked;
	gboolean expects_continue;
	gboolean keep_alive;
} Request;

/* 0: more is needed; > 0: *out is filled and so many bytes belong to the head; < 0: refused, with
 * the status of -n. */
gssize request_parse(const char *data, gsize len, Request *out);
void request_clear(Request *request);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Request, request_clear)
