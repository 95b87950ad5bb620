/* SPDX-License-Identifier: MIT */
/*
 * NatAddressStore: the last good addresses of names, in one small GKeyFile of the state directory,
 * "<kind>-<public key in hex>". Every call reads or writes the file anew, so that several stores
 * over the same file agree. What is in the file may be anything: it is parsed, never trusted to be
 * well-formed. Host thread only.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

typedef struct NatAddressStore NatAddressStore;

/* state_dir NULL: memory only. */
NatAddressStore *nat_address_store_new(const char *state_dir, const char *kind,
				       const WgKey *own_public);
void nat_address_store_free(NatAddressStore *store);
/* GArray of WgEndpoint with this port; empty when nothing is known (transfer full). */
GArray *nat_address_store_get(NatAddressStore *store, const char *host, guint16 port);
/* Replaces the addresses of host; the file is rewritten (atomically, 0600) only when they are
 * others. The first failure is a warning, later ones are silent. */
void nat_address_store_put(NatAddressStore *store, const char *host, const GArray *addrs);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatAddressStore, nat_address_store_free)
