/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-ports.h"

#include <stdlib.h>

#define STEP_MAX 16 /* further apart, other hosts' mappings in between would not explain it */
#define BLOCK_MAX                                                                                  \
	4096 /* by chance, six ports out of 64 k are so near each other once in 150,000            \
	      */
#define BLOCK_N 6
#define PARITY_N 8 /* by chance once in 256 */

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
static NetAnswer
find_parity(const guint16 *inside, const guint16 *outside, gsize n)
{
	gsize odd = 0;

	for (gsize i = 0; i < n; i++) {
		odd += inside[i] & 1;
		if ((inside[i] & 1) != (outside[i] & 1))
			return NET_NO;
	}
	return n >= PARITY_N && odd > 0 && odd < n ? NET_YES : NET_UNKNOWN;
}

/* How often a port is near the last one, and the smallest such step. */
static gsize
count_near(const guint16 *outside, gsize n, int *smallest)
{
	gsize near = 0;

	*smallest = 0;
	for (gsize i = 1; i < n; i++) {
		int apart = (int)outside[i] - (int)outside[i - 1];

		if (apart == 0 || abs(apart) > STEP_MAX)
			continue;
		near++;
		if (*smallest == 0 || abs(apart) < abs(*smallest))
			*smallest = apart;
	}
	return near;
}

NetPattern
net_ports_classify(const guint16 *inside, const guint16 *outside, gsize n)
{
	NetPattern pattern = {0};
	gsize preserved = 0;
	int step;

	if (n < 3)
		return pattern;
	for (gsize i = 0; i < n; i++)
		preserved += inside[i] == outside[i];
	if (preserved * 2 > n) {
		pattern.kind = NET_PORTS_PRESERVED;
		return pattern;
	}
	pattern.parity = find_parity(inside, outside, n);
	if (count_near(outside, n, &step) * 2 > n - 1) {
		pattern.kind = NET_PORTS_SEQUENTIAL;
		pattern.step = step;
		return pattern;
	}
	pattern.kind = NET_PORTS_RANDOM;
	find_range(outside, n, &pattern.lowest, &pattern.highest);
	if (n >= BLOCK_N && pattern.highest - pattern.lowest < BLOCK_MAX)
		pattern.kind = NET_PORTS_BLOCK;
	else
		pattern.lowest = pattern.highest = 0;
	return pattern;
}
