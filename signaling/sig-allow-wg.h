/* SPDX-License-Identifier: MIT */
/*
 * SigAllowWg: who may log in by a WireGuard device: its peers, each from where WireGuard lets that
 * peer's packets come from. A snapshot, made from a WgDevice; no I/O.
 */
#pragma once

#include "wgctl/wg-device.h"

typedef struct SigAllowWg SigAllowWg;

SigAllowWg *sig_allow_wg_new(const WgDevice *device);
void sig_allow_wg_free(SigAllowWg *allow);
/* Whether a connection from this address may log in with this key: the address belongs to that peer
 * (the longest of all allowed IPs that match is one of its own); or the key is the device's own and
 * the address is the host's (from_here). */
gboolean sig_allow_wg_check(const SigAllowWg *allow, const WgKey *key, const WgEndpoint *address,
			    gboolean from_here);
gboolean sig_allow_wg_knows(const SigAllowWg *allow, const WgKey *key);
guint sig_allow_wg_n_peers(const SigAllowWg *allow);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigAllowWg, sig_allow_wg_free)
