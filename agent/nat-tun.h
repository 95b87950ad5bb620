/* SPDX-License-Identifier: MIT */
/*
 * NatTun: the host side of libnice's TUN: hands out private ports Q, one per NiceAgent, and moves
 * UDP packets between the port's owner, who sees the host's addresses, and libnice (nat-ice-ns).
 * Host thread only.
 */
#pragma once

#include "agent/nat-ice-ns.h"
#include "agent/nat-packet.h"

typedef struct NatTun NatTun;
typedef struct NatTunPort NatTunPort;

/* A packet that libnice sent from A:Q. pkt is valid during the call. */
typedef void (*NatTunFunc)(const NatUdp *pkt, gpointer user_data);

NatTun *nat_tun_new(NatIceNs *ns);
void nat_tun_free(NatTun *tun); /* every port must have been freed */
/* NULL when all private ports are taken. */
NatTunPort *nat_tun_port_new(NatTun *tun, NatTunFunc func, gpointer user_data);
void nat_tun_port_free(NatTunPort *port);
guint16 nat_tun_port_number(const NatTunPort *port); /* Q */
/* A NiceAgent runs on the port from now on. */
void nat_tun_port_set_busy(NatTunPort *port);
/* How many run: RFC 8445 §14 paces all of an agent's checks together. */
guint nat_tun_busy(const NatTun *tun);
/* Delivers payload to libnice as src → dst's address, port Q. */
void nat_tun_port_deliver(NatTunPort *port, const WgEndpoint *src, const WgEndpoint *dst,
			  const guint8 *payload, gsize len);
/* Packets from the TUN that belonged to no port or were no UDP. */
guint64 nat_tun_strays(const NatTun *tun);
