/* SPDX-License-Identifier: MIT */
#include "signaling/sig-directory.h"

#include <sodium.h>
#include <string.h>

struct SigMember {
	guint64 tag; /* keyed hash of key: keys are anyone's choice, buckets must not be */
	WgKey key;
	guint named;	/* by how many members' interest */
	guint n_mutual; /* members that mutual() holds for */
	gpointer conn;
	SigScope *scope;      /* while online */
	GHashTable *interest; /* set of SigMember, each counted in its `named`; NULL: none */
};

struct SigDirectory {
	GHashTable *members; /* set of SigMember: online or named */
	guint8 hash_key[crypto_shorthash_KEYBYTES];
	guint max_interest;
};

static guint
member_hash(gconstpointer p)
{
	return (guint)((const SigMember *)p)->tag;
}

static gboolean
member_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(&((const SigMember *)a)->key, &((const SigMember *)b)->key, sizeof(WgKey)) ==
	       0;
}

static void
member_free(gpointer p)
{
	SigMember *member = p;

	g_clear_pointer(&member->interest, g_hash_table_unref);
	sig_scope_unref(member->scope);
	g_free(member);
}

SigDirectory *
sig_directory_new(guint max_interest)
{
	SigDirectory *directory = g_new0(SigDirectory, 1);

	directory->members = g_hash_table_new_full(member_hash, member_equal, member_free, NULL);
	crypto_shorthash_keygen(directory->hash_key);
	directory->max_interest = max_interest;
	return directory;
}

void
sig_directory_free(SigDirectory *directory)
{
	g_hash_table_unref(directory->members);
	g_free(directory);
}

GArray *
sig_changes_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(SigChange));
}

const WgKey *
sig_member_key(const SigMember *member)
{
	return &member->key;
}

guint
sig_member_n_interest(const SigMember *member)
{
	return member->interest ? g_hash_table_size(member->interest) : 0;
}

gboolean
sig_member_has_mutual(const SigMember *member)
{
	return member->n_mutual > 0;
}

guint
sig_directory_n_known(const SigDirectory *directory)
{
	return g_hash_table_size(directory->members);
}

static SigMember *
lookup(SigDirectory *directory, const WgKey *key, gboolean create)
{
	SigMember probe = {.key = *key}, *member;

	crypto_shorthash((guint8 *)&probe.tag, key->b, sizeof key->b, directory->hash_key);
	member = g_hash_table_lookup(directory->members, &probe);
	if (!member && create) {
		member = g_new0(SigMember, 1);
		member->tag = probe.tag;
		member->key = *key;
		g_hash_table_add(directory->members, member);
	}
	return member;
}

static void
drop_if_unused(SigDirectory *directory, SigMember *member)
{
	if (!member->conn && member->named == 0)
		g_hash_table_remove(directory->members, member);
}

static gboolean
interested(const SigMember *member, SigMember *in)
{
	return member->interest && g_hash_table_contains(member->interest, in);
}

static gboolean
mutual(SigMember *a, SigMember *b)
{
	return a->conn && b->conn && interested(a, b) && interested(b, a) &&
	       sig_scope_share(a->scope, b->scope);
}

static void
tell(GArray *changes, const SigMember *whom, const SigMember *about, gboolean online)
{
	SigChange change = {.conn = whom->conn,
			    .key = about->key,
			    .online = online,
			    .about = online ? about->conn : NULL};

	g_array_append_val(changes, change);
}

static void
meet(SigMember *member, SigMember *other, GArray *changes)
{
	member->n_mutual++;
	other->n_mutual++;
	tell(changes, member, other, TRUE);
	tell(changes, other, member, TRUE);
}

/* member is the one who ends it: nothing is said about one's own removal. */
static void
part(SigMember *member, SigMember *other, GArray *changes)
{
	member->n_mutual--;
	other->n_mutual--;
	tell(changes, other, member, FALSE);
}

gpointer
sig_directory_join(SigDirectory *directory, const WgKey *key, gpointer conn, SigMember **out,
		   GArray *changes)
{
	SigMember *member = lookup(directory, key, TRUE);
	gpointer evicted = member->conn;

	if (evicted) {
		member->named++; /* survives the leaving */
		sig_directory_leave(directory, member, changes);
		member->named--;
	}
	member->conn = conn;
	*out = member;
	return evicted;
}

void
sig_directory_leave(SigDirectory *directory, SigMember *member, GArray *changes)
{
	GHashTable *interest = member->interest;
	GHashTableIter iter;
	gpointer p;

	if (interest) {
		g_hash_table_iter_init(&iter, interest);
		while (g_hash_table_iter_next(&iter, &p, NULL))
			if (mutual(member, p))
				part(member, p, changes);
		member->interest = NULL;
		g_hash_table_iter_init(&iter, interest);
		while (g_hash_table_iter_next(&iter, &p, NULL)) {
			((SigMember *)p)->named--;
			drop_if_unused(directory, p);
		}
		g_hash_table_unref(interest);
	}
	member->conn = NULL;
	g_clear_pointer(&member->scope, sig_scope_unref);
	drop_if_unused(directory, member);
}

void
sig_directory_set_scope(SigMember *member, const SigScope *scope)
{
	SigScope *before = member->scope;

	member->scope = sig_scope_ref(scope);
	sig_scope_unref(before);
}

const SigScope *
sig_member_scope(const SigMember *member)
{
	return member->scope;
}

gboolean
sig_directory_add_interest(SigDirectory *directory, SigMember *member, const WgKey *keys, gsize n,
			   GArray *changes)
{
	for (gsize i = 0; i < n; i++) {
		SigMember *other;

		if (wg_key_equal(&keys[i], &member->key))
			continue; /* nobody is their own peer */
		if (!member->interest)
			member->interest = g_hash_table_new(NULL, NULL);
		other = lookup(directory, &keys[i], FALSE);
		if (other && interested(member, other))
			continue;
		if (g_hash_table_size(member->interest) >= directory->max_interest)
			return FALSE;
		if (!other)
			other = lookup(directory, &keys[i], TRUE);
		g_hash_table_add(member->interest, other);
		other->named++;
		if (mutual(member, other))
			meet(member, other, changes);
	}
	return TRUE;
}

void
sig_directory_remove_interest(SigDirectory *directory, SigMember *member, const WgKey *keys,
			      gsize n, GArray *changes)
{
	for (gsize i = 0; i < n; i++) {
		SigMember *other = lookup(directory, &keys[i], FALSE);

		if (!other || !interested(member, other))
			continue;
		if (mutual(member, other))
			part(member, other, changes);
		g_hash_table_remove(member->interest, other);
		other->named--;
		drop_if_unused(directory, other);
	}
}

gpointer
sig_directory_route(SigDirectory *directory, SigMember *member, const WgKey *to)
{
	SigMember *other = lookup(directory, to, FALSE);

	return other && mutual(member, other) ? other->conn : NULL;
}
