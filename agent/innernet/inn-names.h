/* SPDX-License-Identifier: MIT */
/*
 * InnNames: where the endpoints of an innernet network's peers lead that are names: an admin's, or
 * a peer's own, like vpn.example.org:51820. They are looked up again every five minutes and on a
 * network change; where that fails, the last good addresses stay, also beyond a restart.
 *
 * Each peer chooses its name, so it is a stranger's: at most INN_NAMES_MAX are looked up, four at a
 * time (a name whose servers keep silent must not keep the resolver from our own), and what is
 * remembered of them is apart from the names that the user gave. Whatever a name leads to is
 * refused by whom it is given to, as any other endpoint of a record.
 *
 * Host thread only; the callback comes from the main loop.
 */
#pragma once

#include "agent/innernet/inn-state.h"

#define INN_NAMES_MAX 64

typedef struct InnNames InnNames;

/* Some name has other addresses now. It may not free the InnNames. */
typedef void (*InnNamesFunc)(gpointer user_data);

/* own_public: our key, whose record is of no interest. state_dir may be NULL: nothing outlives us.
 */
InnNames *inn_names_new(const char *ifname, const char *state_dir, const WgKey *own_public,
			InnNamesFunc changed, gpointer user_data);
void inn_names_free(InnNames *names);
/* The complete state each time. Names that are there already stay before new ones. */
void inn_names_set(InnNames *names, const InnState *state);
/* About once a second; now_us is monotonic. Begins the lookups that are due. */
void inn_names_tick(InnNames *names, gint64 now_us);
/* Another network: all of them are due. */
void inn_names_renew(InnNames *names);
/* Where a record's named endpoint leads (of WgEndpoint, transfer full); NULL: it has none, or
 * nothing is known of it. */
GArray *inn_names_get(const InnNames *names, const InnPeer *record);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnNames, inn_names_free)
