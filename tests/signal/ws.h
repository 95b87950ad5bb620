/* SPDX-License-Identifier: MIT */
/* A client's side of WebSocket framing (RFC 6455 §5). Pure. */
#pragma once

#include <glib.h>

enum {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

typedef struct {
	guint op;
	gboolean final;
	const guint8 *data; /* inside what was parsed */
	gsize len;
} WsFrame;

/* Appends one masked frame to out. */
void ws_append(GByteArray *out, guint op, gboolean final, gconstpointer data, gsize len);
/* Bytes of the server's frame at the beginning of data; 0: not whole yet; -1: no frame of a server.
 */
gssize ws_parse(const guint8 *data, gsize len, WsFrame *out);
