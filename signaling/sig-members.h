/* SPDX-License-Identifier: MIT */
/*
 * SigMembers: the list of keys that may log in, and in which networks each of them is. Text in,
 * table out; no I/O.
 *
 *     # a comment
 *     KEY whatever helps people, up to the end of the line
 *     [team-a]
 *     KEY
 *     KEY
 *     [team-b]
 *     KEY
 *
 * What stands before the first [name] is a network of its own. Two keys meet only if they have a
 * network in common.
 */
#pragma once

#include "wgctl/wg-key.h"

/* The networks of one key: immutable. NULL, of a server that keeps no list, shares with NULL. */
typedef struct SigScope SigScope;

typedef struct SigMembers SigMembers;

#define SIG_NETWORK_NAME_MAX 64 /* bytes of printable ASCII but brackets */

/* name: the file's, for the error, which names the line. */
SigMembers *sig_members_parse(const char *text, gsize len, const char *name, GError **error);
void sig_members_free(SigMembers *members);
/* (transfer none) NULL: the key may not log in. */
const SigScope *sig_members_find(const SigMembers *members, const WgKey *key);
guint sig_members_n_keys(const SigMembers *members);
guint sig_members_n_networks(const SigMembers *members);

SigScope *sig_scope_ref(const SigScope *scope); /* NULL is passed through */
void sig_scope_unref(SigScope *scope);		/* NULL does nothing */
gboolean sig_scope_share(const SigScope *a, const SigScope *b);
/* Networks of the same names, though of another list. */
gboolean sig_scope_equal(const SigScope *a, const SigScope *b);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigMembers, sig_members_free)
