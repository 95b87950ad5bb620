/* SPDX-License-Identifier: MIT */
/*
 * NatLifetimeProbe: tests how long the NAT keeps silent mappings, on sockets of its own that nobody
 * needs, so that no tunnel is risked. For each silence T one ephemeral UDP socket learns its
 * mapping from a STUN server, stays silent for T, and is then asked for:
 *
 *   - where the server knows RESPONSE-PORT (RFC 5780 §4.6; nat-signald does): from another socket
 *     the server is told to answer to the first one's mapped port. The answer comes in: held; it
 *     does not: lost. Works with every NAT and firewall.
 *   - else the socket itself asks again: another mapped port: lost; the same: held. A NAT that
 *     keeps ports shows the same one in any case, so there it stays undecided.
 *
 * A mapping is used twice, `settle_ms` apart, before its silence: Linux and others keep one that is
 * in use for some seconds longer than one that saw a single exchange, and WireGuard's is of the
 * former kind. Some 30 s, 10 packets and 2 sockets for each silence, all at once.
 * Host thread only; callbacks come from the main loop.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#define NAT_LIFETIME_PROBE_SILENCES 8 /* at most */
#define NAT_LIFETIME_PROBE_SERVERS 8  /* more are not used */

typedef enum {
	NAT_LIFETIME_HELD,
	NAT_LIFETIME_LOST,
	NAT_LIFETIME_UNDECIDED,
} NatLifetimeVerdict;

typedef struct {
	guint silences_ms[NAT_LIFETIME_PROBE_SILENCES];
	gsize n;
	guint settle_ms;
} NatLifetimeProbeTimes;

typedef struct NatLifetimeProbe NatLifetimeProbe;

/* A silence was tested. Longer ones than a lost one are given up without a word. last: nothing more
 * will come. The probe may be freed inside. */
typedef void (*NatLifetimeProbeFunc)(guint silence_ms, NatLifetimeVerdict verdict, gboolean last,
				     gpointer user_data);

/* Starts at once. servers: tried in turn until one answers; none at all: each is undecided. times
 * NULL: from 4.5 to 26 s. */
NatLifetimeProbe *nat_lifetime_probe_new(const WgEndpoint *servers, gsize n_servers, guint32 fwmark,
					 const NatLifetimeProbeTimes *times,
					 NatLifetimeProbeFunc func, gpointer user_data);
void nat_lifetime_probe_free(NatLifetimeProbe *probe);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatLifetimeProbe, nat_lifetime_probe_free)
