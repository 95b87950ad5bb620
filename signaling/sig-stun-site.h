/* SPDX-License-Identifier: MIT */
/*
 * SigStunSite: the UDP sockets of one STUN address, or of a pair, and their service:
 *
 *                    P      P + 1
 *     address        0        1       of RFC 5780: (A1,P1) (A1,P2)
 *     second         2        3                    (A2,P1) (A2,P2)
 *
 * Port P is bound at each; P + 1 where it is free, so that agents can compare their mappings. A
 * pair changes addresses only where all four are there (RFC 5780 §6). At a wildcard address the
 * kernel tells of each request which address was asked (IP_PKTINFO), and the answer leaves from
 * that.
 */
#pragma once

#include "signaling/sig-ratelimit.h"
#include "signaling/sig-stun-address.h"

#define SIG_STUN_SITE_SOCKETS 4

typedef struct SigStunSite SigStunSite;

/* Each packet is counted in requests and in one of the others. */
typedef struct {
	guint64 requests;     /* packets that came in */
	guint64 answered;     /* by success */
	guint64 refused;      /* by an error */
	guint64 malformed;    /* dropped: no Binding request, damaged, or from our own ports */
	guint64 rate_limited; /* dropped */
	guint64 unsent;	      /* the kernel did not take the answer */
} SigStunCounts;

/* Port 0 takes a free one that has all the others where there is such. externals (of
 * SigStunExternal) must outlive the site. The error names the address and the remedy. */
SigStunSite *sig_stun_site_new(const SigStunPair *pair, const GArray *externals, GError **error);
void sig_stun_site_free(SigStunSite *site);
/* -1: there is no such socket; index: below SIG_STUN_SITE_SOCKETS. The site's, non-blocking. */
int sig_stun_site_fd(const SigStunSite *site, guint index);
/* Two addresses, and all four sockets. */
gboolean sig_stun_site_is_pair(const SigStunSite *site);
/* P, host byte order; 0 for next when P + 1 is not there at the first address. */
guint16 sig_stun_site_port(const SigStunSite *site, guint16 *next);

/* Reads what waits at a socket and answers within the limit of each source (IPv4 address or IPv6
 * /64), which is taken before the request is looked into. now: µs, monotonic. */
void sig_stun_site_serve(SigStunSite *site, guint index, SigRateLimit *limit, SigStunCounts *counts,
			 gint64 now);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigStunSite, sig_stun_site_free)
