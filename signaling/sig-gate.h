/* SPDX-License-Identifier: MIT */
/*
 * SigGate: how many connections may be open that have not logged in: in total and from one address
 * (IPv4 address, IPv6 /64). A connection enters when accepted and leaves when it has logged in or
 * is gone. Pure.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct SigGate SigGate;

SigGate *sig_gate_new(guint max_total, guint max_per_address);
void sig_gate_free(SigGate *gate);
/* FALSE when full; then there is nothing to leave. */
gboolean sig_gate_enter(SigGate *gate, const WgEndpoint *address);
void sig_gate_leave(SigGate *gate, const WgEndpoint *address);
guint sig_gate_total(const SigGate *gate);

/* What counts as one address: 4 or 8 bytes for hashing and limiting; *len set. */
const guint8 *sig_gate_prefix(const WgEndpoint *address, gsize *len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigGate, sig_gate_free)
