/* SPDX-License-Identifier: MIT */
/*
 * Netcheck: what this host's network lets WireGuard do, found out with ordinary sockets: no agent,
 * no WireGuard, no privileges. The values that the other net-* files fill in; net-text and net-json
 * print them, net-verdict says what they mean. The NAT's behaviour is named as in RFC 4787 and
 * found as in RFC 5780.
 */
#pragma once

#include <glib.h>

#include "agent/probe/nat-class.h"

typedef enum { NET_UNKNOWN, NET_NO, NET_YES } NetAnswer;

/* How long a mapping survives without a packet. */
typedef struct {
	gboolean tested;
	int held_s;	 /* so long at least; -1: none was seen to hold */
	int lost_s;	 /* after so long it was gone; -1: none was seen to be lost */
	guint undecided; /* silences that could not be told */
} NetLifetime;

/* One address family. */
typedef struct {
	gboolean has_address;	    /* an address that leads out */
	WgEndpoint source;	    /* it */
	guint servers, answered;    /* that were asked by UDP; by STUN */
	gboolean udp_passes;	    /* some server answers by UDP, for STUN or as a relay */
	WgEndpoint public_endpoint; /* of the first test; unset: no answer */
	NatMapping mapping;
	NatFiltering filter;
	NatAllocation by_source;      /* one mapping for each of several local ports */
	NatAllocation by_destination; /* of one local port, towards several destinations; UNKNOWN
				      where the mapping is the same for all */
	NetAnswer hairpin;
	double rtt_ms;	 /* to the nearest server; negative: none answered */
	guint path_mtu;	 /* a packet of so many bytes arrives whole at the first server, and none
			    that is 4 larger; 0: not known */
	guint link_mtu;	 /* of the interface that leads there; 0: not known */
	guint route_mtu; /* what the kernel believes of the way there; 0: not known */
	NetLifetime lifetime;
} NetFamily;

/* A default route: how one interface leads out by one family. */
typedef struct {
	char *name; /* of the interface */
	int index;
	int family;
	WgEndpoint gateway; /* unset: the link itself leads out */
	guint32 metric;
	gboolean used;	   /* packets to the internet leave this way */
	gboolean tunnel;   /* of WireGuard or another kind; only known of one that is used */
	GArray *addresses; /* of WgEndpoint: the interface's, of the family */
} NetUplink;

/* One server by one transport. */
typedef struct {
	char *kind;	       /* "stun", "turn", "signaling" */
	const char *transport; /* "udp", "tcp", "tls"; static */
	char *name;	       /* as it was given, without secrets */
	WgEndpoint address;    /* the one that answered, or the first; unset: not known */
	gboolean ok;
	double ms;     /* until its answer; negative: none */
	char *note;    /* one line about a server that is ok; may be NULL */
	char *problem; /* one line; NULL when ok */
} NetServer;

/* What a router offers to hosts that want a port forwarded. */
typedef struct {
	char *name;		  /* of the interface towards it */
	WgEndpoint gateway;	  /* port 0 */
	NetAnswer pmp, pcp, upnp; /* NAT-PMP (RFC 6886), PCP (RFC 6887), UPnP IGD */
	guint pmp_code, pcp_code; /* of an answer; not 0: it does not serve us */
	WgEndpoint external;	  /* its own public address, by NAT-PMP; unset: not said */
	char *upnp_host;	  /* where its description is; printable, may be NULL */
} NetRouter;

typedef struct {
	NetAnswer present; /* NO: this network's resolver makes no such addresses */
	WgEndpoint prefix;
	guint prefix_len;
	NetAnswer reaches; /* whether a server's IPv4 address answers through it */
} NetNat64;

typedef struct {
	NetFamily v4, v6;
	NetNat64 nat64;
	GPtrArray *uplinks; /* of NetUplink */
	GPtrArray *servers; /* of NetServer */
	GPtrArray *routers; /* of NetRouter */
	double took_s;	    /* negative: not said */
} Netcheck;

Netcheck *netcheck_new(void);
void netcheck_free(Netcheck *check);
/* (transfer none) */
NetServer *netcheck_add_server(Netcheck *check, const char *kind, const char *transport,
			       const char *name);
NetUplink *netcheck_add_uplink(Netcheck *check, const char *name, int family);
NetRouter *netcheck_add_router(Netcheck *check, const char *name, const WgEndpoint *gateway);
/* FALSE: UDP reaches no server by this family, while it has an address. */
gboolean netcheck_udp_passes(const NetFamily *family);
/* An IPv6 address that all of the internet knows; NET_UNKNOWN: there is none at all. */
NetAnswer netcheck_v6_is_global(const Netcheck *check);
/* A silence that was tested (nat-lifetime-probe). */
void netcheck_note_silence(NetLifetime *lifetime, guint silence_s, gboolean decided, gboolean held);

/* The address alone: the interface is named beside it. Returns buf. */
const char *net_gateway_format(const WgEndpoint *gateway, char buf[WG_ENDPOINT_STRLEN]);
const char *net_answer_to_string(NetAnswer answer); /* "yes", "no", "unknown" */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Netcheck, netcheck_free)
