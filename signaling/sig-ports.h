/* SPDX-License-Identifier: MIT */
/*
 * SigPorts: the server's own sockets, on its libuv loop: listening ones, from which it accepts, and
 * STUN ones, which it answers. Survives running out of file descriptors: one kept in
 * spare is given up for a moment to turn a connection away; where even that fails, listening pauses
 * for a second, because the poll would spin.
 */
#pragma once

#include <uv.h>

#include "signaling/sig-config.h"
#include "signaling/sig-handover.h"
#include "signaling/sig-stun-site.h"
#include "signaling/sig-wire.h"

typedef struct SigPorts SigPorts;

/* A connection was accepted; fd is the callee's. peer: NULL: it asks for the operator's pages. */
typedef void (*SigPortsFunc)(int fd, const WgEndpoint *peer, gpointer user_data);

/* Binds what config says, or takes what was inherited for it (sig-inherit); the error names the
 * address and the remedy. NULL on error; the loop must then be run once more for handles to close.
 */
SigPorts *sig_ports_new(uv_loop_t *loop, const SigConfig *config, SigPortsFunc func,
			gpointer user_data, GError **error);
/* The handles close when the loop runs. */
void sig_ports_free(SigPorts *ports);
/* For agents; STUN and the operator's pages are answered on. */
void sig_ports_stop_listening(SigPorts *ports);
/* For the operator's pages: another process has them. */
void sig_ports_stop_pages(SigPorts *ports);
/* All sockets, still this one's (of SigHandoverSocket, transfer container). */
GArray *sig_ports_sockets(const SigPorts *ports);
/* Once a second. */
void sig_ports_tick(SigPorts *ports);

/* The UDP ports really bound. */
const guint16 *sig_ports_stun(const SigPorts *ports, guint *n);
/* "ws://0.0.0.0:8080; STUN on UDP 3478, 3479; metrics on http://127.0.0.1:9478" (transfer full);
 * *public_out: strangers may come. */
char *sig_ports_describe(const SigPorts *ports, gboolean tls, gboolean *public_out);
/* All sockets together; grows until sig_ports_free(). */
const SigStunCounts *sig_ports_stun_counts(const SigPorts *ports);
guint64 sig_ports_turned_away(const SigPorts *ports);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigPorts, sig_ports_free)
