/* SPDX-License-Identifier: MIT */
/* What nat-interface*.c share: one served WireGuard device. */
#pragma once

#include "agent/innernet/inn-hold.h"
#include "agent/innernet/inn-hosts.h"
#include "agent/innernet/inn-names.h"
#include "agent/innernet/inn-reach.h"
#include "agent/innernet/inn.h"
#include "agent/interface/nat-interface.h"
#include "agent/mux/nat-mux.h"
#include "agent/net/nat-link-mtu.h"
#include "agent/net/nat-traffic.h"
#include "agent/net/nat-wake.h"
#include "agent/path/nat-originals.h"
#include "agent/peer/nat-peer.h"
#include "agent/portmap/map.h"
#include "agent/probe/nat-class-probe.h"
#include "agent/probe/nat-keepalive.h"
#include "agent/probe/nat-stun-names.h"
#include "agent/probe/nat-stun-probe.h"
#include "agent/relay/nat-relay-plain.h"
#include "agent/relay/nat-relay.h"
#include "agent/relay/nat-turn-list.h"
#include "agent/session/nat-signal-client.h"

struct NatInterface {
	NatInterfaceEnv env;
	NatConfigInterface *given; /* as configured */
	NatConfigInterface config; /* the same, and what innernet's file adds; borrowed strings */
	WgCtl *ctl;
	WgDevice *device; /* the last snapshot */
	WgDevice *fresh;  /* read for a peer that moves; NULL: none */
	gint64 fresh_us;
	char *problem;
	guint poll;
	gint64 poll_cost_us;
	NatTraffic *traffic;		/* NULL: the link's counters can't be had */
	guint ifindex;			/* that `traffic` reads */
	guint64 rx_packets, tx_packets; /* of the link, when last read */
	gint64 ticked_us, read_us;
	NatWake *wake;

	/* an innernet network's; all NULL: it is none */
	InnConf *inn_conf;
	char *inn_signal_url; /* where the user named none */
	GStrv inn_stun;
	Inn *inn;		  /* while the device is served, and so the rest */
	InnReach *inn_reach;	  /* NULL: the interface is innernet's own */
	InnHold *inn_hold;	  /* NULL: it is ours */
	InnHosts *inn_hosts_file; /* NULL: it is innernet's own */
	InnNames *inn_names;
	GArray *inn_observed,
		*inn_hosts; /* of WgEndpoint: our mappings, and addresses, as last known */
	guint inn_strangers, inn_silent;
	char *nat_said;	   /* what our NAT looks like, as the events have it last */
	char *signal_said; /* why there is no signaling, as the log has it last */
	gint64 signal_us;  /* since when the signaling client is in its state */

	/* all of this exists while the device is served */
	gboolean serving;
	WgKey public_key;
	guint16 port;
	guint32 fwmark;
	NatMux *mux;
	NatStunProbe *probe;
	NatSignalClient *signal;
	gboolean has_sent; /* to some peer's agent, by the signaling server */
	NatOriginals *originals;
	NatTurnList *turns;
	NatRelay *relay;
	NatRelayPlain
		*relay_plain; /* for peers without an agent; NULL: the interface is not ours */
	guint offer;	      /* timer: nat-signald's last offer of servers waits for its turn */
	gint64 offer_us;
	NatKeepalive *keepalive;
	PunchFlows *punch_flows; /* NULL: hard NATs are not tried */
	NatClassProbe *class_probe;
	gboolean class_told;  /* what changes now is told to peers anyway */
	Map *map;	      /* NULL: not wanted */
	NatLinkMtu *link_mtu; /* NULL: paths are not measured */
	guint link_mtu_ifindex;
	guint mtu_fits;	  /* said last: what fits every path; 0: all that is there */
	guint mtu_advice; /* for status */
	NatPeerEnv peer_env;
	GHashTable *peers;	  /* WgKey* (inside the peer) → NatPeer */
	GArray *server_stun;	  /* of WgEndpoint: from the signaling server */
	GArray *server_sources;	  /* of WgEndpoint: our addresses towards it, when last looked */
	NatStunNames *stun_names; /* --stun */
	GHashTable *dropped;	  /* cause → guint64* */
	GHashTable *kept;	  /* counter → guint64*: of what is served no more */
	GHashTable *ways;	  /* where packets went when the network changed last */
	NatStats stats;
};

/* nat-interface.c */
/* Something happened that is not one peer's: an event, and a line of the log. */
void nat_interface_record(NatInterface *iface, GLogLevelFlags level, NatEventKind kind,
			  const char *format, ...) G_GNUC_PRINTF(4, 5);
/* What the device is now, where what is known of it is older than a moment. */
void nat_interface_read_device(NatInterface *iface);
GArray *nat_interface_candidates(gpointer iface); /* what peers are told (transfer full) */
void nat_interface_poll_soon(NatInterface *iface);
void nat_interface_for_each_peer(NatInterface *iface, void (*func)(NatPeer *peer));

/* nat-interface-ways.c */
/* Whether any of the ways that packets take is another one than when this was last asked, or has
 * been without its link meanwhile. change NULL: taken for so. */
gboolean nat_interface_ways_differ(NatInterface *iface, const NatNetChange *change);

/* nat-interface-status.c */
/* What mux, relay and signaling client have counted, before they go. */
void nat_interface_keep_counters(NatInterface *iface);
/* What its peers' status asks. */
GArray *nat_interface_public(gpointer iface); /* what the internet sees of us (transfer full) */
gboolean nat_interface_udp_blocked(gpointer iface);

/* nat-interface-env.c: what it lends its peers */
void nat_interface_make_env(NatInterface *iface);
/* The address of ours that leads to dst, where there is one. */
void nat_interface_add_source(NatInterface *iface, GArray *array, const WgEndpoint *dst);
void nat_interface_count_drop(const char *cause, gpointer iface);
void nat_interface_hurry(gpointer iface); /* nat-interface.c: the device is read soon */

/* nat-interface-signal.c */
extern const NatSignalFuncs NAT_INTERFACE_SIGNAL;
void nat_interface_update_stun(gpointer iface); /* the servers may have changed */
void nat_interface_mapping_changed(gpointer iface);
/* Whether an address that led to the signaling server does so no longer: the connection from it is
 * dead, though TCP would not say so for a long time. Remembers what leads there now. */
gboolean nat_interface_server_lost(NatInterface *iface);

/* nat-interface-relay.c: the TURN side */
void nat_interface_start_relay(NatInterface *iface);
void nat_interface_stop_relay(NatInterface *iface);
/* What the peers want of it, once a second and when one of them changed. */
void nat_interface_update_relay(NatInterface *iface, gint64 now_us);
void nat_interface_relay_network_changed(NatInterface *iface);
/* Whether an endpoint is a bridge to a peer without an agent, and what it leads to. */
gboolean nat_interface_find_plain(const WgEndpoint *endpoint, WgEndpoint *relayed,
				  WgEndpoint *remote, gpointer iface);
const char *nat_interface_relay_problem(gboolean *known, gpointer iface);
void nat_interface_on_turn(const char *const *uris, const char *username, const char *password,
			   guint ttl_s, gpointer iface);

/* nat-interface-punch.c: hard NATs */
void nat_interface_start_punch(NatInterface *iface);  /* before its env is made */
void nat_interface_stop_punch(NatInterface *iface);   /* while the peers are there */
void nat_interface_update_punch(NatInterface *iface); /* each second */

/* nat-interface-lifetime.c: how long mappings live here */
void nat_interface_start_lifetime(NatInterface *iface);
void nat_interface_stop_lifetime(NatInterface *iface);
/* When the mapping is known or changed, and once a second. */
void nat_interface_update_lifetime(NatInterface *iface);
guint16 nat_interface_keepalive_s(gpointer iface);

/* nat-interface-class.c: how the NAT here behaves */
void nat_interface_start_class(NatInterface *iface);
void nat_interface_stop_class(NatInterface *iface);
/* As above. */
void nat_interface_update_class(NatInterface *iface);
void nat_interface_nat_class(NatClass *out, gpointer iface);

/* nat-interface-portmap.c: P mapped at a router */
void nat_interface_start_portmap(NatInterface *iface);
void nat_interface_stop_portmap(NatInterface *iface);	 /* what is mapped is given back */
void nat_interface_end_portmap(NatInterface *iface);	 /* … unless a tunnel is up */
void nat_interface_restart_portmap(NatInterface *iface); /* another port, or mark */
void nat_interface_renew_portmap(NatInterface *iface);	 /* the network changed */
void nat_interface_ways_changed(gpointer iface);	 /* … or where peers may be */
void nat_interface_check_portmap(NatInterface *iface);	 /* … or what STUN servers see */
/* Before all others; those that are the same go. */
void nat_interface_add_mapped(NatInterface *iface, GArray *candidates);
gboolean nat_interface_is_mapped(gpointer iface);
void nat_interface_status_portmap(NatInterface *iface, NatStatusInterface *out);

/* nat-interface-innernet.c: the network's server */
/* Before the device is read for the first time: innernet's file, and the interface itself where it
 * is ours. */
gboolean nat_interface_open_innernet(NatInterface *iface, GError **error);
void nat_interface_close_innernet(NatInterface *iface);
void nat_interface_restore_innernet(NatInterface *iface); /* the device is gone */
void nat_interface_start_innernet(NatInterface *iface);
void nat_interface_stop_innernet(NatInterface *iface);
void nat_interface_renew_innernet(NatInterface *iface);	 /* the network changed */
void nat_interface_update_innernet(NatInterface *iface); /* each second */
/* With each snapshot of the device: the way to the server. Whether the next one is awaited. */
void nat_interface_observe_innernet(NatInterface *iface);
gboolean nat_interface_innernet_urgent(const NatInterface *iface);
/* What the network's state says of a peer. */
void nat_interface_tell_innernet(NatInterface *iface, NatPeer *peer);
void nat_interface_add_observed(NatInterface *iface, GArray *candidates);
void nat_interface_status_innernet(NatInterface *iface, NatStatusInterface *out);

/* nat-interface-mtu.c: what paths carry in one piece, against the interface's MTU */
void nat_interface_stop_mtu(NatInterface *iface);   /* puts it back */
void nat_interface_update_mtu(NatInterface *iface); /* each second, after the peers */
guint nat_interface_wg_mtu(gpointer iface);
