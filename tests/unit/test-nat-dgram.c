/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-dgram.h"
#include "tests/unit/net-own.h"
#include "tests/unit/net-util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define WAIT_MS 30000
#define MANY 3000

typedef struct {
	NatDgram a, b; /* connected to each other */
	NatDgramIn *in;
	NatDgramOut *out;
	guint8 *data;
} Fixture;

static int
connected(int fd, int to)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;

	g_assert_cmpint(getsockname(to, (struct sockaddr *)&sa, &len), ==, 0);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&sa, len), ==, 0);
	return fd;
}

static void
set_up_at(Fixture *f, const char *address)
{
	int a = net_udp(address), b = net_udp(address);

	nat_dgram_init(&f->a, connected(a, b));
	nat_dgram_init(&f->b, connected(b, a));
	f->in = nat_dgram_in_new();
	f->out = nat_dgram_out_new();
	f->data = g_malloc(NAT_DGRAM_MAX + 1);
	for (guint i = 0; i <= NAT_DGRAM_MAX; i++)
		f->data[i] = (guint8)(i * 7);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	set_up_at(f, "127.0.0.1:0");
}

static void
set_up_pair(Fixture *f, gconstpointer data)
{
	int fds[2];

	set_up_at(f, "127.0.0.1:0");
	nat_dgram_close(&f->a);
	nat_dgram_close(&f->b);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), ==, 0);
	nat_dgram_init(&f->a, fds[0]);
	nat_dgram_init(&f->b, fds[1]);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_dgram_close(&f->a);
	nat_dgram_close(&f->b);
	nat_dgram_in_free(f->in);
	nat_dgram_out_free(f->out);
	g_free(f->data);
}

/* Data from a place of its own, so that exchanged ones are noticed. */
static void
add(Fixture *f, guint number, gsize len, NatDgramSent *sent)
{
	guint8 head[4] = {0x40, 0, len >> 8, len & 0xff};

	nat_dgram_add(f->out, &f->a, head, sizeof head, f->data + number % 256, len, sent);
}

static gboolean
is_as_sent(Fixture *f, const guint8 *msg, gsize len, guint number, gsize want)
{
	return len == want + 4 && (gsize)(msg[2] << 8 | msg[3]) == want &&
	       memcmp(msg + 4, f->data + number % 256, want) == 0;
}

static gboolean
is_readable(Fixture *f, int timeout_ms)
{
	GPollFD poll = {.fd = f->b.fd, .events = G_IO_IN};

	return g_poll(&poll, 1, timeout_ms) == 1;
}

static int
read_some(Fixture *f)
{
	g_assert_true(is_readable(f, WAIT_MS));
	return nat_dgram_read(&f->b, f->in);
}

/* Reads until all of them are there, in order. FALSE: what came is right, but the kernel of a
 * loaded machine lost some. */
static gboolean
expect(Fixture *f, const gsize *sizes, guint n_sizes, guint n)
{
	guint next = 0, count = 0;
	const guint8 *msg;
	gsize len;

	while (next < n && is_readable(f, 2000)) {
		g_assert_cmpint(nat_dgram_read(&f->b, f->in), >, 0);
		for (guint i = 0; (msg = nat_dgram_in_get(f->in, i, &len)) != NULL; i++, count++) {
			while (next < n && !is_as_sent(f, msg, len, next, sizes[next % n_sizes]))
				next++;
			g_assert_cmpuint(next++, <, n);
		}
	}
	if (count < n)
		return FALSE;
	g_assert_cmpint(nat_dgram_read(&f->b, f->in), ==, -1);
	g_assert_cmpint(errno, ==, EAGAIN);
	return TRUE;
}

static gboolean
pass_once(Fixture *f, const gsize *sizes, guint n_sizes, guint n)
{
	NatDgramSent sent = {0};
	guint64 bytes = 0;

	for (guint i = 0; i < n; i++) {
		add(f, i, sizes[i % n_sizes], &sent);
		bytes += sizes[i % n_sizes];
	}
	nat_dgram_flush(f->out, &f->a, &sent);
	g_assert_cmpuint(sent.packets, ==, n);
	g_assert_cmpuint(sent.bytes, ==, bytes);
	g_assert_cmpuint(sent.dropped, ==, 0);
	g_assert_cmpint(sent.error, ==, 0);
	return expect(f, sizes, n_sizes, n);
}

static void
pass(Fixture *f, const gsize *sizes, guint n_sizes, guint n)
{
	gboolean passed = FALSE;

	for (int i = 0; i < 5 && !passed; i++)
		passed = pass_once(f, sizes, n_sizes, n);
	g_assert_true(passed);
}

static void
test_one_size(Fixture *f, gconstpointer data)
{
	static const gsize sizes[] = {1400};

	pass(f, sizes, 1, 1);
	pass(f, sizes, 1, 2);
	pass(f, sizes, 1, 46);
	pass(f, sizes, 1, 200);
}

/* Shorter, longer, equal, empty: each is received as it was. */
static void
test_mixed_sizes(Fixture *f, gconstpointer data)
{
	static const gsize sizes[] = {1400, 1400, 100, 1400, 1452, 32, 32, 0, 0, 148, 1, 1400};
	static const gsize tiny[] = {1};

	pass(f, sizes, G_N_ELEMENTS(sizes), 600);
	pass(f, tiny, 1, 500);
}

static void
test_largest(Fixture *f, gconstpointer data)
{
	gboolean came = FALSE;
	guint8 *big = g_malloc0(NAT_DGRAM_MAX);
	const guint8 *msg;
	gsize len;

	for (int i = 0; i < 20 && !came; i++) {
		NatDgramSent sent = {0};

		nat_dgram_add(f->out, &f->a, NULL, 0, big, NAT_DGRAM_MAX, &sent);
		nat_dgram_add(f->out, &f->a, (const guint8 *)"head", 4, big, NAT_DGRAM_MAX - 3,
			      &sent);
		nat_dgram_flush(f->out, &f->a, &sent);
		g_assert_cmpuint(sent.packets, ==, 1);
		g_assert_cmpuint(sent.dropped, ==, 1);
		came = is_readable(f, 1500);
	}
	g_assert_cmpint(read_some(f), ==, 1);
	msg = nat_dgram_in_get(f->in, 0, &len);
	g_assert_nonnull(msg);
	g_assert_cmpuint(len, ==, NAT_DGRAM_MAX);
	g_free(big);
}

/* Runs that the path's MTU forbids leave one by one, in fragments; smaller ones still together. */
static void
test_beyond_mtu(void)
{
	static const gsize big[] = {3000}, small[] = {1000};
	Fixture f = {0};

	if (!net_fresh())
		return;
	net_run("ip link set lo mtu 1500 up");
	set_up(&f, NULL);
	pass(&f, big, 1, 40);
	pass(&f, small, 1, 40);
	g_assert_cmpuint(f.a.gso_below, ==, 3004);
	pass(&f, big, 1, 40);
	tear_down(&f, NULL);
}

/* Kernels without UDP_SEGMENT, or without UDP_GRO. */
static void
test_without_offload(Fixture *f, gconstpointer data)
{
	static const gsize sizes[] = {1400, 1400, 1400, 100};

	f->a.gso_below = 0;
	pass(f, sizes, G_N_ELEMENTS(sizes), 300);
	f->b.gro = FALSE;
	pass(f, sizes, G_N_ELEMENTS(sizes), 300);
}

/* An ICMP about an earlier datagram costs no later one. */
static void
test_refused(Fixture *f, gconstpointer data)
{
	NatDgramSent sent = {0};
	int fd = f->b.fd;
	guint n;

	f->b.fd = -1;
	close(fd);
	for (n = 0; n < 10 || (n < 1000 && sent.error == 0); n++) {
		add(f, n, 100 + n % 2, &sent);
		nat_dgram_flush(f->out, &f->a, &sent);
		if (n >= 10)
			g_usleep(1000);
	}
	g_assert_cmpuint(sent.packets + sent.dropped, ==, n);
	g_assert_cmpint(sent.error, ==, ECONNREFUSED);
}

static void
test_pair(Fixture *f, gconstpointer data)
{
	static const gsize sizes[] = {1400, 100, 1400, 1452};

	g_assert_false(f->a.udp);
	pass(f, sizes, G_N_ELEMENTS(sizes), 40); /* a burst: more do not wait in a pair */
	nat_dgram_close(&f->a);
	g_assert_cmpint(read_some(f), ==, 0);
}

/* A pair that nobody reads is waited for once, then not. */
static void
test_full(Fixture *f, gconstpointer data)
{
	NatDgramSent sent = {0};
	gint64 start;

	while (sent.dropped == 0) {
		add(f, 0, 1400, &sent);
		nat_dgram_flush(f->out, &f->a, &sent);
	}
	g_assert_true(f->a.full);
	g_assert_cmpint(sent.error, ==, 0);
	start = g_get_monotonic_time();
	for (int i = 0; i < MANY; i++) {
		add(f, 0, 1400, &sent);
		nat_dgram_flush(f->out, &f->a, &sent);
	}
	g_assert_cmpint(g_get_monotonic_time() - start, <, MANY * 1000);
	while (nat_dgram_read(&f->b, f->in) > 0)
		;
	sent = (NatDgramSent){0};
	add(f, 0, 1400, &sent);
	nat_dgram_flush(f->out, &f->a, &sent);
	g_assert_cmpuint(sent.packets, ==, 1);
	g_assert_false(f->a.full);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
#define CASE(path, up, func) g_test_add(path, Fixture, NULL, up, func, tear_down)
	CASE("/dgram/one-size", set_up, test_one_size);
	CASE("/dgram/mixed-sizes", set_up, test_mixed_sizes);
	CASE("/dgram/largest", set_up, test_largest);
	CASE("/dgram/without-offload", set_up, test_without_offload);
	CASE("/dgram/refused", set_up, test_refused);
	CASE("/dgram/pair", set_up_pair, test_pair);
	CASE("/dgram/full", set_up_pair, test_full);
	g_test_add_func("/dgram/beyond-mtu", test_beyond_mtu);
	return g_test_run();
}
