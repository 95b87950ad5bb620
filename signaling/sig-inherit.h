/* SPDX-License-Identifier: MIT */
/*
 * Sockets that another process opened for us: systemd (socket activation: sd_listen_fds(3)), or the
 * nat-signald that this one replaces (sig-handover). Like the descriptors themselves, the list of
 * them is the process's. Main thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef enum {
	SIG_SOCKET_LISTEN,  /* WebSocket: a listening TCP socket */
	SIG_SOCKET_STUN,    /* a bound UDP socket */
	SIG_SOCKET_METRICS, /* a listening TCP socket */
} SigSocketKind;

#define SIG_INHERIT_FIRST 3 /* the first descriptor handed over, as with systemd */
/* What each of those is: a letter for each, in their order; set by sig-handover. */
#define SIG_INHERIT_ENV "NAT_SIGNALD_SOCKETS"

/* Takes what there is out of the environment. The error names a descriptor that is no socket we
 * could serve. From systemd: TCP is WebSocket, but metrics where FileDescriptorName=metrics; UDP is
 * STUN. */
gboolean sig_inherit_init(GError **error);
/* Where those of a kind are bound, in order (of WgEndpoint, transfer full); may be empty. */
GArray *sig_inherit_addresses(SigSocketKind kind);
/* The first one bound there (port 0: any port), which is the caller's from now on: non-blocking and
 * close-on-exec. -1: none. */
int sig_inherit_take(SigSocketKind kind, const WgEndpoint *address);
/* Closes what nobody took; how many. */
guint sig_inherit_close_rest(void);

char sig_socket_kind_letter(SigSocketKind kind);
