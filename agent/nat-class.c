/* SPDX-License-Identifier: MIT */
#include "agent/nat-class.h"

#include <stdlib.h>
#include <string.h>

#define STEP_MAX 16 /* further apart, other hosts' mappings in between would not explain it */
#define BLOCK_MAX                                                                                  \
	4096 /* by chance, six ports out of 64 k are so near each other once in 150,000            \
	      */
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

/* Whether most mappings lie a small step behind the last, all in one direction; the most frequent
 * step, of several the smallest. */
static gboolean
find_step(const guint16 *outside, gsize n, gint16 *step)
{
	gsize seen[2 * STEP_MAX + 1] = {0}, up = 0, down = 0;
	int sign, best = 0;

	for (gsize i = 1; i < n; i++) {
		int apart = (int)outside[i] - (int)outside[i - 1];

		if (apart == 0 || abs(apart) > STEP_MAX)
			continue;
		seen[apart + STEP_MAX]++;
		if (apart > 0)
			up++;
		else
			down++;
	}
	if (MAX(up, down) * 2 <= n - 1)
		return FALSE;
	sign = up > down ? 1 : -1;
	for (int i = 1; i <= STEP_MAX; i++)
		if (best == 0 || seen[STEP_MAX + sign * i] > seen[STEP_MAX + sign * best])
			best = i;
	*step = (gint16)(sign * best);
	return TRUE;
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
	if (n >= BLOCK_N && out.highest - out.lowest < BLOCK_MAX)
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
