/* SPDX-License-Identifier: MIT */
/*
 * NatInterface: one WireGuard device: its peers, its mux on port P, its STUN probe and its
 * connection to the signaling server. Follows the device by reading it (WireGuard has no
 * notifications): once a second, faster while a handshake is awaited.
 * Host thread only.
 */
#pragma once

#include "agent/config/nat-config.h"
#include "agent/ice/nat-ice-ns.h"
#include "agent/ice/nat-tun.h"
#include "agent/net/nat-fib.h"
#include "agent/net/nat-netmon.h"
#include "agent/peer/nat-peer.h"
#include "agent/status/nat-events.h"
#include "agent/status/nat-status.h"

typedef struct NatInterface NatInterface;

/* What the daemon lends its interfaces. */
typedef struct {
	NatIceNs *ns;
	NatTun *tun;
	NatFib *fib;
	const NatConfig *config;
	NatEvents *events;
	PunchTurn *punch_turn;
	/* Makes the ICE namespace carry the addresses of all searches and these. */
	gboolean (*use_addresses)(const WgEndpoint *addrs, gsize n, gpointer user_data);
	gpointer user_data;
} NatInterfaceEnv;

/* Fails with one line when the device is missing, is no WireGuard, lacks permission, has no key,
 * or lives in another network namespace. The caller holds its lock (nat-lock). What can heal (the
 * interface is down, the server is unreachable) does not fail: it shows in status. */
NatInterface *nat_interface_new(const NatInterfaceEnv *env, const NatConfigInterface *config,
				GError **error);
/* The same for one that was served until now: what stands in the way of the device, too, shows in
 * status and is waited for. Fails only for what innernet's files say. */
NatInterface *nat_interface_new_again(const NatInterfaceEnv *env, const NatConfigInterface *config,
				      GError **error);
void nat_interface_free(NatInterface *iface);
/* Before it is freed by an agent that goes on: what it has at the router is given back, and waited
 * for, unless a tunnel is live. */
void nat_interface_give_back(NatInterface *iface);
/* Addresses, links, routes or rules changed. Where no way that this interface's packets take is
 * another one than before, that is all. NULL: they are to be taken for other ones. */
void nat_interface_network_changed(NatInterface *iface, const NatNetChange *change);
/* Adds the addresses that running searches use to `addrs` (of WgEndpoint). */
void nat_interface_collect_addresses(NatInterface *iface, GArray *addrs);
/* detail: with the details of the peers that match `peer` (NULL: of all). */
void nat_interface_status(NatInterface *iface, NatStatus *status, gboolean detail,
			  const char *peer);
const char *nat_interface_name(const NatInterface *iface);
/* The peers that have this name, or else whose key begins so, are added (transfer none, NatPeer).
 */
void nat_interface_find_peers(NatInterface *iface, const char *text, gboolean by_name,
			      GPtrArray *out);
/* The rest of the configuration (names of peers, standbys), where this interface's own part is as
 * it was. It must live as long as the interface. */
void nat_interface_set_config(NatInterface *iface, const NatConfig *config);
/* As it was given to nat_interface_new(). */
const NatConfigInterface *nat_interface_config(const NatInterface *iface);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatInterface, nat_interface_free)
