/* SPDX-License-Identifier: MIT */
/*
 * At which addresses STUN is answered: which two of them form RFC 5780's primary and alternate
 * address, and by what addresses clients know them where a one-to-one NAT stands before the server,
 * as at cloud providers. Pure.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

/* Ports are 0. */
typedef struct {
	WgEndpoint local, public;
} SigStunExternal;

typedef struct {
	WgEndpoint first;
	WgEndpoint second; /* unset: alone */
} SigStunPair;

/* Appends what texts say ("10.0.0.4=203.0.113.4"). stun: of WgEndpoint, where STUN is answered. The
 * error is one line. */
gboolean sig_stun_external_parse(GArray *out, const char *const *texts, const GArray *stun,
				 GError **error);
/* The address as clients know it; its port stays. externals: of SigStunExternal. */
WgEndpoint sig_stun_external_of(const GArray *externals, const WgEndpoint *local);

/* Each address with the next one that differs, of the same family and port, neither a wildcard;
 * the rest alone. addresses: of WgEndpoint. (transfer full, of SigStunPair) */
GArray *sig_stun_pairs(const GArray *addresses);
