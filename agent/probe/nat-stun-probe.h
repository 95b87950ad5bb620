/* SPDX-License-Identifier: MIT */
/*
 * NatStunProbe: what mapping the NAT gives WireGuard's port P: Binding requests from P to every
 * STUN server, once per local address (not per peer). The answers are the srflx candidates; two or
 * more servers tell the mapping behaviour (RFC 4787 §4.1, the way of RFC 5780 §4.3). Where all have
 * one address, the first other one that a server names (OTHER-ADDRESS) is asked too. It may be
 * anybody's: while nothing has answered from there it is asked twice, then for a minute not at the
 * same server's word, then for twice as long, and so on up to an hour. Host thread only.
 */
#pragma once

#include "agent/base/nat-stats.h"
#include "agent/base/nat-types.h"
#include "agent/mux/nat-mux.h"

typedef struct NatStunProbe NatStunProbe;

/* Called from the main loop when a mapping was learnt, changed or lost, or the servers fell silent.
 */
typedef void (*NatStunProbeFunc)(gpointer user_data);

NatStunProbe *nat_stun_probe_new(NatMux *mux, NatStunProbeFunc changed, gpointer user_data);
void nat_stun_probe_free(NatStunProbe *probe);
/* Where requests are counted; NULL (at first): nowhere. */
void nat_stun_probe_set_stats(NatStunProbe *probe, NatStats *stats);
/* The complete list each time; a changed list is probed at once. */
void nat_stun_probe_set_servers(NatStunProbe *probe, const WgEndpoint *servers, gsize n);
/* Probes all servers afresh. What is known stays until the answer, unless another local address or
 * port leads to the server now. Does nothing while a probe younger than a second runs, unless
 * `force`. */
void nat_stun_probe_run(NatStunProbe *probe, gboolean force);
/* The mapping is refreshed so often, so that it is true the moment a peer comes; 0 (at first):
 * never. */
void nat_stun_probe_set_keep(NatStunProbe *probe, guint seconds);
/* Mapped addresses that differ from the local one: SRFLX candidates. (transfer full, NatCandidate)
 */
GArray *nat_stun_probe_candidates(NatStunProbe *probe);
/* Public endpoints, also where there is no NAT. (transfer full, WgEndpoint) */
GArray *nat_stun_probe_public(NatStunProbe *probe);
/* The same as servers see it that are asked from this local address. */
GArray *nat_stun_probe_seen_from(NatStunProbe *probe, const WgEndpoint *local);
/* Local addresses (port P) that lead to the servers. (transfer full, WgEndpoint) */
GArray *nat_stun_probe_sources(NatStunProbe *probe);
/* As far as known. Where all servers that answered have one address and another is asked for the
 * first time, ENDPOINT_INDEPENDENT waits for it: UNKNOWN, for 2.4 s at most. */
NatMapping nat_stun_probe_mapping(NatStunProbe *probe);
/* Servers were asked from here until they were given up, and none answers now. */
gboolean nat_stun_probe_is_silent(const NatStunProbe *probe);
/* The first NAT that answers told of: our endpoint behind it, its public one, and the servers seen
 * through it (of WgEndpoint, appended). FALSE: none. */
gboolean nat_stun_probe_nat(NatStunProbe *probe, WgEndpoint *local, WgEndpoint *public_endpoint,
			    GArray *servers);

/* Pure: classifies what n servers answered for one local endpoint; exposed for tests. */
typedef struct {
	WgEndpoint server, mapped;
} NatStunAnswer;
NatMapping nat_stun_classify(const WgEndpoint *local, const NatStunAnswer *answers, gsize n);
