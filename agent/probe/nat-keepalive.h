/* SPDX-License-Identifier: MIT */
/*
 * NatKeepalive: how often a mapping of ours must be used in the present network so that it stays:
 * what NatLifetime remembers of the network, and where that is nothing, what NatLifetimeProbe finds
 * out meanwhile.
 *
 *   UNKNOWN ──NAT seen──▶ TESTING ──verdicts──▶ KNOWN (tested again now and then)
 *      └──none──▶ OPEN       └──the servers cannot tell──▶ UNTOLD ──a minute, doubled──▶ TESTING
 *
 * While it is not known, the mapping is used as often as the shortest-lived NATs need; what is held
 * for long enough by the sacrificial sockets alone is used for tunnels. Host thread only; the
 * callback comes from the main loop.
 */
#pragma once

#include "agent/probe/nat-lifetime-probe.h"
#include "wgctl/wg-key.h"

typedef struct NatKeepalive NatKeepalive;

/* The interval changed. */
typedef void (*NatKeepaliveFunc)(gpointer user_data);

/* ifname: for the log. state_dir NULL: memory only. times NULL: those of the field. */
NatKeepalive *nat_keepalive_new(const char *ifname, const char *state_dir, const WgKey *own_public,
				guint32 fwmark, const NatLifetimeProbeTimes *times,
				NatKeepaliveFunc changed, gpointer user_data);
void nat_keepalive_free(NatKeepalive *keepalive);
void nat_keepalive_set_fwmark(NatKeepalive *keepalive, guint32 fwmark);
/* Behind a NAT: our address there, its public one, the STUN servers beyond it. Another network ends
 * the test of the last one; the present one said again changes nothing. */
void nat_keepalive_set_nat(NatKeepalive *keepalive, const WgEndpoint *local,
			   const WgEndpoint *public_address, const WgEndpoint *servers, gsize n);
/* Not behind one. */
void nat_keepalive_set_open(NatKeepalive *keepalive);
/* A path went silent: is what is remembered still true? Tests again, at most every 5 minutes. */
void nat_keepalive_doubt(NatKeepalive *keepalive);

/* Seconds between two packets. */
guint16 nat_keepalive_s(const NatKeepalive *keepalive);
/* The longest silence, in s, that a mapping here is known to survive (25: or more); 0: unknown, or
 * there is no NAT. */
guint nat_keepalive_lifetime_s(const NatKeepalive *keepalive);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatKeepalive, nat_keepalive_free)
