/* SPDX-License-Identifier: MIT */
/*
 * NatIceNs: where libnice lives, and nothing else (DESIGN §2): one thread whose packets' only way
 * out is a TUN device. It has a private network namespace, or, where there is no permission for
 * one, private addresses in the agent's own (nat-ice-home). Addresses here are the host's; "inside"
 * are those that libnice sees.
 *
 * Threads: all functions are called from the host thread but _bind and _context. The ICE thread
 * runs nat_ice_ns_context() and nothing but libnice callbacks; it must never start a GLib pool
 * worker (no GTask thread, GResolver, async GFile).
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct NatIceNs NatIceNs;

/* Starts the thread: namespace, TUN, routes; blocks until ready. The error names the missing
 * capability or device ("CAP_NET_ADMIN", "/dev/net/tun") in one line. */
NatIceNs *nat_ice_ns_new(GError **error);
/* Stops the loop, joins the thread, closes everything; nothing of it is left. */
void nat_ice_ns_free(NatIceNs *ns);
/* The ICE thread's context (transfer none): attach sources with g_source_attach, never
 * g_main_context_invoke (it may run the function in the caller). */
GMainContext *nat_ice_ns_context(NatIceNs *ns);
/* Runs func(data) once in the ICE thread, in order of calls, then `destroy` there. */
void nat_ice_ns_invoke(NatIceNs *ns, void (*func)(gpointer), gpointer data, GDestroyNotify destroy);
/* The TUN's fd, owned by ns, read by the host thread: whole IP packets from inside addresses. */
int nat_ice_ns_tun_fd(NatIceNs *ns);
/* Delivers a whole IP packet whose destination is this inside address. FALSE with errno: lost. */
gboolean nat_ice_ns_deliver(NatIceNs *ns, const WgEndpoint *to, const guint8 *pkt, gsize len);
/* How libnice is kept apart: "namespace" or "rules". */
const char *nat_ice_ns_isolation(const NatIceNs *ns);
/* ICE thread: every socket, before it sends. */
void nat_ice_ns_bind(const NatIceNs *ns, int fd);
/* Whether sockets of libnice can have the port. */
gboolean nat_ice_ns_port_is_free(const NatIceNs *ns, guint16 port);
/* Makes the TUN carry exactly these addresses, or what stands for them (/32, /128 nodad; ports
 * ignored). Blocks for the kernel's answers; when it returns TRUE, sockets inside can bind to those
 * that _to_inside() knows: all, but IPv6 ones where new interfaces have no IPv6. */
gboolean nat_ice_ns_set_addresses(NatIceNs *ns, const WgEndpoint *addrs, gsize n, GError **error);
/* The same endpoint inside, and back; the port stays. Both may be one variable. FALSE (and nothing
 * is changed): the TUN does not carry it. */
gboolean nat_ice_ns_to_inside(const NatIceNs *ns, const WgEndpoint *host, WgEndpoint *inside);
gboolean nat_ice_ns_to_host(const NatIceNs *ns, const WgEndpoint *inside, WgEndpoint *host);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatIceNs, nat_ice_ns_free)
