/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/mux/nat-stun.h"
#include "agent/probe/nat-class.h"
#include "tests/unit/net-util.h"

#include <glib-unix.h>
#include <string.h>

/* A STUN server of RFC 5780 with two addresses and two ports, which answers as if a NAT of any kind
 * were before the asking host: it makes up the mapping, and sends only what that NAT would let in.
 * In a fresh namespace whose loopback has the addresses. */
#define FAKE_NAT_HOST "192.168.7.2"
#define FAKE_NAT_PUBLIC "198.51.100.7"

typedef struct FakeNat FakeNat;

typedef struct {
	FakeNat *nat;
	int fd;
	guint source;
	WgEndpoint addr;
} FakeNatPlace;

typedef struct {
	guint16 inside, outside;
	guint place; /* that it is for, by what the NAT looks at */
} FakeNatMapping;

struct FakeNat {
	FakeNatPlace places[4]; /* bit 0: the other port, bit 1: the other address */
	NatMapping mapping;
	NatFiltering filtering;
	NatPorts ports;
	gint16 step;
	gboolean one_address, refuses_change, ignores_change, mute;
	gboolean keeps_first; /* SEQUENTIAL: a port's first mapping keeps it, and is not counted */
	gboolean other_mute;  /* nothing answers at the other address */
	guint other_requests; /* that came to it */
	guint lose;	      /* of each three requests so many get no answer */
	guint others;	      /* SEQUENTIAL: up to so many of theirs before each mapping of ours */
	GArray *mappings;
	GArray *sent; /* of guint32: inside port << 2 | place */
	guint requests;
	guint16 next;
};

static inline guint
fake_nat_scope(const FakeNat *nat, guint place)
{
	if (nat->mapping == NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT)
		return place;
	return nat->mapping == NAT_MAPPING_ADDRESS_DEPENDENT ? place & 2 : 0;
}

static inline guint16
fake_nat_new_port(FakeNat *nat, guint16 inside)
{
	if (nat->ports == NAT_PORTS_PRESERVED)
		return inside;
	if (nat->ports == NAT_PORTS_SEQUENTIAL) {
		guint others = nat->mappings->len * 7 % (nat->others + 1);

		return nat->next = (guint16)(nat->next + nat->step * (gint)(others + 1));
	}
	if (nat->ports == NAT_PORTS_BLOCK)
		return (guint16)(20000 + nat->mappings->len * 397 % 1000);
	return (guint16)(1024 + nat->mappings->len * 23456u % 60000); /* as good as by chance */
}

static inline guint16
fake_nat_map(FakeNat *nat, guint16 inside, guint place)
{
	FakeNatMapping mapping = {.inside = inside, .place = fake_nat_scope(nat, place)};
	gboolean seen = FALSE;

	for (guint i = 0; i < nat->mappings->len; i++) {
		const FakeNatMapping *known = &g_array_index(nat->mappings, FakeNatMapping, i);

		seen |= known->inside == inside;
		if (known->inside == inside && known->place == mapping.place)
			return known->outside;
	}
	mapping.outside = nat->keeps_first && !seen ? inside : fake_nat_new_port(nat, inside);
	g_array_append_val(nat->mappings, mapping);
	return mapping.outside;
}

/* Whether what comes from `from` gets to the mapping that was made towards `to`. */
static inline gboolean
fake_nat_lets_in(FakeNat *nat, guint16 inside, guint to, guint from)
{
	for (guint i = 0; i < nat->sent->len; i++) {
		guint32 entry = g_array_index(nat->sent, guint32, i);
		guint place = entry & 3;

		if (entry >> 2 != inside || fake_nat_scope(nat, place) != fake_nat_scope(nat, to))
			continue;
		if (nat->filtering == NAT_FILTERING_ENDPOINT_INDEPENDENT || place == from ||
		    (nat->filtering == NAT_FILTERING_ADDRESS_DEPENDENT && place >> 1 == from >> 1))
			return TRUE;
	}
	return FALSE;
}

/* CHANGE-REQUEST's bits: it is the first attribute, where there is one. */
static inline guint
fake_nat_change(const guint8 *msg, gssize len)
{
	for (gssize at = 20; at + 8 <= len;
	     at += 4 + ((msg[at + 2] << 8 | msg[at + 3]) + 3) / 4 * 4)
		if (msg[at] == 0 && msg[at + 1] == 3)
			return msg[at + 7];
	return 0;
}

static inline void
fake_nat_refuse(const FakeNatPlace *place, const NatStun *stun, const WgEndpoint *to)
{
	guint8 error[20] = {0x01, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42};

	memcpy(error + 8, stun->id, sizeof stun->id);
	sendto(place->fd, error, sizeof error, 0, &to->sa, wg_endpoint_socklen(to));
}

static inline void
fake_nat_answer(FakeNat *nat, guint from, const NatStun *stun, const WgEndpoint *to, guint16 mapped)
{
	const WgEndpoint *other = &nat->places[from ^ 3].addr;
	WgEndpoint public_endpoint = net_ep(FAKE_NAT_PUBLIC);
	guint8 out[NAT_STUN_MAX];
	gsize len;

	wg_endpoint_set_port(&public_endpoint, mapped);
	len = nat_stun_build_response(out, sizeof out, stun->id, &public_endpoint, NULL);
	if (!nat->one_address) {
		const guint8 head[] = {0x80, 0x2c, 0, 8, 0, 1};

		memcpy(out + len, head, sizeof head);
		memcpy(out + len + 6, &other->v4.sin_port, 2);
		memcpy(out + len + 8, &other->v4.sin_addr, 4);
		len += 12;
		out[2] = (guint8)((len - 20) >> 8);
		out[3] = (guint8)(len - 20);
	}
	sendto(nat->places[from].fd, out, len, 0, &to->sa, wg_endpoint_socklen(to));
}

static inline gboolean
fake_nat_on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	FakeNatPlace *place = user_data;
	FakeNat *nat = place->nat;
	guint here = (guint)(place - nat->places), from = here, change;
	guint8 buf[NAT_STUN_MAX];
	WgEndpoint to;
	NatStun stun;
	gssize n = net_recv(fd, buf, sizeof buf, 0, &to);
	guint16 mapped, inside = wg_endpoint_port(&to);
	guint32 entry = (guint32)inside << 2 | here;

	g_assert_cmpint(n, >, 0);
	g_assert_true(nat_stun_parse(buf, (gsize)n, &stun));
	mapped = fake_nat_map(nat, inside, here);
	g_array_append_val(nat->sent, entry);
	nat->other_requests += (here & 2) != 0;
	if (nat->mute || nat->requests++ % 3 < nat->lose || (nat->other_mute && here & 2))
		return G_SOURCE_CONTINUE;
	change = nat->ignores_change ? 0 : fake_nat_change(buf, n);
	if (change & NAT_STUN_CHANGE_PORT)
		from ^= 1;
	if (change & NAT_STUN_CHANGE_IP)
		from ^= 2;
	if (change != 0 && (nat->refuses_change || (nat->one_address && (from ^ here) & 2)))
		fake_nat_refuse(place, &stun, &to);
	else if (nat->other_mute && from & 2)
		return G_SOURCE_CONTINUE;
	else if (fake_nat_lets_in(nat, inside, here, from))
		fake_nat_answer(nat, from, &stun, &to, mapped);
	return G_SOURCE_CONTINUE;
}

static inline void
fake_nat_close(FakeNat *nat)
{
	for (guint i = 0; i < 4; i++) {
		g_clear_handle_id(&nat->places[i].source, g_source_remove);
		if (nat->places[i].nat != NULL)
			close(nat->places[i].fd);
	}
	g_clear_pointer(&nat->mappings, g_array_unref);
	g_clear_pointer(&nat->sent, g_array_unref);
}

/* FALSE: no permission; the test is skipped. */
static inline gboolean
fake_nat_open(FakeNat *nat)
{
	static const char *const PLACES[] = {"192.0.2.10:3478", "192.0.2.10:3479",
					     "192.0.2.11:3478", "192.0.2.11:3479"};

	nat->mappings = g_array_new(FALSE, FALSE, sizeof(FakeNatMapping));
	nat->sent = g_array_new(FALSE, FALSE, sizeof(guint32));
	nat->next = 40000;
	if (!net_fresh())
		return FALSE;
	net_run("ip link set lo up");
	net_run("ip addr add " FAKE_NAT_HOST "/32 dev lo");
	net_run("ip addr add 192.0.2.10/32 dev lo");
	net_run("ip addr add 192.0.2.11/32 dev lo");
	for (guint i = 0; i < 4; i++) {
		FakeNatPlace *place = &nat->places[i];

		place->nat = nat;
		place->fd = net_udp(PLACES[i]);
		place->addr = net_ep(PLACES[i]);
		place->source = g_unix_fd_add(place->fd, G_IO_IN, fake_nat_on_readable, place);
	}
	return TRUE;
}
