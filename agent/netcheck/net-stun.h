/* SPDX-License-Identifier: MIT */
/* Questions to STUN servers from ordinary UDP sockets. Blocking, each with its patience; any
 * thread. */
#pragma once

#include "agent/mux/nat-stun.h"

typedef struct {
	WgEndpoint mapped, other; /* other: RFC 5780's, unset where the server has none */
	double ms;
} NetReply;

gint64 net_stun_now_ms(void); /* monotonic */
/* Bound to any port; v6 is v6 only. -1 with errno. */
int net_stun_open(int af);
guint16 net_stun_local_port(int fd);
/* The address that the kernel would send from. FALSE: nothing leads there. */
gboolean net_stun_source(const WgEndpoint *to, WgEndpoint *out);
/* change: NAT_STUN_CHANGE_* bits, 0: a plain request. 0, or an errno that says why there is no
 * answer: ETIMEDOUT; EPROTO, the server refused; what the kernel said (ECONNREFUSED on a connected
 * socket only). */
int net_stun_ask(int fd, const WgEndpoint *to, guint change, guint patience_ms, NetReply *out);
/* The same from a socket of its own, connected, so that refusals are told. */
int net_stun_check(const WgEndpoint *to, guint patience_ms, double *ms);
/* Whether a request with this id arrives within patience_ms. */
gboolean net_stun_hear(int fd, const guint8 id[NAT_STUN_ID_LEN], guint patience_ms);
/* "timed out", "refused (nothing listens there)", …; static. */
const char *net_stun_problem(int error);
