/* SPDX-License-Identifier: MIT */
/*
 * InnHosts: the names of a network's peers in /etc/hosts, as innernet's own client writes them: a
 * section per interface, in its format and between its markers, so that innernet and we replace
 * each other's:
 *
 *   # DO NOT EDIT innernet evilcorp BEGIN
 *   10.66.0.1 innernet-server.evilcorp.wg
 *   10.66.1.1 alice.evilcorp.wg
 *   # DO NOT EDIT innernet evilcorp END
 *
 * It stays when the agent ends, as innernet's does. Nothing is written where nothing changed; what
 * others took out is put back. Host thread only, but for what is pure.
 */
#pragma once

#include "agent/innernet/inn-conf.h"
#include "agent/innernet/inn-state.h"

typedef struct InnHosts InnHosts;

/* path NULL: nothing is ever read or written. */
InnHosts *inn_hosts_new(const char *ifname, const char *path);
void inn_hosts_free(InnHosts *hosts);
/* The complete state each time; conf tells the network. A failure is one warning, and is tried
 * again a minute later. now_us: monotonic. */
void inn_hosts_set(InnHosts *hosts, const InnState *state, const InnConf *conf, gint64 now_us);

/* The section of a state's peers that are enabled and redeemed and have an address in the network,
 * ourselves among them, by address; "" where there are none. Names that are no host names are left
 * out. Pure. (transfer full) */
char *inn_hosts_section(const char *ifname, const InnState *state, const InnConf *conf);
/* A file's text with the section in it, in the place of the one before or at the end; *out_len
 * bytes, and a NUL. Every other byte stays, but that a last line without an end gets one. NULL with
 * an error where markers are missing, are there twice or in the wrong order: what is the user's
 * there is not ours to guess. Pure. (transfer full) */
char *inn_hosts_insert(const char *text, gsize len, const char *ifname, const char *section,
		       gsize *out_len, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnHosts, inn_hosts_free)
