/* SPDX-License-Identifier: MIT */
/*
 * NatResolve: names to addresses, with the last good addresses of every name kept in the state
 * directory. With a full tunnel the resolver may be reachable only through the tunnel that has yet
 * to come up (DESIGN §2): what is stored then serves at once, and is renewed when a lookup
 * succeeds.
 *
 * Host thread only: GResolver's workers live in the namespace of the thread that starts them.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

#define NAT_RESOLVE_SLOW_MS 1000 /* after this, stored addresses serve meanwhile */
#define NAT_RESOLVE_MAX 16	 /* addresses of one name */

typedef struct NatResolve NatResolve;
typedef struct NatLookup NatLookup;

/* From the main loop. Either n ≥ 1 addresses, the families in turns; or n is 0 and error (one line)
 * says why; then this was the last call. `stored`: not from a lookup but from the state directory:
 * one more call follows when the lookup, still running, ends with other addresses. The lookup may
 * be freed inside. */
typedef void (*NatLookupFunc)(const WgEndpoint *addrs, gsize n, gboolean stored,
			      const GError *error, gpointer user_data);

/* own_public names the file, so that agents of several interfaces can share a directory. state_dir
 * may be NULL: nothing is stored. A directory that cannot be written is one warning. */
NatResolve *nat_resolve_new(const char *state_dir, const WgKey *own_public);
/* The same with a file of its own, "<kind>-…": names that strangers choose push out none of the
 * user's. */
NatResolve *nat_resolve_new_apart(const char *state_dir, const char *kind, const WgKey *own_public);
void nat_resolve_free(NatResolve *resolve); /* its lookups must be freed before */

/* host: a name or a numeric address without brackets (no lookup then); port is put into every
 * address. */
NatLookup *nat_resolve_lookup(NatResolve *resolve, const char *host, guint16 port,
			      NatLookupFunc func, gpointer user_data);
void nat_lookup_free(NatLookup *lookup); /* cancels: func is not called any more */
/* Whether func may still be called, with a lookup's own answer. */
gboolean nat_lookup_is_running(NatLookup *lookup);

/* "name", "name:port", "192.0.2.1:port", "2001:db8::1", "[2001:db8::1]:port" → host without
 * brackets (transfer full) and port, default_port when there is none. */
gboolean nat_resolve_split(const char *text, guint16 default_port, char **host, guint16 *port,
			   GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatResolve, nat_resolve_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatLookup, nat_lookup_free)
