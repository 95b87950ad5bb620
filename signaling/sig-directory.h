/* SPDX-License-Identifier: MIT */
/*
 * SigDirectory: who is online, who is interested in whom, and what follows from it. Pure: it tells
 * the caller which connections have to hear of which presence, and which connection a message goes
 * to. A connection is an opaque pointer here.
 *
 * Two members are mutual when both are online, each has the other's key in its interest, and their
 * scopes share a network. Only
 * mutual members learn of each other; nothing here answers whether a key exists.
 */
#pragma once

#include "signaling/sig-members.h"

typedef struct SigDirectory SigDirectory;
typedef struct SigMember SigMember; /* a key that is online, or that someone is interested in */

/* `conn` has to be told that `key` went online or offline. */
typedef struct {
	gpointer conn;
	WgKey key;
	gboolean online;
	gpointer about; /* the connection of key; NULL: offline */
} SigChange;

SigDirectory *sig_directory_new(guint max_interest);
void sig_directory_free(SigDirectory *directory);

/* conn (not NULL) is now the connection of key, with no interest. When another connection was, it
 * is returned: it has left (its `changes` are appended) and its member pointer is no longer its
 * own. */
gpointer sig_directory_join(SigDirectory *directory, const WgKey *key, gpointer conn,
			    SigMember **member, GArray *changes);
/* Whom it may meet, from now on (a reference is taken); for a member without interest, or one whose
 * scope stays equal. */
void sig_directory_set_scope(SigMember *member, const SigScope *scope);
const SigScope *sig_member_scope(const SigMember *member);
/* The connection of member is gone; member may be freed. */
void sig_directory_leave(SigDirectory *directory, SigMember *member, GArray *changes);
/* FALSE when the bound is met: some keys may have been added, the caller ends the connection. */
gboolean sig_directory_add_interest(SigDirectory *directory, SigMember *member, const WgKey *keys,
				    gsize n, GArray *changes);
void sig_directory_remove_interest(SigDirectory *directory, SigMember *member, const WgKey *keys,
				   gsize n, GArray *changes);
/* The connection of `to` if it is mutual with member, else NULL. */
gpointer sig_directory_route(SigDirectory *directory, SigMember *member, const WgKey *to);

const WgKey *sig_member_key(const SigMember *member);
guint sig_member_n_interest(const SigMember *member);
gboolean sig_member_has_mutual(const SigMember *member);    /* at least one */
guint sig_directory_n_known(const SigDirectory *directory); /* keys, for tests and figures */

GArray *sig_changes_new(void); /* of SigChange */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigDirectory, sig_directory_free)
