/* SPDX-License-Identifier: MIT */
/*
 * NatClassProbe: finds out how the NAT of the present network behaves (NatClass), once per network,
 * remembers it in the state directory, and tells where a sequential allocator stands right now.
 *
 *   UNKNOWN ──NAT seen──▶ WAITING ──0.5 to 30 s──▶ TESTING ──result──▶ KNOWN
 *      └──────known from the state directory──────────────────────────▶ │
 *                            ▲─ mapping or counter contradicts, 7 days ──┘
 *
 * Whether one mapping serves all destinations is what WireGuard's own port P shows
 * (nat-stun-probe), and is only told to this object. All else comes from extra source ports:
 * ordinary UDP sockets at the same local address with the interface's fwmark. A run
 * (nat-class-test) takes a second or two and asks a server at most 40 times. It begins half a
 * second after the mapping was learnt, or where that stays unknown after 3 s; after a doubt of the
 * counter only when the attempt that asked for it is over (30 s). After one that found nothing out,
 * or in a network whose public address changes all the time, the next waits, each time longer. Host
 * thread only; callbacks come from the main loop.
 */
#pragma once

#include "agent/probe/nat-class.h"
#include "wgctl/wg-key.h"

#define NAT_CLASS_COUNTER_MAX 16

typedef struct NatClassProbe NatClassProbe;

/* The class became known, changed, or is that of another network (or none) now. The probe may not
 * be freed inside. */
typedef void (*NatClassProbeFunc)(gpointer user_data);

/* ifname: for the log. state_dir NULL: memory only. delay_ms: between the first that is known of a
 * mapping and a run, of which other waits are multiples; 0: as in the field. */
NatClassProbe *nat_class_probe_new(const char *ifname, const char *state_dir,
				   const WgKey *own_public, guint32 fwmark, guint delay_ms,
				   NatClassProbeFunc changed, gpointer user_data);
void nat_class_probe_free(NatClassProbe *probe); /* counters end without a call */
void nat_class_probe_set_fwmark(NatClassProbe *probe, guint32 fwmark);
/* Behind a NAT: our endpoint there, its public one, how P is mapped, the STUN servers beyond it
 * that answered. Said again, as often as one likes, the same changes nothing. */
void nat_class_probe_set_nat(NatClassProbe *probe, const WgEndpoint *local,
			     const WgEndpoint *public_endpoint, NatMapping mapping,
			     const WgEndpoint *servers, gsize n);
/* Nothing is known of the present network now. */
void nat_class_probe_set_lost(NatClassProbe *probe);
/* Not behind one: P's filtering would be a firewall's, of which other ports tell nothing. */
void nat_class_probe_set_open(NatClassProbe *probe);

/* Our endpoint behind the NAT; NULL: none is known of. (transfer none) */
const WgEndpoint *nat_class_probe_local(const NatClassProbe *probe);
/* Of the present network; all UNKNOWN: not known (yet). Valid until the probe is freed; its
 * contents change. (transfer none) */
const NatClass *nat_class_probe_class(const NatClassProbe *probe);
gboolean nat_class_probe_is_testing(const NatClassProbe *probe);

/* What fresh source ports became, asked of one server at once. */
typedef struct {
	WgEndpoint newest;		      /* public: the address, and the port made last */
	guint16 ports[NAT_CLASS_COUNTER_MAX]; /* outside, in the order in which they were asked */
	gsize n;			      /* that were answered, at least 1 */
	guint rate; /* others' mappings a second, of a sequential allocator; 0: few, or not known */
	gboolean out_of_step; /* a sequential allocator would not have made these; FALSE where all
			       * kept their ports: it may count only further mappings of a port */
} NatClassCounter;

/* counter NULL: no answer came in time. */
typedef void (*NatClassCounterFunc)(const NatClassCounter *counter, gpointer user_data);

/* Sends from n (1 to NAT_CLASS_COUNTER_MAX) fresh ports: right now, or where the allocator is known
 * to be sequential, after a first look from one more. The callback comes once, from the main loop,
 * as soon as all are answered, after a second for each look at the latest. Returns an id to cancel
 * it by; 0, and no call will come: no server is known, or too many of these are under way. */
guint nat_class_probe_counter(NatClassProbe *probe, gsize n, NatClassCounterFunc func,
			      gpointer user_data);
void nat_class_probe_counter_cancel(NatClassProbe *probe, guint id); /* 0, unknown: nothing */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatClassProbe, nat_class_probe_free)
