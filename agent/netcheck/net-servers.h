/* SPDX-License-Identifier: MIT */
/*
 * The servers that were named, each asked by its transports, all at once: the rows of a Netcheck.
 * Main thread; done comes from the main loop.
 */
#pragma once

#include "agent/netcheck/netcheck.h"

typedef struct NetServers NetServers;

typedef struct {
	const char *const *stun; /* HOST[:PORT] each, may be NULL */
	const char *const *turn; /* URIs, may be NULL */
	const char *signal_url;	 /* may be NULL */
	guint within_ms;	 /* what is still open then has "timed out" */
} NetServersNamed;

/* What a STUN server said at one address. */
typedef struct {
	WgEndpoint to;
	int error;	/* 0: it answered; else an errno */
	double ms;	/* until the answer */
	gboolean named; /* FALSE: a relay, which need not speak STUN */
} NetStunResult;

/* Once, from the main loop, when all rows are filled in; the servers may be freed inside. */
typedef void (*NetServersFunc)(gpointer user_data);

/* All are well-formed (nat-config). The check must outlive it. */
NetServers *net_servers_new(Netcheck *check, const NetServersNamed *named, NetServersFunc done,
			    gpointer user_data);
void net_servers_free(NetServers *servers); /* not before done */
/* In the order of the rows. (transfer full, of NetStunResult) */
GArray *net_servers_stun(const NetServers *servers);
