/* SPDX-License-Identifier: MIT */
#include "agent/ice/nat-ice-ns.h"
#include "agent/net/nat-packet.h"
#include "tests/unit/ice-ways.h"
#include "tests/unit/net-util.h"

#include <string.h>

typedef struct {
	NatIceNs *ns;
	GMutex mutex;
	GCond cond;
	gboolean done;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	f->ns = ways_new(data);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_ice_ns_free(f->ns);
}

typedef struct {
	Fixture *f;
	void (*func)(gpointer);
	gpointer data;
} Call;

static void
call(gpointer data)
{
	Call *c = data;

	c->func(c->data);
	g_mutex_lock(&c->f->mutex);
	c->f->done = TRUE;
	g_cond_signal(&c->f->cond);
	g_mutex_unlock(&c->f->mutex);
}

/* Runs func in the ICE thread and waits for it. */
static void
in_ns(Fixture *f, void (*func)(gpointer), gpointer data)
{
	Call c = {f, func, data};
	gint64 end = g_get_monotonic_time() + 10 * G_TIME_SPAN_SECOND;

	f->done = FALSE;
	nat_ice_ns_invoke(f->ns, call, &c, NULL);
	g_mutex_lock(&f->mutex);
	while (!f->done && g_cond_wait_until(&f->cond, &f->mutex, end))
		;
	g_assert_true(f->done);
	g_mutex_unlock(&f->mutex);
}

typedef struct {
	NatIceNs *ns;
	const char *from, *to;
	gboolean sent, unknown;
} Send;

static void
send_one(gpointer data)
{
	Send *s = data;
	WgEndpoint from = net_ep(s->from), to = net_ep(s->to);
	int fd = socket(wg_endpoint_family(&from), SOCK_DGRAM | SOCK_CLOEXEC, 0);

	nat_ice_ns_bind(s->ns, fd);
	if (!nat_ice_ns_to_inside(s->ns, &from, &from))
		s->unknown = TRUE;
	s->sent = !s->unknown && bind(fd, &from.sa, wg_endpoint_socklen(&from)) == 0 &&
		  sendto(fd, "hello", 5, 0, &to.sa, wg_endpoint_socklen(&to)) == 5;
	close(fd);
}

/* Whether a socket bound to `from` in the namespace reaches the TUN with its own address. */
static gboolean
comes_out(Fixture *f, const char *from, const char *to)
{
	Send s = {f->ns, from, to, FALSE, FALSE};
	WgEndpoint src = net_ep(from), dst = net_ep(to);
	guint8 buf[NAT_PACKET_MAX];
	NatUdp udp;
	gssize len;

	in_ns(f, send_one, &s);
	if (!s.sent)
		return FALSE;
	len = net_recv(nat_ice_ns_tun_fd(f->ns), buf, sizeof buf, 5000, NULL);
	g_assert_cmpint(len, >, 0);
	g_assert_true(nat_packet_parse_ip(buf, (gsize)len, &udp));
	g_assert_true(nat_ice_ns_to_host(f->ns, &udp.src, &udp.src));
	g_assert_true(wg_endpoint_equal(&udp.src, &src));
	g_assert_true(wg_endpoint_equal(&udp.dst, &dst));
	g_assert_cmpmem(udp.payload, udp.len, "hello", 5);
	return TRUE;
}

/* By rules, a packet that asks the firewall comes out for each address. */
static void
drain(Fixture *f)
{
	guint8 buf[NAT_PACKET_MAX];

	while (read(nat_ice_ns_tun_fd(f->ns), buf, sizeof buf) > 0)
		;
}

static void
set(Fixture *f, const char *const *addrs)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_autoptr(GError) error = NULL;

	for (; *addrs; addrs++) {
		WgEndpoint ep = net_ep(*addrs);
		g_array_append_val(list, ep);
	}
	nat_ice_ns_set_addresses(f->ns, (WgEndpoint *)(gpointer)list->data, list->len, &error);
	g_assert_no_error(error);
	drain(f);
}

#define V4 "192.0.2.1"
#define V4B "203.0.113.7"
#define V6 "2001:db8::1"
#define R4 "198.51.100.1:3478"
#define R6 "[2001:db8:1::1]:3478"

static void
test_addresses(Fixture *f, gconstpointer data)
{
	if (!f->ns)
		return;
	g_assert_false(comes_out(f, V4 ":9009", R4));
	set(f, (const char *const[]){V4, V6, NULL});
	g_assert_true(comes_out(f, V4 ":9009", R4));
	g_assert_true(comes_out(f, "[" V6 "]:9009", R6));

	/* one more, the same again, one less: the others stay */
	set(f, (const char *const[]){V4, V6, V4B, V4B, NULL});
	set(f, (const char *const[]){V4B, V6, NULL});
	g_assert_false(comes_out(f, V4 ":9009", R4));
	g_assert_true(comes_out(f, V4B ":9009", R4));
	g_assert_true(comes_out(f, "[" V6 "]:9009", R6));

	/* none, then back: the kernel took the IPv4 route away in between */
	set(f, (const char *const[]){NULL});
	g_assert_false(comes_out(f, V4B ":9009", R4));
	g_assert_false(comes_out(f, "[" V6 "]:9009", R6));
	set(f, (const char *const[]){V6, V4, NULL});
	g_assert_true(comes_out(f, V4 ":9009", R4));
	g_assert_true(comes_out(f, "[" V6 "]:9009", R6));
}

/* One impossible address is an error, and costs the others nothing. */
static void
test_bad_address(Fixture *f, gconstpointer data)
{
	WgEndpoint addrs[2] = {{.sa = {0}}, net_ep(V4)};
	g_autoptr(GError) error = NULL;

	if (!f->ns)
		return;
	g_assert_false(nat_ice_ns_set_addresses(f->ns, addrs, 2, &error));
	g_assert_nonnull(error);
	drain(f);
	g_assert_true(comes_out(f, V4 ":9009", R4));
}

/* Nothing comes out that libnice did not send: no router solicitations, MLD, IGMP. The first
 * would come within rtr_solicitation_delay, 1 s. */
static void
test_quiet(Fixture *f, gconstpointer data)
{
	guint8 buf[NAT_PACKET_MAX];

	if (!f->ns)
		return;
	set(f, (const char *const[]){V4, V6, NULL});
	g_assert_cmpint(net_recv(nat_ice_ns_tun_fd(f->ns), buf, sizeof buf, 2000, NULL), ==, 0);
	/* and reading never blocks */
	g_assert_cmpint(read(nat_ice_ns_tun_fd(f->ns), buf, sizeof buf), ==, -1);
	g_assert_cmpint(errno, ==, EAGAIN);
}

typedef struct {
	NatIceNs *ns;
	WgEndpoint inside;
	int fd;
	gboolean received;
} Open;

static void
open_one(gpointer data)
{
	Open *o = data;
	char text[WG_ENDPOINT_STRLEN];

	o->fd = net_udp(wg_endpoint_format(&o->inside, text));
	nat_ice_ns_bind(o->ns, o->fd);
}

static void
receive_one(gpointer data)
{
	Open *o = data;
	guint8 buf[64];

	o->received = net_recv(o->fd, buf, sizeof buf, 500, NULL) == 5;
}

/* What is delivered reaches a socket inside. The kernel puts an IPv6 address's local route from a
 * worker, after it has said that the address is there: on a busy machine that may take longer than
 * nat-ice-link waits, and the packet is sent again, as libnice would. */
static void
test_inwards(Fixture *f, gconstpointer data)
{
	WgEndpoint src = net_ep(R6), dst = net_ep("[" V6 "]:9009");
	guint8 buf[128];

	for (int i = 0; f->ns && i < 100; i++) {
		Open o = {.ns = f->ns};
		gsize len;

		set(f, (const char *const[]){V6, NULL});
		g_assert_true(nat_ice_ns_to_inside(f->ns, &dst, &o.inside));
		len = nat_packet_build_ip(buf, sizeof buf, &src, &o.inside, (const guint8 *)"hello",
					  5);
		in_ns(f, open_one, &o);
		for (int tries = 0; !o.received; tries++) {
			g_assert_cmpint(tries, <, 60);
			g_assert_true(nat_ice_ns_deliver(f->ns, &o.inside, buf, len));
			in_ns(f, receive_one, &o);
		}
		close(o.fd);
		set(f, (const char *const[]){NULL});
	}
}

typedef struct {
	GThread *thread;
	guint runs, destroyed;
} Order;

static void
count(gpointer data)
{
	Order *o = data;

	g_assert_cmpuint(o->runs, ==, o->destroyed);
	g_assert_true(!o->thread || o->thread == g_thread_self());
	o->thread = g_thread_self();
	o->runs++;
}

static void
count_destroyed(gpointer data)
{
	Order *o = data;

	g_assert_true(o->thread == g_thread_self());
	o->destroyed++;
}

/* In order, each destroyed in the ICE thread, and none lost by _free. */
static void
test_invoke(Fixture *f, gconstpointer data)
{
	Order order = {0};

	if (!f->ns)
		return;
	for (int i = 0; i < 100; i++)
		nat_ice_ns_invoke(f->ns, count, &order, count_destroyed);
	g_clear_pointer(&f->ns, nat_ice_ns_free);
	g_assert_cmpuint(order.runs, ==, 100);
	g_assert_cmpuint(order.destroyed, ==, 100);
	g_assert_true(order.thread != g_thread_self());
}

static void
drop_capability(guint cap)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];

	g_assert_cmpint(syscall(SYS_capget, &header, sets), ==, 0);
	for (int i = 0; i < 2; i++)
		sets[i].permitted = sets[i].effective &=
			~(cap / 32 == (guint)i ? 1u << cap % 32 : 0);
	g_assert_cmpint(syscall(SYS_capset, &header, sets), ==, 0);
}

static void
without(guint cap, const char *expected)
{
	g_autoptr(GError) error = NULL;

	if (g_test_subprocess()) {
		drop_capability(CAP_SYS_ADMIN);
		drop_capability(cap);
		g_assert_null(nat_ice_ns_new(&error));
		g_assert_nonnull(strstr(error->message, expected));
		g_assert_null(strchr(error->message, '\n'));
		return;
	}
	if (geteuid() != 0) {
		g_test_skip("needs root");
		return;
	}
	g_test_trap_subprocess(NULL, 20 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_INHERIT_STDERR);
	g_test_trap_assert_passed();
}

static void
test_no_net_admin(void)
{
	without(CAP_NET_ADMIN, "CAP_NET_ADMIN");
}

static void
test_no_net_raw(void)
{
	without(CAP_NET_RAW, "CAP_NET_RAW");
}

#define ADD(name, func)                                                                            \
	do {                                                                                       \
		g_test_add("/ice-ns/" name, Fixture, WAY_NAMESPACE, set_up, func, tear_down);      \
		g_test_add("/ice-ns/rules/" name, Fixture, WAY_RULES, set_up, func, tear_down);    \
	} while (0)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("addresses", test_addresses);
	ADD("bad-address", test_bad_address);
	ADD("quiet", test_quiet);
	ADD("inwards", test_inwards);
	ADD("invoke", test_invoke);
	g_test_add_func("/ice-ns/no-net-admin", test_no_net_admin);
	g_test_add_func("/ice-ns/no-net-raw", test_no_net_raw);
	return g_test_run();
}
