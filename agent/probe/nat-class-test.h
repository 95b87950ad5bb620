/* SPDX-License-Identifier: MIT */
/*
 * NatClassTest: one run of questions that show how the NAT behaves, from extra source ports
 * (nat-stun-socket), each after the answer to the last, so that the order in which the NAT saw them
 * is known:
 *
 *   SOURCES       10 ports → one server: how a port's mapping is chosen.
 *   DESTINATIONS  where a mapping does not serve all destinations: a port → each server, at its
 *                 other address and port too (RFC 5780); with few of them, more ports.
 *   FILTERING     a port that has asked one server has it answer from elsewhere (CHANGE-REQUEST,
 *                 RFC 5780 §4.4). Silence counts only where the server is seen to answer from
 *                 there once the NAT lets that in.
 *
 * An other address is only a server's word: one that is silent is sent four packets in a run, and
 * none of any server is used then.
 *
 * A second or two. Host thread only; the callback comes from the main loop.
 */
#pragma once

#include "agent/probe/nat-class.h"

#define NAT_CLASS_TEST_SERVERS 8 /* more are not used */

typedef struct NatClassTest NatClassTest;

typedef struct {
	NatAllocation by_source;
	NatAllocation by_destination; /* UNKNOWN: not tested, or too few new mappings */
	NatFiltering filtering;
} NatClassResult;

/* Comes once. The test may be freed inside. */
typedef void (*NatClassTestFunc)(const NatClassResult *result, gpointer user_data);

/* Starts at once. local: the address that leads to the servers; mapping: as it is known of another
 * port there. */
NatClassTest *nat_class_test_new(const WgEndpoint *local, guint32 fwmark, NatMapping mapping,
				 const WgEndpoint *servers, gsize n, NatClassTestFunc func,
				 gpointer user_data);
void nat_class_test_free(NatClassTest *test);
/* What has been sent so far. */
guint nat_class_test_sent(const NatClassTest *test);

/* Whether `other` is another address for a server's OTHER-ADDRESS: of the same family, and not in
 * our own networks, into which a server out there does not send us. Pure. */
gboolean nat_class_may_ask(const WgEndpoint *server, const WgEndpoint *other);

/* What one port became towards one destination; of several ports one after the other. */
typedef struct {
	guint16 inside, outside;
} NatClassSample;

/* How mappings towards a further destination are chosen. The first of a port is left aside where
 * it keeps the port and others don't; what an earlier one serves is no mapping. Pure. */
NatAllocation nat_class_by_destination(const NatClassSample *samples, gsize n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatClassTest, nat_class_test_free)
