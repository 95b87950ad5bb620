/* SPDX-License-Identifier: MIT */
/*
 * NatClassRound: one quick look at where a NAT's allocator stands: n fresh ports ask one server at
 * once (nat_class_probe_counter). Host thread only; the callback comes from the main loop.
 */
#pragma once

#include "agent/nat-class-probe.h"

typedef struct NatClassRound NatClassRound;

/* Starts at once. step: of a sequential allocator, 0: none is known; by it the newest port is told
 * where answers were late. func comes once; the round may be freed inside. NULL: no port is to be
 * had. */
NatClassRound *nat_class_round_new(const WgEndpoint *local, guint32 fwmark,
				   const WgEndpoint *server, gsize n, gint16 step,
				   NatClassCounterFunc func, gpointer user_data);
void nat_class_round_free(NatClassRound *round);

/* The index of the port that was made last: the furthest one in the step's direction, past the end
 * of the range too; without a step the last one. n >= 1. Pure. */
gsize nat_class_newest(const guint16 *ports, gsize n, gint16 step);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatClassRound, nat_class_round_free)
