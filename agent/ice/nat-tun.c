/* SPDX-License-Identifier: MIT */
#include "agent/ice/nat-tun.h"

#include <errno.h>
#include <glib-unix.h>
#include <unistd.h>

/* Where the ICE thread has no namespace of its own, libnice's sockets share the ports with the
 * host's programs: they are taken from those that the kernel hands out itself
 * (ip_local_port_range), which no service counts on. */
#define FIRST_PORT 33000
#define LAST_PORT 48000
/* One wakeup reads at most this many packets, so that a burst cannot starve the loop. */
#define READ_BATCH 64

struct NatTunPort {
	NatTun *tun;
	guint16 number;
	gboolean busy;
	NatTunFunc func;
	gpointer user_data;
};

struct NatTun {
	NatIceNs *ns;
	guint source;
	GHashTable *ports; /* Q → NatTunPort, not owned */
	guint16 next;
	guint busy;
	guint64 strays;
};

static void
dispatch(NatTun *tun, const guint8 *pkt, gsize len)
{
	NatUdp udp;
	NatTunPort *port = NULL;

	if (nat_packet_parse_ip(pkt, len, &udp) && nat_ice_ns_to_host(tun->ns, &udp.src, &udp.src))
		port = g_hash_table_lookup(tun->ports,
					   GUINT_TO_POINTER(wg_endpoint_port(&udp.src)));
	if (port == NULL || !port->func(&udp, port->user_data))
		tun->strays++;
}

/* Somebody has deleted the device; its descriptor would be readable for ever. */
static gboolean
lost(NatTun *tun, int err)
{
	g_warning("the TUN device has been removed (%s): no new direct path until nat-agent is "
		  "started again",
		  g_strerror(err));
	tun->source = 0;
	return G_SOURCE_REMOVE;
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	NatTun *tun = user_data;
	guint8 pkt[NAT_PACKET_MAX + 64];

	for (int i = 0; i < READ_BATCH; i++) {
		ssize_t n = read(fd, pkt, sizeof pkt);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return lost(tun, errno);
		if (n <= 0)
			break;
		dispatch(tun, pkt, (gsize)n);
	}
	return G_SOURCE_CONTINUE;
}

NatTun *
nat_tun_new(NatIceNs *ns)
{
	NatTun *tun = g_new0(NatTun, 1);

	tun->ns = ns;
	tun->ports = g_hash_table_new(NULL, NULL);
	tun->next = FIRST_PORT;
	tun->source = g_unix_fd_add(nat_ice_ns_tun_fd(ns), G_IO_IN, on_readable, tun);
	return tun;
}

void
nat_tun_free(NatTun *tun)
{
	if (tun == NULL)
		return;
	if (tun->source != 0)
		g_source_remove(tun->source);
	g_warn_if_fail(g_hash_table_size(tun->ports) == 0);
	g_hash_table_unref(tun->ports);
	g_free(tun);
}

/* 0: all are taken. */
static guint16
choose(NatTun *tun)
{
	for (guint tries = 0; tries <= LAST_PORT - FIRST_PORT; tries++) {
		guint16 q = tun->next;

		/* Round robin: a port just freed rests, since its NiceAgent may still be closing.
		 */
		tun->next = q == LAST_PORT ? FIRST_PORT : (guint16)(q + 1);
		if (!g_hash_table_contains(tun->ports, GUINT_TO_POINTER(q)) &&
		    nat_ice_ns_port_is_free(tun->ns, q))
			return q;
	}
	return 0;
}

NatTunPort *
nat_tun_port_new(NatTun *tun, NatTunFunc func, gpointer user_data)
{
	guint16 q = choose(tun);
	NatTunPort *port;

	if (q == 0)
		return NULL;
	port = g_new0(NatTunPort, 1);
	port->tun = tun;
	port->number = q;
	port->func = func;
	port->user_data = user_data;
	g_hash_table_insert(tun->ports, GUINT_TO_POINTER(q), port);
	return port;
}

void
nat_tun_port_free(NatTunPort *port)
{
	if (port == NULL)
		return;
	g_hash_table_remove(port->tun->ports, GUINT_TO_POINTER(port->number));
	if (port->busy)
		port->tun->busy--;
	g_free(port);
}

guint16
nat_tun_port_number(const NatTunPort *port)
{
	return port->number;
}

gboolean
nat_tun_port_is_free(const NatTunPort *port)
{
	return nat_ice_ns_port_is_free(port->tun->ns, port->number);
}

gboolean
nat_tun_port_move(NatTunPort *port)
{
	guint16 q = choose(port->tun);

	if (q == 0)
		return FALSE;
	g_hash_table_remove(port->tun->ports, GUINT_TO_POINTER(port->number));
	port->number = q;
	g_hash_table_insert(port->tun->ports, GUINT_TO_POINTER(q), port);
	return TRUE;
}

void
nat_tun_port_set_busy(NatTunPort *port)
{
	if (!port->busy)
		port->tun->busy++;
	port->busy = TRUE;
}

guint
nat_tun_busy(const NatTun *tun)
{
	return tun->busy;
}

void
nat_tun_port_deliver(NatTunPort *port, const WgEndpoint *src, const WgEndpoint *dst,
		     const guint8 *payload, gsize len)
{
	guint8 pkt[NAT_PACKET_MAX];
	WgEndpoint to;
	gsize n;

	if (!nat_ice_ns_to_inside(port->tun->ns, dst, &to))
		return;
	wg_endpoint_set_port(&to, port->number);
	n = nat_packet_build_ip(pkt, sizeof pkt, src, &to, payload, len);
	/* A full TUN queue loses the packet as any network would; STUN retransmits. */
	if (n > 0 && !nat_ice_ns_deliver(port->tun->ns, &to, pkt, n))
		g_debug("tun: %s", g_strerror(errno));
}

guint64
nat_tun_strays(const NatTun *tun)
{
	return tun->strays;
}
