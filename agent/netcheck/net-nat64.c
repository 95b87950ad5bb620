/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-nat64.h"

#include <string.h>

#define RESERVED_BYTE                                                                              \
	8 /* RFC 6052 §2.2: bits 64 to 71 are zero and hold no part of the address                \
	   */

static const guint LENGTHS[] = {96, 64, 56, 48, 40, 32};

/* Where byte i of the IPv4 address stands. */
static gsize
position(guint prefix_len, gsize i)
{
	gsize at = prefix_len / 8 + i;

	return prefix_len < 96 && at >= RESERVED_BYTE ? at + 1 : at;
}

static gboolean
is_well_known(const guint8 *bytes, guint prefix_len)
{
	guint8 v4[4];

	for (gsize i = 0; i < sizeof v4; i++)
		v4[i] = bytes[position(prefix_len, i)];
	/* 192.0.0.170, 192.0.0.171 */
	return v4[0] == 192 && v4[1] == 0 && v4[2] == 0 && (v4[3] == 170 || v4[3] == 171);
}

gboolean
net_nat64_prefix(const WgEndpoint *address, WgEndpoint *prefix, guint *prefix_len)
{
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(address, &len);

	for (gsize i = 0; bytes && len == 16 && i < G_N_ELEMENTS(LENGTHS); i++) {
		guint8 front[16] = {0};

		if (!is_well_known(bytes, LENGTHS[i]))
			continue;
		memcpy(front, bytes, LENGTHS[i] / 8);
		*prefix_len = LENGTHS[i];
		return wg_endpoint_from_bytes(prefix, front, sizeof front, 0);
	}
	return FALSE;
}

gboolean
net_nat64_through(const WgEndpoint *prefix, guint prefix_len, const WgEndpoint *v4, WgEndpoint *out)
{
	gsize len = 0, v4_len = 0;
	const guint8 *front = wg_endpoint_bytes(prefix, &len),
		     *tail = wg_endpoint_bytes(v4, &v4_len);
	guint8 bytes[16];

	if (!front || len != 16 || !tail || v4_len != 4)
		return FALSE;
	memcpy(bytes, front, sizeof bytes);
	for (gsize i = 0; i < v4_len; i++)
		bytes[position(prefix_len, i)] = tail[i];
	return wg_endpoint_from_bytes(out, bytes, sizeof bytes, wg_endpoint_port(v4));
}
