/* SPDX-License-Identifier: MIT */
#include "signaling/sig-gate.h"

struct SigGate {
	GHashTable *counts; /* GBytes prefix → count; as many entries as connections at most */
	guint total, max_total, max_per_address;
};

SigGate *
sig_gate_new(guint max_total, guint max_per_address)
{
	SigGate *gate = g_new0(SigGate, 1);

	gate->counts = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
					     (GDestroyNotify)g_bytes_unref, NULL);
	gate->max_total = max_total;
	gate->max_per_address = max_per_address;
	return gate;
}

void
sig_gate_free(SigGate *gate)
{
	g_hash_table_unref(gate->counts);
	g_free(gate);
}

/* Whoever has one IPv6 address has a /64 of them. */
const guint8 *
sig_gate_prefix(const WgEndpoint *address, gsize *len)
{
	const guint8 *bytes = wg_endpoint_bytes(address, len);

	*len = bytes ? MIN(*len, 8) : 0;
	return bytes;
}

static GBytes *
prefix_bytes(const WgEndpoint *address)
{
	gsize len;
	const guint8 *bytes = sig_gate_prefix(address, &len);

	return g_bytes_new(bytes, len);
}

gboolean
sig_gate_enter(SigGate *gate, const WgEndpoint *address)
{
	g_autoptr(GBytes) prefix = prefix_bytes(address);
	guint count = GPOINTER_TO_UINT(g_hash_table_lookup(gate->counts, prefix));

	if (gate->total >= gate->max_total || count >= gate->max_per_address)
		return FALSE;
	gate->total++;
	g_hash_table_replace(gate->counts, g_steal_pointer(&prefix), GUINT_TO_POINTER(count + 1));
	return TRUE;
}

void
sig_gate_leave(SigGate *gate, const WgEndpoint *address)
{
	g_autoptr(GBytes) prefix = prefix_bytes(address);
	guint count = GPOINTER_TO_UINT(g_hash_table_lookup(gate->counts, prefix));

	if (count == 0)
		return;
	gate->total--;
	if (count == 1)
		g_hash_table_remove(gate->counts, prefix);
	else
		g_hash_table_replace(gate->counts, g_steal_pointer(&prefix),
				     GUINT_TO_POINTER(count - 1));
}

guint
sig_gate_total(const SigGate *gate)
{
	return gate->total;
}
