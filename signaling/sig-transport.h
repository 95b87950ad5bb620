/* SPDX-License-Identifier: MIT */
/*
 * SigTransport: WebSocket over TCP or TLS for SigConn, and the operator's HTTP pages: libwebsockets
 * on a libuv loop. The only file that knows libwebsockets. One thread, the loop's.
 */
#pragma once

#include <uv.h>

#include "signaling/sig-conn.h"
#include "signaling/sig-tls.h"

typedef struct SigTransport SigTransport;

typedef struct {
	/* Before anything of a SigConn is called: sets hub->now and hub->clock. */
	void (*tick)(gpointer user_data);
	/* The last connection is gone. */
	void (*empty)(gpointer user_data);
	/* A page of the operator's, by its path (transfer full); NULL: there is none. *ok FALSE:
	 * 503. */
	char *(*page)(const char *path, gboolean *ok, gpointer user_data);
} SigTransportFuncs;

/* Sets hub->wake. tls: NULL: plain; not kept. */
SigTransport *sig_transport_new(uv_loop_t *loop, SigHub *hub, const SigTls *tls,
				const SigTransportFuncs *funcs, gpointer user_data, GError **error);
/* Ends all connections; runs the loop for that. */
void sig_transport_free(SigTransport *transport);

/* What new connections are served with; only where there was TLS from the start. */
gboolean sig_transport_set_tls(SigTransport *transport, const SigTls *tls, GError **error);
/* A connection within the hub's bounds; fd is the callee's. */
void sig_transport_adopt(SigTransport *transport, int fd, const WgEndpoint *peer);
/* The same for one that asks for the operator's pages. */
void sig_transport_adopt_page(SigTransport *transport, int fd);
/* Connections of agents. */
guint sig_transport_count(const SigTransport *transport);
/* Those of the operator's pages. */
guint sig_transport_count_pages(const SigTransport *transport);
/* Tells all of them to come back within so many s, and closes. */
void sig_transport_drain(SigTransport *transport, guint within_s);
/* Ends a connection at once: what sig_conn_expire() asks for. */
void sig_transport_kill(SigConn *conn);
/* Calls func for each connection; it may end any, and free none. */
void sig_transport_foreach(SigTransport *transport, void (*func)(SigConn *conn, gpointer user_data),
			   gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigTransport, sig_transport_free)
