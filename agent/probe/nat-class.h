/* SPDX-License-Identifier: MIT */
/*
 * NatClass: how the NAT before this host (or a peer) behaves, by the terms of RFC 4787: what the
 * probes conclude (nat-class-probe, netcheck), what agents tell each other (nat-msg) and what
 * status shows. Values only; pure; any thread.
 */
#pragma once

#include "agent/base/nat-types.h"

/* RFC 4787 §5. On the wire and in files; never renumber. */
typedef enum {
	NAT_FILTERING_UNKNOWN = 0,		/* no server could test it */
	NAT_FILTERING_ENDPOINT_INDEPENDENT = 1, /* anybody may come in */
	NAT_FILTERING_ADDRESS_DEPENDENT = 2,	/* whoever's address was sent to */
	NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT = 3,
} NatFiltering;

/* RFC 4787 §4.2. On the wire and in files; never renumber. */
typedef enum {
	NAT_PORTS_UNKNOWN = 0,
	NAT_PORTS_PRESERVED = 1,  /* the outside port is the inside one */
	NAT_PORTS_SEQUENTIAL = 2, /* each mapping takes one near the last */
	NAT_PORTS_BLOCK = 3,	  /* by chance, from a small range that this host seems to have */
	NAT_PORTS_RANDOM = 4,
} NatPorts;

/* How a NAT gives out ports, by some mappings made one after the other. */
typedef struct {
	NatPorts ports;
	gint16 step;		 /* SEQUENTIAL: between two mappings, never 0; else 0 */
	guint16 lowest, highest; /* BLOCK: of what was seen; else 0 */
	gboolean parity_known;	 /* never of PRESERVED */
	gboolean parity;	 /* an even port stays even, an odd one odd (RFC 4787 §4.2.2) */
} NatAllocation;

typedef struct {
	NatMapping mapping;
	NatFiltering filtering;
	/* How a NEW mapping's outside port is chosen: for another inside port where one mapping
	 * serves all destinations, for another destination where it does not. */
	NatPorts ports;
	gint16 step;		 /* SEQUENTIAL: between two mappings made one after the other,
				  * never 0; else 0 */
	guint16 lowest, highest; /* BLOCK: of what was seen, lowest <= highest; else 0 */
	gboolean parity;	 /* even ports become even ones, odd ones odd */
} NatClass;

const char *nat_filtering_to_string(NatFiltering filtering); /* "endpoint-independent", … */
gboolean nat_filtering_from_string(const char *s, NatFiltering *out);
const char *nat_ports_to_string(NatPorts ports); /* "preserved", … */
gboolean nat_ports_from_string(const char *s, NatPorts *out);

/* inside[i] is the local port of mapping i, outside[i] what the NAT made of it, in the order in
 * which they were made. From three on something can be said. Where other hosts' mappings came in
 * between, all distances are multiples of the step; where more than some hundred did, it is RANDOM,
 * for so it is to us. */
NatAllocation nat_ports_classify(const guint16 *inside, const guint16 *outside, gsize n);

void nat_class_set_allocation(NatClass *nat, const NatAllocation *allocation);
/* More than its mapping is known. */
gboolean nat_class_is_known(const NatClass *nat);
gboolean nat_class_equal(const NatClass *a, const NatClass *b);
/* Of values that came from elsewhere: what this version does not know, and what contradicts itself
 * (a step of 0, an empty block), is unknown; what does not belong to its kind is 0. */
void nat_class_sanitize(NatClass *nat);
/* "no NAT", or "NAT endpoint-independent, filtering address-dependent, ports sequential +1" as far
 * as it is known. (transfer full) */
char *nat_class_describe(const NatClass *nat);
/* "preserved", "sequential +1", "block 1024-2047", "random, odd and even kept", "unknown", …
 * (transfer full) */
char *nat_class_describe_ports(const NatClass *nat);
