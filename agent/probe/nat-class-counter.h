/* SPDX-License-Identifier: MIT */
/*
 * NatClassRound: where a NAT's allocator stands: n fresh ports ask one server at once
 * (nat_class_probe_counter). Where it is a sequential one, another port asks some 100 ms before: so
 * one sees how fast others drive it on. Host thread only; the callback comes from the main loop.
 */
#pragma once

#include "agent/probe/nat-class-probe.h"

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
/* Whether a sequential allocator may have gone from one port to another within a round. At the end
 * of its range it may be so though FALSE. Pure. */
gboolean nat_class_in_step(guint16 from, guint16 to, gint16 step);
/* Whether it may have come to the end of its range in between, wherever that is: so far against the
 * step's direction that no packets out of order would explain it. Nothing can be said then. Pure.
 */
gboolean nat_class_may_wrap(guint16 from, guint16 to, gint16 step);
/* Mappings a second that others made, while the allocator went from one port to another and `ours`
 * of the mappings were made by us. 0 too where that can't be: it has wrapped around. Pure. */
guint nat_class_rate(guint16 from, guint16 to, gint16 step, gsize ours, gint64 elapsed_us);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatClassRound, nat_class_round_free)
