/* SPDX-License-Identifier: MIT */
/*
 * NatStatus: a snapshot of all the daemon knows, its JSON (DESIGN §7, only ever extended) and its
 * text. Values; pure; the daemon fills it, the control socket carries it, the CLI prints it.
 * Times are relative so that no clock is needed to read them. Negative numbers mean absent.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/base/nat-stats.h"
#include "agent/base/nat-types.h"
#include "agent/probe/nat-class.h"
#include "agent/status/nat-status-detail.h"

typedef struct {
	WgKey public_key;
	char *name; /* may be NULL */
	NatPeerState state;
	gboolean managed;	    /* its agent has announced itself */
	gboolean has_path;	    /* only while connected */
	gboolean relay;		    /* path.kind: relay, else direct */
	NatCandidate local, remote; /* endpoint unset: absent */
	double rtt_ms, loss;	    /* loss: 0 to 1 */
	guint mtu;		    /* of the path, bytes; 0: unknown */
	guint source_port;	    /* that it leaves from; 0: WireGuard's own */
	gint64 since_s;		    /* how long on this path */
	gboolean has_standby, standby_relay;
	NatCandidate standby; /* the peer's address on the path held ready */
	guint failovers;      /* to another path, since the agent knows the peer */
	WgEndpoint endpoint;  /* as the device has it */
	gint64 connect_ms;    /* from the session's start to the proof */
	gint64 last_handshake_s;
	guint64 rx_bytes, tx_bytes;
	char *why;		 /* one sentence, never NULL */
	char *reason;		 /* the same for programs (nat-why.h); NULL: an older agent's */
	char *no_relay;		 /* … and why there is no relay either; NULL: none is missing */
	NatStatusDetail *detail; /* NULL: not asked for */
} NatStatusPeer;

typedef struct {
	char *server;	    /* "turn:192.0.2.20:3478?transport=udp", without credentials */
	char *state;	    /* "idle", "allocating", "up", "failed"; NULL: unknown */
	WgEndpoint relayed; /* unset: no allocation */
	gboolean spare;	    /* held for when another one's server dies */
	char *problem;	    /* one line, may be NULL */
} NatStatusRelay;

/* P at the router (portmap/map.h); state NULL: unknown. */
typedef struct {
	char *state, *protocol, *problem; /* the last two may be NULL */
	WgEndpoint gateway, external;	  /* unset: none */
	guint lifetime_s;		  /* that is left; 0: unknown */
	gboolean pinhole;		  /* by IPv6 */
} NatStatusPortMapping;

typedef struct {
	char *name;
	char *problem; /* one line when the interface cannot be served now, else NULL */
	WgKey public_key;
	guint16 listen_port;
	char *backend; /* "kernel", "userspace", NULL */
	char *signal_url, *signal_state, *signal_reason;
	/* "beside" or "yes", its server's URL, "reachable" and so on, and a line where something is
	 * wrong; all NULL: no innernet network */
	char *innernet_mode, *innernet_server, *innernet_state, *innernet_reason;
	NatStatusPortMapping port_mapping;
	NatMapping mapping;
	NatClass nat;		  /* its own mapping is not looked at */
	guint mapping_lifetime_s; /* the longest silence it is known to survive; 0: unknown */
	GArray *public_endpoints; /* of WgEndpoint */
	GArray *candidates;	  /* of NatCandidate */
	GPtrArray *peers;	  /* of NatStatusPeer */
	GPtrArray *relays;	  /* of NatStatusRelay */
	guint mtu_advice;	  /* what would fit every path, bytes; 0: the present one does */
	GHashTable *counters; /* char* → guint64*: drops by cause, packets through the mux and the
				 relay; may be NULL */
	NatStats stats;	      /* for nat-metrics; not in the JSON */
} NatStatusInterface;

typedef struct {
	char *version;
	char *isolation;       /* "namespace" or "rules" (docs/privileges.md); NULL: unknown */
	GPtrArray *interfaces; /* of NatStatusInterface */
} NatStatus;

NatStatus *nat_status_new(void);
NatStatusInterface *nat_status_add_interface(NatStatus *status, const char *name);
NatStatusPeer *nat_status_add_peer(NatStatusInterface *iface, const WgKey *key);
NatStatusRelay *nat_status_add_relay(NatStatusInterface *iface, const char *server);
void nat_status_set_counter(NatStatusInterface *iface, const char *name, guint64 value);
void nat_status_free(NatStatus *status);

JsonNode *nat_status_to_json(const NatStatus *status);
NatStatus *nat_status_from_json(JsonNode *node, GError **error);
/* Aligned lines for people, at most `width` columns. Never raw bytes of others: all text is escaped
 * to printable UTF-8. peer: NULL or a name, key or unique key prefix. */
char *nat_status_to_text(const NatStatus *status, const char *interface, const char *peer,
			 gboolean colour, guint width);
/* 0 every peer connected, 1 some peer not, or an interface has a problem (DESIGN §7). */
int nat_status_exit_code(const NatStatus *status);
/* Drops what is not asked for; either may be NULL. G_IO_ERROR_NOT_FOUND when nothing is left, or
 * when `peer` fits several keys. */
gboolean nat_status_filter(NatStatus *status, const char *interface, const char *peer,
			   GError **error);
/* Whether `peer` (NULL: any) is this peer's name, key or the beginning of its key. */
gboolean nat_status_peer_matches(const NatStatusPeer *peer, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatStatus, nat_status_free)
