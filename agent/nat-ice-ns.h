/* SPDX-License-Identifier: MIT */
/*
 * NatIceNs: the ICE namespace: one thread in a private network namespace whose only way out is a
 * TUN device. libnice lives there and nowhere else (DESIGN §2).
 *
 * Threads: _new, _set_addresses, _invoke and _free are called from the host thread. The ICE
 * thread runs nat_ice_ns_context() and nothing but libnice callbacks; it must never start a GLib
 * pool worker (no GTask thread, GResolver, async GFile).
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct NatIceNs NatIceNs;

/* Starts the thread: unshare(CLONE_NEWNET), TUN (IFF_TUN|IFF_NO_PI, MTU 1500, addr_gen_mode=1,
 * non-blocking fd), lo and TUN up, default routes v4 and v6 via the TUN, a rtnetlink socket opened
 * there and used by the host thread. Blocks until ready. The error names the missing
 * capability or device ("CAP_SYS_ADMIN", "/dev/net/tun") in one line. */
NatIceNs *nat_ice_ns_new(GError **error);
/* Stops the loop, joins the thread, closes everything; the namespace dies with it. */
void nat_ice_ns_free(NatIceNs *ns);
/* The ICE thread's context (transfer none): attach sources with g_source_attach, never
 * g_main_context_invoke (it may run the function in the caller). */
GMainContext *nat_ice_ns_context(NatIceNs *ns);
/* Runs func(data) once in the ICE thread, in order of calls, then `destroy` there. */
void nat_ice_ns_invoke(NatIceNs *ns, void (*func)(gpointer), gpointer data, GDestroyNotify destroy);
/* The TUN's fd, owned by ns, read and written by the host thread: whole IP packets. */
int nat_ice_ns_tun_fd(NatIceNs *ns);
/* Makes the TUN carry exactly these addresses (/32, /128 nodad; ports ignored). Blocks for the
 * kernel's answers; when it returns TRUE, sockets in the namespace can bind to them. */
gboolean nat_ice_ns_set_addresses(NatIceNs *ns, const WgEndpoint *addrs, gsize n, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatIceNs, nat_ice_ns_free)
