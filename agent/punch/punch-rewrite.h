/* SPDX-License-Identifier: MIT */
/*
 * PunchRewrite: a stateless rewrite of single flows in the kernel (nftables): what WireGuard sends
 * from its own port to one endpoint leaves from another source port, what that endpoint sends to
 * that port comes in at WireGuard's. Conntrack and the host's firewall see WireGuard's port alone,
 * and so do raw sockets: the hooks are beyond theirs on both ways. All rules are in one table of
 * our own per interface, replaced in one transaction; nothing of anybody else's is read or touched.
 *
 * libnftables is loaded when it is first needed; without it, or where the kernel refuses, the error
 * says so. Host thread only; a call takes a millisecond or so.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#include <gio/gio.h>

typedef struct PunchRewrite PunchRewrite;

typedef struct {
	WgEndpoint local;  /* the address of ours, and WireGuard's port */
	WgEndpoint remote; /* where the flow leads */
	guint16 port;	   /* that it uses instead */
} PunchFlow;

/* The table's name is made of the interface's. Nothing is done to the kernel until the first
 * punch_rewrite_set(). */
PunchRewrite *punch_rewrite_new(const char *ifname);
void punch_rewrite_free(PunchRewrite *rewrite); /* the table stays as it is */
/* These flows and no others, from now on; none: the table is removed. Families of local and remote
 * must be equal. FALSE: nothing was changed. */
gboolean punch_rewrite_set(PunchRewrite *rewrite, const PunchFlow *flows, gsize n, GError **error);
/* Pure: the transaction for it, for tests. (transfer full) */
char *punch_rewrite_text(const char *ifname, const PunchFlow *flows, gsize n);
