/* SPDX-License-Identifier: MIT */
/*
 * NatWebsocket: one WebSocket connection, from the first SYN to its end; the one place that meets
 * libsoup. Its sockets carry the fwmark; the addresses are given, so that nothing is resolved, and
 * raced. A connection that died without a word is noticed within 30 s.
 * Host thread only; callbacks come from the main loop and may free the NatWebsocket.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct NatWebsocket NatWebsocket;

typedef struct {
	void (*text)(const char *text, gsize len, gpointer user_data);
	void (*binary)(const guint8 *data, gsize len, gpointer user_data);
	/* Once, the last call: it could not be opened, or has ended. code: RFC 6455 §7.4, 0 when
	 * the other side sent none. reason: one line, all of it escaped. */
	void (*closed)(guint code, const char *reason, gpointer user_data);
} NatWebsocketFuncs;

/* url is well-formed; host and port are its own. protocol: the only acceptable subprotocol.
 * max: bytes of a message we take. */
NatWebsocket *nat_websocket_new(const char *url, const char *host, guint16 port,
				const WgEndpoint *addrs, gsize n, guint32 fwmark,
				const char *protocol, gsize max, const NatWebsocketFuncs *funcs,
				gpointer user_data);
void nat_websocket_free(NatWebsocket *ws); /* closes at once */
gboolean nat_websocket_is_open(NatWebsocket *ws);
/* The network changed: ends the connection unless the other side is heard of within 4 s. */
void nat_websocket_probe(NatWebsocket *ws);
/* FALSE when not open. Text is control: little, and said once only, so it has no bound. */
gboolean nat_websocket_send_text(NatWebsocket *ws, const char *text);
/* FALSE also when more than 1 MiB went out since the other side was last heard of. */
gboolean nat_websocket_send_binary(NatWebsocket *ws, GBytes *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatWebsocket, nat_websocket_free)
