/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/mux/nat-stun.h"
#include "tests/unit/net-util.h"

#include <glib-unix.h>
#include <string.h>

/* A STUN server, and where there is no real NAT, one of its own: who was silent for timeout_ms gets
 * no answer sent to his port by another's request, and a new mapped port where they change. */
typedef struct {
	int fd;
	guint source;
	WgEndpoint addr;
	gboolean mute;	     /* answers nothing */
	gboolean knows_port; /* RESPONSE-PORT; else 420, or the truth where `ignores` */
	gboolean ignores;
	gboolean shifts; /* mapped ports are not the local ones */
	gboolean shifts_always;
	guint timeout_ms;     /* 0: never */
	GHashTable *mappings; /* local port → FakeMapping */
	guint requests;
	guint lose; /* of each three requests so many get no answer */
} FakeStun;

typedef struct {
	guint16 port, mapped;
	gint64 heard_us;
} FakeMapping;

/* The port in RESPONSE-PORT, the only attribute that is ever sent. */
static inline guint16
fake_stun_response_port(const guint8 *msg, gsize len)
{
	return len == 28 && msg[21] == 0x27 ? (guint16)(msg[24] << 8 | msg[25]) : 0;
}

static inline gboolean
fake_stun_alive(const FakeStun *server, const FakeMapping *mapping)
{
	return server->timeout_ms == 0 || g_get_monotonic_time() - mapping->heard_us <
						  server->timeout_ms * G_TIME_SPAN_MILLISECOND;
}

/* The mapping of what came from this port, made anew where it is gone. */
static inline FakeMapping *
fake_stun_use(FakeStun *server, guint16 port)
{
	FakeMapping *mapping = g_hash_table_lookup(server->mappings, GUINT_TO_POINTER(port));

	if (!mapping) {
		mapping = g_new0(FakeMapping, 1);
		mapping->port = mapping->mapped = port;
		g_hash_table_insert(server->mappings, GUINT_TO_POINTER(port), mapping);
	}
	if (server->shifts_always || (server->shifts && !fake_stun_alive(server, mapping)) ||
	    (server->shifts && mapping->heard_us == 0))
		mapping->mapped++;
	mapping->heard_us = g_get_monotonic_time();
	return mapping;
}

static inline FakeMapping *
fake_stun_find_mapped(FakeStun *server, guint16 mapped)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, server->mappings);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (((FakeMapping *)value)->mapped == mapped)
			return value;
	return NULL;
}

static inline void
fake_stun_answer(FakeStun *server, const NatStun *stun, const WgEndpoint *from,
		 const FakeMapping *mapping)
{
	WgEndpoint mapped = *from, to = *from;
	guint8 out[NAT_STUN_MAX];
	gsize len;

	wg_endpoint_set_port(&mapped, mapping->mapped);
	wg_endpoint_set_port(&to, mapping->port);
	len = nat_stun_build_response(out, sizeof out, stun->id, &mapped, NULL);
	sendto(server->fd, out, len, 0, &to.sa, wg_endpoint_socklen(&to));
}

static inline void
fake_stun_answer_to_port(FakeStun *server, const NatStun *stun, const WgEndpoint *from,
			 guint16 port)
{
	/* a real NAT has its own mind about ports that we never saw */
	const FakeMapping unseen = {.port = port, .mapped = port},
			  *mapping = fake_stun_find_mapped(server, port);

	if (!mapping)
		fake_stun_answer(server, stun, from, &unseen);
	else if (fake_stun_alive(server, mapping))
		fake_stun_answer(server, stun, from, mapping);
}

static inline void
fake_stun_refuse(FakeStun *server, const NatStun *stun, const WgEndpoint *from)
{
	guint8 error[20] = {0x01, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42};

	memcpy(error + 8, stun->id, sizeof stun->id);
	sendto(server->fd, error, sizeof error, 0, &from->sa, wg_endpoint_socklen(from));
}

static inline gboolean
fake_stun_on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	FakeStun *server = user_data;
	guint8 buf[NAT_STUN_MAX];
	WgEndpoint from;
	NatStun stun;
	gssize n = net_recv(fd, buf, sizeof buf, 0, &from);
	const FakeMapping *mapping;
	guint16 port;

	g_assert_cmpint(n, >, 0);
	g_assert_true(nat_stun_parse(buf, (gsize)n, &stun));
	if (server->mute || server->requests++ % 3 < server->lose)
		return G_SOURCE_CONTINUE;
	mapping = fake_stun_use(server, wg_endpoint_port(&from));
	port = fake_stun_response_port(buf, (gsize)n);
	if (port != 0 && server->knows_port)
		fake_stun_answer_to_port(server, &stun, &from, port);
	else if (port != 0 && !server->ignores)
		fake_stun_refuse(server, &stun, &from);
	else
		fake_stun_answer(server, &stun, &from, mapping);
	return G_SOURCE_CONTINUE;
}

static inline void
fake_stun_open(FakeStun *server, const char *address)
{
	socklen_t len = sizeof server->addr;

	server->fd = net_udp(address);
	g_assert_cmpint(getsockname(server->fd, &server->addr.sa, &len), ==, 0);
	server->mappings = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	server->source = g_unix_fd_add(server->fd, G_IO_IN, fake_stun_on_readable, server);
}

static inline void
fake_stun_close(FakeStun *server)
{
	g_source_remove(server->source);
	close(server->fd);
	g_hash_table_unref(server->mappings);
}
