/* SPDX-License-Identifier: MIT */
/*
 * SigAddresses: what each address (IPv4 address, IPv6 /64) has open, and how fast it is: its
 * connections, new ones a second, the frames of all of them together; and how many keys they name,
 * which is memory that lasts. Pure; time is an argument.
 *
 * Each has buckets of its own, so that nobody can empty another's, however many addresses they
 * have. It is forgotten when nothing of it is open and its buckets are full again; until then it
 * has cost its owner connections or frames, which bounds how many there are. The table's hash is
 * keyed: IPv6 addresses are anyone's choice.
 */
#pragma once

#include "signaling/sig-config.h"

typedef struct SigAddresses SigAddresses;
typedef struct SigAddress SigAddress; /* alive while something of it is held */

/* limits must outlive it. */
SigAddresses *sig_addresses_new(const SigLimits *limits);
void sig_addresses_free(SigAddresses *addresses);

/* Whether one more connection may come from here now; takes a token if so. */
gboolean sig_addresses_admit(SigAddresses *addresses, const WgEndpoint *from, gint64 now);
/* A connection is open, until it is released. */
SigAddress *sig_addresses_hold(SigAddresses *addresses, const WgEndpoint *from);
void sig_address_release(SigAddress *address);
/* One of its connections names so many keys more than before. FALSE: its connections, or those of
 * all addresses, name more than they may now. */
gboolean sig_address_name(SigAddress *address, guint more);
void sig_address_unname(SigAddress *address, guint fewer);
/* Takes tokens for a frame; FALSE when there are not enough. */
gboolean sig_address_take(SigAddress *address, guint cost, gint64 now);

/* Once a second: forgets. */
void sig_addresses_tick(SigAddresses *addresses, gint64 now);
guint sig_addresses_n_known(const SigAddresses *addresses); /* for tests and figures */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigAddresses, sig_addresses_free)
