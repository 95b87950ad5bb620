/* SPDX-License-Identifier: MIT */
/*
 * NatClassFilter: whom a NAT lets in (RFC 5780 §4.4): a port that has sent to one place only has
 * the server there answer from another one. That nothing comes counts only where the server is seen
 * to answer from there once the NAT lets it in, and after an answer to a later question: so a lost
 * packet, a slow server and one that can't do it are UNKNOWN, not a guess. With one address and two
 * ports a server can show ADDRESS_AND_PORT_DEPENDENT, and nothing else. Some 1.2 s and 12 requests
 * at most without loss. Host thread only; the callback comes from the main loop.
 */
#pragma once

#include "agent/probe/nat-class.h"

typedef struct NatClassFilter NatClassFilter;

/* Comes once. The filter may be freed inside. */
typedef void (*NatClassFilterFunc)(NatFiltering filtering, gpointer user_data);

/* Starts at once. tester: the server; other: its other address with its other port, or only its
 * other port. mapping: as it is known of another port. sent: counts requests, may be NULL. NULL: no
 * socket is to be had. */
NatClassFilter *nat_class_filter_new(const WgEndpoint *local, guint32 fwmark, NatMapping mapping,
				     const WgEndpoint *tester, const WgEndpoint *other, guint *sent,
				     NatClassFilterFunc func, gpointer user_data);
void nat_class_filter_free(NatClassFilter *filter);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatClassFilter, nat_class_filter_free)
