/* SPDX-License-Identifier: MIT */
/*
 * PunchFlows: which peers of an interface are reached from another source port than WireGuard's:
 * one flow each at most, rewritten by the kernel (punch-rewrite), its port held by a bound socket
 * so that nobody else gets it; where the kernel does not, through this process (punch-detour), and
 * then it ends with it. Remembered in the state directory: what the kernel rewrites for a live
 * tunnel outlives the agent, is adopted by the next one, and goes when nothing uses it. Host thread
 * only.
 */
#pragma once

#include "agent/net/nat-packet.h"
#include "agent/punch/punch-rewrite.h"
#include "wgctl/wg-key.h"

typedef struct PunchFlows PunchFlows;

/* The file's name begins so; each of its groups names the interface by this key. */
#define PUNCH_FLOWS_KIND "ports"
#define PUNCH_FLOWS_INTERFACE "interface"

/* What an agent before us left is in force again (and what it left elsewhere in our table is not).
 * Never fails: where nothing can be remembered or rewritten, a warning says so. state_dir NULL:
 * memory only. */
PunchFlows *punch_flows_new(const char *ifname, const char *state_dir, const WgKey *own_public,
			    guint32 fwmark);
void punch_flows_free(PunchFlows *flows); /* what the kernel rewrites stays in force */
/* What STUN comes by the detours, as if it had come to WireGuard's port. */
typedef void (*PunchFlowsFunc)(const NatUdp *pkt, gpointer user_data);
void punch_flows_set_receiver(PunchFlows *flows, PunchFlowsFunc func, gpointer user_data);
/* The peer's flow from now on, instead of another one. fd: a socket bound to flow->port (taken,
 * also on failure). FALSE: it has none now. */
gboolean punch_flows_put(PunchFlows *flows, const WgKey *peer, const PunchFlow *flow, int fd,
			 GError **error);
/* WireGuard's endpoint for packets to `remote` must be this one; NULL: `remote` itself. (transfer
 * none, until the next change) */
const WgEndpoint *punch_flows_detour(PunchFlows *flows, const WgKey *peer,
				     const WgEndpoint *remote);
/* Sends STUN to `dst` where a detour leads there. FALSE: none does. */
gboolean punch_flows_send(PunchFlows *flows, const WgEndpoint *dst, const guint8 *msg, gsize len);
/* NULL: none. (transfer none, until the next change) */
const PunchFlow *punch_flows_get(PunchFlows *flows, const WgKey *peer);
guint punch_flows_count(PunchFlows *flows);
/* WireGuard has another mark. */
void punch_flows_set_fwmark(PunchFlows *flows, guint32 fwmark);
/* A flow does not answer: its rules may have been flushed with others'. Puts them in force again,
 * once a second at most. */
void punch_flows_renew(PunchFlows *flows, gint64 now_us);
typedef enum {
	PUNCH_FLOW_USED,
	PUNCH_FLOW_UNUSED, /* goes when it has been so for PUNCH_FLOW_GRACE_US: a NAT's mapping
			    * outlives a short silence */
	PUNCH_FLOW_VOID,   /* goes at once */
} PunchFlowUse;
#define PUNCH_FLOW_GRACE_US (30 * (gint64)G_USEC_PER_SEC)
typedef PunchFlowUse (*PunchFlowUseFunc)(const WgKey *peer, const PunchFlow *flow,
					 gpointer user_data);
void punch_flows_sweep(PunchFlows *flows, PunchFlowUseFunc use, gint64 now_us, gpointer user_data);
