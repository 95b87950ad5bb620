/* SPDX-License-Identifier: MIT */
#include "signaling/sig-address.h"

#include <sodium.h>
#include <string.h>

#include "signaling/sig-gate.h"
#include "signaling/sig-ratelimit.h"

#define PREFIX_MAX 8

struct SigAddress {
	SigAddresses *owner;
	guint64 tag; /* keyed hash of prefix */
	guint8 prefix[PREFIX_MAX];
	gsize len;
	guint held;  /* connections */
	guint named; /* keys, by all of them */
	SigBucket connects, frames;
	GList idle; /* in owner->idle while nothing is held */
};

struct SigAddresses {
	const SigLimits *limits;
	guint named;
	GHashTable *table; /* set of SigAddress */
	GQueue idle;
	guint8 hash_key[crypto_shorthash_KEYBYTES];
};

static guint
address_hash(gconstpointer p)
{
	return (guint)((const SigAddress *)p)->tag;
}

static gboolean
address_equal(gconstpointer p, gconstpointer q)
{
	const SigAddress *a = p, *b = q;

	return a->len == b->len && memcmp(a->prefix, b->prefix, a->len) == 0;
}

SigAddresses *
sig_addresses_new(const SigLimits *limits)
{
	SigAddresses *addresses = g_new0(SigAddresses, 1);

	addresses->limits = limits;
	addresses->table = g_hash_table_new_full(address_hash, address_equal, g_free, NULL);
	crypto_shorthash_keygen(addresses->hash_key);
	return addresses;
}

void
sig_addresses_free(SigAddresses *addresses)
{
	g_hash_table_unref(addresses->table);
	g_free(addresses);
}

/* A new one is idle. */
static SigAddress *
lookup(SigAddresses *addresses, const WgEndpoint *from)
{
	SigAddress probe = {.owner = addresses}, *address;
	const guint8 *prefix = sig_gate_prefix(from, &probe.len);

	if (probe.len > 0)
		memcpy(probe.prefix, prefix, probe.len);
	crypto_shorthash((guint8 *)&probe.tag, probe.prefix, probe.len, addresses->hash_key);
	address = g_hash_table_lookup(addresses->table, &probe);
	if (!address) {
		address = g_memdup2(&probe, sizeof probe);
		address->idle.data = address;
		g_hash_table_add(addresses->table, address);
		g_queue_push_tail_link(&addresses->idle, &address->idle);
	}
	return address;
}

gboolean
sig_addresses_admit(SigAddresses *addresses, const WgEndpoint *from, gint64 now)
{
	const SigLimits *limits = addresses->limits;
	SigAddress *address = lookup(addresses, from);

	if (limits->connections_per_address > 0 && address->held >= limits->connections_per_address)
		return FALSE;
	return sig_bucket_take(&address->connects, limits->connect_rate, limits->connect_burst, 1,
			       now);
}

SigAddress *
sig_addresses_hold(SigAddresses *addresses, const WgEndpoint *from)
{
	SigAddress *address = lookup(addresses, from);

	if (address->held++ == 0)
		g_queue_unlink(&addresses->idle, &address->idle);
	return address;
}

void
sig_address_release(SigAddress *address)
{
	if (--address->held == 0)
		g_queue_push_tail_link(&address->owner->idle, &address->idle);
}

static gboolean
is_within(guint n, guint limit)
{
	return limit == 0 || n <= limit;
}

gboolean
sig_address_name(SigAddress *address, guint more)
{
	const SigLimits *limits = address->owner->limits;

	address->named += more;
	address->owner->named += more;
	return is_within(address->named, limits->interest_per_address) &&
	       is_within(address->owner->named, limits->interest_total);
}

void
sig_address_unname(SigAddress *address, guint fewer)
{
	address->named -= fewer;
	address->owner->named -= fewer;
}

gboolean
sig_address_take(SigAddress *address, guint cost, gint64 now)
{
	const SigLimits *limits = address->owner->limits;

	return sig_bucket_take(&address->frames, limits->address_rate, limits->address_burst, cost,
			       now);
}

void
sig_addresses_tick(SigAddresses *addresses, gint64 now)
{
	const SigLimits *limits = addresses->limits;
	GList *next;

	for (GList *link = addresses->idle.head; link; link = next) {
		SigAddress *address = link->data;

		next = link->next;
		if (!sig_bucket_is_full(&address->connects, limits->connect_rate, now) ||
		    !sig_bucket_is_full(&address->frames, limits->address_rate, now))
			continue;
		g_queue_unlink(&addresses->idle, link);
		g_hash_table_remove(addresses->table, address);
	}
}

guint
sig_addresses_n_known(const SigAddresses *addresses)
{
	return g_hash_table_size(addresses->table);
}
