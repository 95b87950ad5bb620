/* SPDX-License-Identifier: MIT */
/*
 * Netcheck: what this host's network lets WireGuard do, found out with ordinary sockets: no agent,
 * no WireGuard, no privileges. Values and their words; the tests themselves are net-probe (STUN)
 * and net-reach (TCP). The NAT's behaviour is named as in RFC 4787 and found as in RFC 5780.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/nat-types.h"

typedef enum {
	NET_FILTER_UNKNOWN,		 /* no server could test it */
	NET_FILTER_ENDPOINT_INDEPENDENT, /* anybody may come in */
	NET_FILTER_ADDRESS_DEPENDENT,	 /* whoever's address was sent to */
	NET_FILTER_ADDRESS_AND_PORT_DEPENDENT,
} NetFilter;

typedef enum {
	NET_PORTS_UNKNOWN,
	NET_PORTS_PRESERVED,  /* the outside port is the inside one */
	NET_PORTS_SEQUENTIAL, /* each mapping takes one near the last */
	NET_PORTS_RANDOM,
} NetPorts;

typedef enum { NET_UNKNOWN, NET_NO, NET_YES } NetAnswer;

/* One address family. */
typedef struct {
	gboolean has_address; /* an address that leads out */
	WgEndpoint source;    /* it */
	guint servers, answered;
	WgEndpoint public_endpoint; /* of the first test; unset: no answer */
	NatMapping mapping;
	NetFilter filter;
	NetPorts ports;
	int step; /* SEQUENTIAL: between two mappings */
	NetAnswer hairpin;
	double rtt_ms; /* to the nearest server; negative: none answered */
} NetFamily;

/* One server. */
typedef struct {
	char *kind;	    /* "stun", "turn", "signaling" */
	char *name;	    /* as it was given, without secrets */
	WgEndpoint address; /* the one that answered, or the first; unset: the name leads nowhere */
	gboolean ok;
	double ms;     /* until its answer; negative: none */
	char *problem; /* one line; NULL when ok */
} NetServer;

typedef struct {
	NetFamily v4, v6;
	GPtrArray *servers; /* of NetServer */
} Netcheck;

Netcheck *netcheck_new(void);
void netcheck_free(Netcheck *check);
NetServer *netcheck_add_server(Netcheck *check, const char *kind, const char *name);
/* FALSE: UDP reaches no server by this family, while it has an address. */
gboolean netcheck_udp_passes(const NetFamily *family);
/* One sentence for a user: what to expect, and the remedy. (transfer full) */
char *netcheck_verdict(const Netcheck *check);
/* Lines for people, at most `width` columns (transfer full). All text of others is escaped. */
char *netcheck_to_text(const Netcheck *check, guint width);
JsonNode *netcheck_to_json(const Netcheck *check);
const char *net_filter_to_string(NetFilter filter); /* "endpoint-independent", … */
const char *net_ports_to_string(NetPorts ports);    /* "preserved", … */

/* Pure: how a NAT gives out ports, from the inside and outside ports of mappings made one after the
 * other. */
NetPorts net_ports_classify(const guint16 *inside, const guint16 *outside, gsize n, int *step);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Netcheck, netcheck_free)
