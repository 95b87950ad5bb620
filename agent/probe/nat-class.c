/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class.h"

#include <stdlib.h>
#include <string.h>

/* From one mapping to the next: so near each other two of most come by chance rarely; and so far at
 * most, where all go one way, with those of other hosts in between. */
#define STEP_NEAR 16
#define STEP_FAR 256
/* All of so many in one direction are so by chance once in 360; from the second on, one may be the
 * end of the range. */
#define ONE_WAY_N 6
#define ONE_WAY_BUT_ONE_N 8
/* By chance, six ports out of 64 k are so near each other once in 150,000. */
#define BLOCK_MAX 4096
#define BLOCK_N 6
#define PARITY_N 8 /* by chance once in 256 */

/* ---- words ---- */

const char *
nat_filtering_to_string(NatFiltering filtering)
{
	switch (filtering) {
	case NAT_FILTERING_UNKNOWN:
		break;
	case NAT_FILTERING_ENDPOINT_INDEPENDENT:
		return "endpoint-independent";
	case NAT_FILTERING_ADDRESS_DEPENDENT:
		return "address-dependent";
	case NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT:
		return "address-and-port-dependent";
	}
	return "unknown";
}

gboolean
nat_filtering_from_string(const char *s, NatFiltering *out)
{
	for (int i = NAT_FILTERING_UNKNOWN; i <= NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT; i++) {
		if (g_strcmp0(s, nat_filtering_to_string((NatFiltering)i)) == 0) {
			*out = (NatFiltering)i;
			return TRUE;
		}
	}
	return FALSE;
}

const char *
nat_ports_to_string(NatPorts ports)
{
	switch (ports) {
	case NAT_PORTS_UNKNOWN:
		break;
	case NAT_PORTS_PRESERVED:
		return "preserved";
	case NAT_PORTS_SEQUENTIAL:
		return "sequential";
	case NAT_PORTS_BLOCK:
		return "block";
	case NAT_PORTS_RANDOM:
		return "random";
	}
	return "unknown";
}

gboolean
nat_ports_from_string(const char *s, NatPorts *out)
{
	for (int i = NAT_PORTS_UNKNOWN; i <= NAT_PORTS_RANDOM; i++) {
		if (g_strcmp0(s, nat_ports_to_string((NatPorts)i)) == 0) {
			*out = (NatPorts)i;
			return TRUE;
		}
	}
	return FALSE;
}

char *
nat_class_describe_ports(const NatClass *nat)
{
	const char *parity = nat->parity ? ", odd and even kept" : "";

	switch (nat->ports) {
	case NAT_PORTS_SEQUENTIAL:
		return g_strdup_printf("sequential %+d%s", nat->step, parity);
	case NAT_PORTS_BLOCK:
		return g_strdup_printf("block %u-%u%s", nat->lowest, nat->highest, parity);
	case NAT_PORTS_RANDOM:
		return g_strdup_printf("random%s", parity);
	case NAT_PORTS_UNKNOWN:
	case NAT_PORTS_PRESERVED:
		break;
	}
	return g_strdup(nat_ports_to_string(nat->ports));
}

char *
nat_class_describe(const NatClass *nat)
{
	GString *text = g_string_new("no NAT");
	g_autofree char *ports = nat_class_describe_ports(nat);

	if (nat->mapping != NAT_MAPPING_NONE)
		g_string_printf(text, "NAT %s", nat_mapping_to_string(nat->mapping));
	if (nat->filtering != NAT_FILTERING_UNKNOWN)
		g_string_append_printf(text, ", filtering %s",
				       nat_filtering_to_string(nat->filtering));
	if (nat->ports != NAT_PORTS_UNKNOWN)
		g_string_append_printf(text, ", ports %s", ports);
	return g_string_free(text, FALSE);
}

/* ---- allocation ---- */

static void
find_range(const guint16 *ports, gsize n, guint16 *lowest, guint16 *highest)
{
	*lowest = G_MAXUINT16;
	*highest = 0;
	for (gsize i = 0; i < n; i++) {
		*lowest = MIN(*lowest, ports[i]);
		*highest = MAX(*highest, ports[i]);
	}
}

/* RFC 4787 §4.2.2. Of ports that are all even, or all odd, nothing can be said. */
static void
find_parity(const guint16 *inside, const guint16 *outside, gsize n, NatAllocation *out)
{
	gsize odd = 0;

	for (gsize i = 0; i < n; i++) {
		odd += inside[i] & 1;
		if ((inside[i] & 1) != (outside[i] & 1)) {
			out->parity_known = TRUE;
			return;
		}
	}
	out->parity = out->parity_known = n >= PARITY_N && odd > 0 && odd < n;
}

/* Of mappings made one after the other: how many lie above the one before, how many below, and
 * what all those distances are multiples of. */
typedef struct {
	gsize up, down;
	int up_unit, down_unit;
} Drift;

static int
common_divisor(int a, int b)
{
	while (b != 0) {
		int rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Of those that are no further apart than that. */
static Drift
find_drift(const guint16 *outside, gsize n, int furthest)
{
	Drift drift = {0};

	for (gsize i = 1; i < n; i++) {
		int apart = (int)outside[i] - (int)outside[i - 1];

		if (apart == 0 || abs(apart) > furthest)
			continue;
		if (apart > 0) {
			drift.up++;
			drift.up_unit = common_divisor(apart, drift.up_unit);
		} else {
			drift.down++;
			drift.down_unit = common_divisor(-apart, drift.down_unit);
		}
	}
	return drift;
}

static gsize
most(const Drift *drift)
{
	return MAX(drift->up, drift->down);
}

static gboolean
goes_one_way(const Drift *drift, gsize n)
{
	gsize stray = n >= ONE_WAY_BUT_ONE_N ? 1 : 0;

	return n >= ONE_WAY_N && most(drift) + stray >= n - 1;
}

/* One may be the end of the range; of a small block's ports as many lie below as above. */
static gboolean
goes_on_nearby(const Drift *near, const Drift *any, gsize n)
{
	return most(near) * 2 > n - 1 && MIN(any->up, any->down) <= 1;
}

/* Most mappings lie a small step behind the last, or all lie behind it. The more other hosts take
 * in between, the less does the most frequent distance say of the step; but all are multiples of
 * it.
 */
static gboolean
find_step(const guint16 *outside, gsize n, gint16 *step)
{
	Drift near = find_drift(outside, n, STEP_NEAR), far = find_drift(outside, n, STEP_FAR),
	      any = find_drift(outside, n, G_MAXUINT16);

	if (!goes_on_nearby(&near, &any, n) && !goes_one_way(&far, n))
		return FALSE;
	*step = (gint16)(far.up > far.down ? far.up_unit : -far.down_unit);
	return TRUE;
}

/* All are near each other, and it is no sequence that others drive on too fast to be followed. */
static gboolean
is_block(const guint16 *outside, gsize n, guint16 lowest, guint16 highest)
{
	Drift drift = find_drift(outside, n, G_MAXUINT16);

	return n >= BLOCK_N && highest - lowest < BLOCK_MAX && !goes_one_way(&drift, n);
}

NatAllocation
nat_ports_classify(const guint16 *inside, const guint16 *outside, gsize n)
{
	NatAllocation out = {0};
	gsize preserved = 0;

	if (n < 3)
		return out;
	for (gsize i = 0; i < n; i++)
		preserved += inside[i] == outside[i];
	if (preserved * 2 > n) {
		out.ports = NAT_PORTS_PRESERVED;
		return out;
	}
	find_parity(inside, outside, n, &out);
	if (find_step(outside, n, &out.step)) {
		out.ports = NAT_PORTS_SEQUENTIAL;
		return out;
	}
	out.ports = NAT_PORTS_RANDOM;
	find_range(outside, n, &out.lowest, &out.highest);
	if (is_block(outside, n, out.lowest, out.highest))
		out.ports = NAT_PORTS_BLOCK;
	else
		out.lowest = out.highest = 0;
	return out;
}

/* ---- values ---- */

void
nat_class_set_allocation(NatClass *nat, const NatAllocation *allocation)
{
	nat->ports = allocation->ports;
	nat->step = allocation->step;
	nat->lowest = allocation->lowest;
	nat->highest = allocation->highest;
	nat->parity = allocation->parity;
}

gboolean
nat_class_is_known(const NatClass *nat)
{
	return nat->filtering != NAT_FILTERING_UNKNOWN || nat->ports != NAT_PORTS_UNKNOWN;
}

gboolean
nat_class_equal(const NatClass *a, const NatClass *b)
{
	return a->mapping == b->mapping && a->filtering == b->filtering && a->ports == b->ports &&
	       a->step == b->step && a->lowest == b->lowest && a->highest == b->highest &&
	       !a->parity == !b->parity;
}

void
nat_class_sanitize(NatClass *nat)
{
	if ((guint)nat->mapping > NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT)
		nat->mapping = NAT_MAPPING_UNKNOWN;
	if ((guint)nat->filtering > NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT)
		nat->filtering = NAT_FILTERING_UNKNOWN;
	if ((guint)nat->ports > NAT_PORTS_RANDOM ||
	    (nat->ports == NAT_PORTS_SEQUENTIAL && nat->step == 0) ||
	    (nat->ports == NAT_PORTS_BLOCK && (nat->lowest == 0 || nat->lowest > nat->highest)))
		nat->ports = NAT_PORTS_UNKNOWN;
	if (nat->ports != NAT_PORTS_SEQUENTIAL)
		nat->step = 0;
	if (nat->ports != NAT_PORTS_BLOCK)
		nat->lowest = nat->highest = 0;
	nat->parity = nat->parity && nat->ports >= NAT_PORTS_SEQUENTIAL;
}
