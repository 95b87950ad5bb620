/* SPDX-License-Identifier: MIT */
/*
 * Whether a gateway's word about its outside address is true: STUN servers see it, or do not. Pure;
 * any thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef enum {
	MAP_BELIEVED,	  /* STUN servers see us there; or none answers, and it could be */
	MAP_DOUBLE_NAT,	  /* it is no address of the internet's: another NAT is behind */
	MAP_CONTRADICTED, /* STUN servers see us at another */
} MapBelief;

/* seen: our addresses as STUN servers see them, of both families. */
MapBelief map_belief(const WgEndpoint *external, const WgEndpoint *seen, gsize n);
/* Whether there is anything that a mapping could help: not, where the address that STUN servers see
 * is our own; for an address of the internet only where it is known not to be. IPv6: always, for a
 * firewall may want a pinhole, which nothing tells. */
gboolean map_is_needed(const WgEndpoint *own, const WgEndpoint *seen, gsize n);
/* Private, or of documentation, benchmarks, protocols, the future: not of the internet. */
gboolean map_is_special(const WgEndpoint *address);
