/* SPDX-License-Identifier: MIT */
/*
 * NatTun: the host side of libnice's TUN: hands out private ports Q, one per NiceAgent, and moves
 * UDP packets between the port's owner, who sees the host's addresses, and libnice (nat-ice-ns).
 * Host thread only.
 */
#pragma once

#include "agent/ice/nat-ice-ns.h"
#include "agent/net/nat-packet.h"

typedef struct NatTun NatTun;
typedef struct NatTunPort NatTunPort;

/* A packet from A:Q, where libnice is, or somebody who has taken its place: without a namespace
 * every program can bind there. FALSE: it is not libnice's. pkt is valid during the call. */
typedef gboolean (*NatTunFunc)(const NatUdp *pkt, gpointer user_data);

NatTun *nat_tun_new(NatIceNs *ns);
void nat_tun_free(NatTun *tun); /* every port must have been freed */
/* NULL when all private ports are taken. */
NatTunPort *nat_tun_port_new(NatTun *tun, NatTunFunc func, gpointer user_data);
void nat_tun_port_free(NatTunPort *port);
guint16 nat_tun_port_number(const NatTunPort *port); /* Q */
/* Whether libnice could bind it now: it is only reserved here, and a program may have come since.
 */
gboolean nat_tun_port_is_free(const NatTunPort *port);
/* Takes another Q. FALSE: none is free, and it keeps the one it has. */
gboolean nat_tun_port_move(NatTunPort *port);
/* A NiceAgent runs on the port from now on. */
void nat_tun_port_set_busy(NatTunPort *port);
/* How many run: RFC 8445 §14 paces all of an agent's checks together. */
guint nat_tun_busy(const NatTun *tun);
/* Delivers payload to libnice as src → dst's address, port Q. */
void nat_tun_port_deliver(NatTunPort *port, const WgEndpoint *src, const WgEndpoint *dst,
			  const guint8 *payload, gsize len);
/* Packets from the TUN that belonged to no port, were no UDP, or not libnice's. */
guint64 nat_tun_strays(const NatTun *tun);
