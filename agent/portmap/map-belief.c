/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-belief.h"

#include <string.h>

/* RFC 6890, as far as it is not in wg_endpoint_is_private() or wg_endpoint_is_bogus(). */
static gboolean
is_special_v4(const guint8 *a)
{
	if (a[0] == 192 && a[1] == 0)
		return a[2] == 0 || a[2] == 2; /* protocols, TEST-NET-1 */
	if (a[0] == 198)
		return a[1] == 18 || a[1] == 19 || (a[1] == 51 && a[2] == 100);
	return a[0] == 0 || a[0] >= 240 || (a[0] == 203 && a[1] == 0 && a[2] == 113);
}

gboolean
map_is_special(const WgEndpoint *address)
{
	static const guint8 DOCUMENTATION[4] = {0x20, 0x01, 0x0d, 0xb8};
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(address, &len);

	if (!bytes || wg_endpoint_is_private(address) || wg_endpoint_is_bogus(address))
		return TRUE;
	return len == 4 ? is_special_v4(bytes)
			: memcmp(bytes, DOCUMENTATION, sizeof DOCUMENTATION) == 0;
}

static gboolean
has_family(const WgEndpoint *seen, gsize n, int family)
{
	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_family(&seen[i]) == family)
			return TRUE;
	return FALSE;
}

static gboolean
has_address(const WgEndpoint *seen, gsize n, const WgEndpoint *address)
{
	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_same_address(&seen[i], address))
			return TRUE;
	return FALSE;
}

MapBelief
map_belief(const WgEndpoint *external, const WgEndpoint *seen, gsize n)
{
	if (has_address(seen, n, external))
		return MAP_BELIEVED;
	if (map_is_special(external))
		return MAP_DOUBLE_NAT;
	return has_family(seen, n, wg_endpoint_family(external)) ? MAP_CONTRADICTED : MAP_BELIEVED;
}

gboolean
map_is_needed(const WgEndpoint *own, const WgEndpoint *seen, gsize n)
{
	if (wg_endpoint_family(own) == AF_INET6)
		return TRUE;
	if (has_address(seen, n, own))
		return FALSE;
	return wg_endpoint_is_private(own) || has_family(seen, n, AF_INET);
}
