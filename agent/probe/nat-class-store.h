/* SPDX-License-Identifier: MIT */
/*
 * NatClassStore: what is remembered of networks' NATs in the state directory:
 * "nat-class-<key>.conf", a group per network (named as nat_lifetime_network_id makes it). Host
 * thread only.
 */
#pragma once

#include "agent/probe/nat-class.h"
#include "wgctl/wg-key.h"

#define NAT_CLASS_STORE_NETWORKS 64 /* remembered; the one not used for longest goes */

typedef struct NatClassStore NatClassStore;

/* Never fails: a file that cannot be read or written is one warning, and memory serves.
 * state_dir NULL: memory only. */
NatClassStore *nat_class_store_new(const char *state_dir, const WgKey *own_public);
void nat_class_store_free(NatClassStore *store);
/* FALSE (out all UNKNOWN): nothing is known of the network. probed_s: by the real clock, in s. */
gboolean nat_class_store_find(NatClassStore *store, const char *network, NatClass *out,
			      gint64 *probed_s);
void nat_class_store_keep(NatClassStore *store, const char *network, const NatClass *nat,
			  gint64 probed_s);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatClassStore, nat_class_store_free)
