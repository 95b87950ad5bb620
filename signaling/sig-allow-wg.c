/* SPDX-License-Identifier: MIT */
/*
 * The table by which WireGuard itself chooses a peer is a trie; here a hash of (prefix length,
 * masked address), asked from the longest length down: at most 129 look-ups at each login.
 */
#include "signaling/sig-allow-wg.h"

#include <string.h>

typedef struct {
	guint8 bits[16];
	guint8 family, cidr;
} Prefix;

struct SigAllowWg {
	WgKey own;
	GHashTable *peers; /* set of WgKey */
	GHashTable *owner; /* Prefix → WgKey of `peers` */
};

static guint
prefix_hash(gconstpointer p)
{
	const guint8 *bytes = p;
	guint hash = 5381;

	for (gsize i = 0; i < sizeof(Prefix); i++)
		hash = hash * 33 + bytes[i];
	return hash;
}

static gboolean
prefix_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(Prefix)) == 0;
}

static Prefix
prefix_of(int family, const guint8 *bits, gsize len, guint8 cidr)
{
	Prefix prefix = {.family = (guint8)family, .cidr = cidr};

	memcpy(prefix.bits, bits, len);
	for (guint i = 0; i < len; i++) {
		guint keep = cidr > i * 8 ? MIN(cidr - i * 8, 8) : 0;

		prefix.bits[i] &= (guint8)(0xff << (8 - keep));
	}
	return prefix;
}

SigAllowWg *
sig_allow_wg_new(const WgDevice *device)
{
	SigAllowWg *allow = g_new0(SigAllowWg, 1);

	allow->own = device->public_key;
	allow->peers = g_hash_table_new_full(wg_key_hash, wg_key_equal, g_free, NULL);
	allow->owner = g_hash_table_new_full(prefix_hash, prefix_equal, g_free, NULL);
	for (guint i = 0; i < device->peers->len; i++) {
		const WgPeer *peer = device->peers->pdata[i];
		WgKey *key = g_memdup2(&peer->public_key, sizeof *key);

		g_hash_table_add(allow->peers, key);
		for (guint j = 0; j < peer->allowed_ips->len; j++) {
			const WgAllowedIp *ip = &g_array_index(peer->allowed_ips, WgAllowedIp, j);
			Prefix prefix = prefix_of(ip->family, ip->addr,
						  ip->family == AF_INET ? 4 : 16, ip->cidr);

			g_hash_table_insert(allow->owner, g_memdup2(&prefix, sizeof prefix), key);
		}
	}
	return allow;
}

void
sig_allow_wg_free(SigAllowWg *allow)
{
	g_hash_table_unref(allow->owner);
	g_hash_table_unref(allow->peers);
	g_free(allow);
}

static const WgKey *
owner_of(const SigAllowWg *allow, const WgEndpoint *address)
{
	gsize len;
	const guint8 *bits = wg_endpoint_bytes(address, &len);

	for (int cidr = bits ? (int)len * 8 : -1; cidr >= 0; cidr--) {
		Prefix prefix = prefix_of(wg_endpoint_family(address), bits, len, (guint8)cidr);
		const WgKey *key = g_hash_table_lookup(allow->owner, &prefix);

		if (key)
			return key;
	}
	return NULL;
}

gboolean
sig_allow_wg_check(const SigAllowWg *allow, const WgKey *key, const WgEndpoint *address,
		   gboolean from_here)
{
	const WgKey *owner;

	if (from_here)
		return wg_key_equal(key, &allow->own);
	owner = owner_of(allow, address);
	return owner && wg_key_equal(owner, key);
}

gboolean
sig_allow_wg_knows(const SigAllowWg *allow, const WgKey *key)
{
	return g_hash_table_contains(allow->peers, key);
}

guint
sig_allow_wg_n_peers(const SigAllowWg *allow)
{
	return g_hash_table_size(allow->peers);
}
