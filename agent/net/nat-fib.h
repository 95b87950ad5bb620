/* SPDX-License-Identifier: MIT */
/*
 * NatFib: asks the kernel's routing tables (rtnetlink RTM_GETROUTE) and addresses. This is how the
 * agent learns which local address WireGuard's packets to R will carry: the FIB, asked with
 * WireGuard's fwmark and without a source (DESIGN §2). Host thread only; calls block for a
 * kernel round trip (microseconds).
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct NatFib NatFib;

typedef struct {
	WgEndpoint source; /* the address the kernel would choose; port 0 */
	/* The router; port 0, a link-local one with its scope. Unset: none, or of another family.
	 */
	WgEndpoint gateway;
	int oif;	  /* ifindex */
	gboolean on_link; /* no gateway, no line to a provider: in a network that we are in */
	gboolean local;	  /* destination is an address of this host */
	gboolean tunnel;  /* leaves by WireGuard, tun, ipip, gre, sit, vti, xfrm, … */
} NatRoute;

/* Somewhere in the internet (root server A), to ask which address leads out: at the port that STUN
 * would be sent to, for rules may look at it. Nothing is ever sent there. Pure. family: AF_INET or
 * AF_INET6. */
WgEndpoint nat_fib_far(int family);

NatFib *nat_fib_new(GError **error);
void nat_fib_free(NatFib *fib);
/* From TRUE to FALSE each link is looked at once, which halves the round trips of many questions in
 * a row. Not to be left on. */
void nat_fib_remember(NatFib *fib, gboolean on);
typedef enum {
	NAT_FIB_FOUND,
	NAT_FIB_NONE,	/* no route, or it is unreachable, prohibited, blackhole; or no source */
	NAT_FIB_FAILED, /* the kernel did not answer: nothing is known */
} NatFibResult;
/* out is zeroed where nothing is found. */
NatFibResult nat_fib_ask(NatFib *fib, const WgEndpoint *dst, guint32 fwmark, NatRoute *out);
/* nat_fib_ask where a kernel that does not answer is as good as no route.
 * FALSE when there is no route (or it is unreachable, prohibited, blackhole) or no source. */
gboolean nat_fib_lookup(NatFib *fib, const WgEndpoint *dst, guint32 fwmark, NatRoute *out);
/* All addresses of this host that packets may carry: GArray of WgEndpoint (port 0), without
 * loopback, link-local, tentative, deprecated and dadfailed ones. (transfer full) */
GArray *nat_fib_addresses(NatFib *fib);
/* Whether an address is this host's own (any interface, any state). */
gboolean nat_fib_is_own(NatFib *fib, const WgEndpoint *addr);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatFib, nat_fib_free)
