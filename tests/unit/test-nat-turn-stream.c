/* SPDX-License-Identifier: MIT */
/* The stream behind a TURN server's datagram socket; we are the server. */
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/relay/nat-turn-socket.h"
#include "tests/unit/net-util.h"

#define SOON_MS 5000

typedef struct {
	int listener, peer; /* the server's */
	int fd;		    /* ours */
	NatTurnSocket *sock;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	WgEndpoint addr = net_ep("127.0.0.1:0");
	g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(data, NULL);
	g_autoptr(GError) error = NULL;

	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(f->listener, &addr.sa, wg_endpoint_socklen(&addr)), ==, 0);
	g_assert_cmpint(listen(f->listener, 5), ==, 0);
	addr = net_own_address(f->listener);
	f->sock = nat_turn_socket_new(uri, &addr, 0, &f->fd, &error);
	g_assert_no_error(error);
	g_assert_true(nat_turn_socket_is_stream(f->sock));
	f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	g_assert_cmpint(f->peer, >=, 0);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (f->fd >= 0)
		close(f->fd);
	nat_turn_socket_free(f->sock);
	close(f->listener);
	if (f->peer >= 0)
		close(f->peer);
}

static void
expect_end(Fixture *f, const char *problem)
{
	g_autofree char *said = NULL;
	char byte;

	/* 0 is the end as well as the deadline; a second time it comes at once. */
	g_assert_cmpint(net_recv(f->fd, &byte, 1, SOON_MS, NULL), ==, 0);
	g_assert_cmpint(recv(f->fd, &byte, 1, MSG_DONTWAIT), ==, 0);
	said = nat_turn_socket_problem(f->sock, EPIPE);
	g_assert_cmpstr(said, ==, problem);
}

/* Reads exactly so many bytes of the stream. */
static void
server_reads(Fixture *f, guint8 *buf, gsize len)
{
	for (gsize at = 0; at < len;) {
		gssize n = net_recv(f->peer, buf + at, len - at, SOON_MS, NULL);

		g_assert_cmpint(n, >, 0);
		at += (gsize)n;
	}
}

static void
test_padded_outward(Fixture *f, gconstpointer data)
{
	guint8 buf[16];

	g_assert_cmpint(send(f->fd, "\x40\0\0\5hello", 9, 0), ==, 9);
	g_assert_cmpint(send(f->fd, "\x40\1\0\0", 4, 0), ==, 4);
	server_reads(f, buf, 16);
	g_assert_cmpmem(buf, 16, "\x40\0\0\5hello\0\0\0\x40\1\0\0", 16);
}

/* However TCP cuts it. */
static void
test_byte_by_byte(Fixture *f, gconstpointer data)
{
	static const char stream[] = "\x40\0\0\5hello\0\0\0\x40\1\0\1x\0\0\0\x40\2\0\0";
	char buf[100];

	for (gsize i = 0; i < sizeof stream - 1; i++) {
		g_assert_cmpint(send(f->peer, stream + i, 1, 0), ==, 1);
		if (i == 6)
			g_assert_cmpint(net_recv(f->fd, buf, sizeof buf, 50, NULL), ==, 0);
	}
	g_assert_cmpint(net_recv(f->fd, buf, sizeof buf, SOON_MS, NULL), ==, 9);
	g_assert_cmpmem(buf, 9, "\x40\0\0\5hello", 9);
	g_assert_cmpint(net_recv(f->fd, buf, sizeof buf, SOON_MS, NULL), ==, 5);
	g_assert_cmpint(net_recv(f->fd, buf, sizeof buf, SOON_MS, NULL), ==, 4);
}

static void
test_not_turn(Fixture *f, gconstpointer data)
{
	static const char text[] = "\x16\3\1 this is no TURN";

	g_assert_cmpint(send(f->peer, text, sizeof text, 0), ==, sizeof text);
	expect_end(f, "what answers there does not speak TURN");
}

static void
test_server_closes(Fixture *f, gconstpointer data)
{
	shutdown(f->peer, SHUT_RDWR);
	expect_end(f, "the server closed the connection");
}

/* What was written last still arrives, and then the end. */
static void
test_owner_closes(Fixture *f, gconstpointer data)
{
	guint8 buf[40 * 12], byte;

	/* Else it is a connection under way, which is given up. */
	g_assert_cmpint(send(f->fd, "\x40\0\0\0", 4, 0), ==, 4);
	server_reads(f, buf, 4);
	for (int i = 0; i < 40; i++)
		g_assert_cmpint(send(f->fd, "\x40\0\0\5hello", 9, 0), ==, 9);
	close(f->fd);
	f->fd = -1;
	g_clear_pointer(&f->sock, nat_turn_socket_free);
	server_reads(f, buf, sizeof buf);
	g_assert_cmpint(net_recv(f->peer, &byte, 1, SOON_MS, NULL), ==, 0);
	g_assert_cmpint(recv(f->peer, &byte, 1, MSG_DONTWAIT), ==, 0);
}

/* A server that reads nothing costs no more than the buffers. */
static void
test_server_reads_nothing(Fixture *f, gconstpointer data)
{
	static const guint8 packet[1400] = {0x40, 0, 5, 116};
	gsize sent = 0;

	while (send(f->fd, packet, sizeof packet, MSG_DONTWAIT) > 0) {
		g_assert_cmpuint(sent += sizeof packet, <, 64 * 1024 * 1024);
	}
	g_assert_cmpint(errno, ==, EAGAIN);
}

/* A handshake that never goes on ends when the owner does not want it any more. */
static void
test_freed_while_shaking_hands(Fixture *f, gconstpointer data)
{
	guint8 buf[1024];
	gssize n;

	close(f->fd);
	f->fd = -1;
	g_clear_pointer(&f->sock, nat_turn_socket_free);
	do
		n = net_recv(f->peer, buf, sizeof buf, SOON_MS, NULL);
	while (n > 0);
	g_assert_cmpint(recv(f->peer, buf, 1, MSG_DONTWAIT), <=, 0);
	g_assert_cmpint(errno, !=, EAGAIN);
}

static void
test_source(void)
{
	WgEndpoint server = net_ep("127.0.0.1:3478"), source, v6 = net_ep("[2001:db8::1]:3478");

	g_assert_true(nat_turn_socket_source(&server, 0, &source));
	g_assert_cmpuint(wg_endpoint_port(&source), ==, 0);
	g_assert_true(wg_endpoint_same_address(&source, &server));
	if (!net_fresh())
		return;
	g_assert_false(nat_turn_socket_source(&v6, 0, &source));
}

#define TCP "turn:127.0.0.1?transport=tcp"
#define ADD(name, uri, func) g_test_add(name, Fixture, uri, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/turn-stream/padded-outward", TCP, test_padded_outward);
	ADD("/turn-stream/byte-by-byte", TCP, test_byte_by_byte);
	ADD("/turn-stream/not-turn", TCP, test_not_turn);
	ADD("/turn-stream/server-closes", TCP, test_server_closes);
	ADD("/turn-stream/owner-closes", TCP, test_owner_closes);
	ADD("/turn-stream/server-reads-nothing", TCP, test_server_reads_nothing);
	ADD("/turn-stream/freed-while-shaking-hands", "turns:127.0.0.1",
	    test_freed_while_shaking_hands);
	g_test_add_func("/turn-socket/source", test_source);
	return g_test_run();
}
