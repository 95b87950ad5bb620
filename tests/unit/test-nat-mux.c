/* SPDX-License-Identifier: MIT */
#include "tests/unit/two-hosts.h"

#include <string.h>
#include <time.h>

/* The mux's clock is the process's, moved on as a test says: transactions live for seconds. */
typedef struct {
	gint64 offset_us;
	gint64 stopped_us; /* 0: it runs */
} Clock;

static Clock *
test_clock(void)
{
	static Clock test;

	return &test;
}

gint64
g_get_monotonic_time(void)
{
	const Clock *test = test_clock();
	struct timespec now;

	if (test->stopped_us != 0)
		return test->stopped_us + test->offset_us;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000 + test->offset_us;
}

static void
stop_clock(void)
{
	test_clock()->stopped_us = g_get_monotonic_time() - test_clock()->offset_us;
}

static void
start_clock(void)
{
	test_clock()->stopped_us = 0;
}

static void
move_clock(int seconds)
{
	test_clock()->offset_us += seconds * G_USEC_PER_SEC;
}

typedef struct {
	Hosts hosts;
	gboolean up;
	NatMux *mux; /* of host a */
	NatMuxClient *client;
	guint requests, responses;
	gboolean free_inside;
	WgEndpoint last_src, last_dst;
} Fixture;

static void
note(Fixture *f, guint *count, const NatUdp *pkt)
{
	++*count;
	f->last_src = pkt->src;
	f->last_dst = pkt->dst;
	if (f->free_inside)
		g_clear_pointer(&f->client, nat_mux_client_free);
}

static void
on_request(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	note(user_data, &((Fixture *)user_data)->requests, pkt);
}

static void
on_response(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	note(user_data, &((Fixture *)user_data)->responses, pkt);
}

static const NatMuxFuncs FUNCS = {.request = on_request, .response = on_response};

static void
set_up(Fixture *f, gconstpointer data)
{
	*test_clock() = (Clock){0};
	f->up = hosts_up(&f->hosts);
	if (!f->up)
		return;
	f->mux = f->hosts.a.mux;
	f->client = nat_mux_client_new(f->mux, "mine", &FUNCS, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	*test_clock() = (Clock){0};
	if (!f->up)
		return;
	nat_mux_client_free(f->client);
	hosts_down(&f->hosts);
}

static guint64
count(Fixture *f, NatMuxCounter counter)
{
	return nat_mux_counter(f->mux, counter);
}

/* A socket of host b. */
static int
remote(Fixture *f, const char *bind_to)
{
	int fd;

	host_enter(&f->hosts.b);
	fd = net_udp(bind_to);
	host_enter(&f->hosts.a);
	return fd;
}

static void
send_to(int fd, const WgEndpoint *to, const guint8 *msg, gsize len)
{
	g_assert_cmpint(sendto(fd, msg, len, 0, &to->sa, wg_endpoint_socklen(to)), ==, (gssize)len);
}

static void
send_request(int fd, const WgEndpoint *to, const char *username)
{
	static const guint8 id[NAT_STUN_ID_LEN] = "request-id-1";
	guint8 msg[NAT_STUN_MAX];

	send_to(fd, to, msg,
		nat_stun_build_request(msg, sizeof msg, id, username, "remote-password-of-ice"));
}

static void
send_response(int fd, const WgEndpoint *to, const guint8 id[NAT_STUN_ID_LEN])
{
	guint8 msg[NAT_STUN_MAX];

	send_to(fd, to, msg, nat_stun_build_response(msg, sizeof msg, id, to, NULL));
}

/* Asks `dst` under a transaction id made of `n`. */
static gboolean
ask(Fixture *f, const WgEndpoint *src, const WgEndpoint *dst, guint n, guint8 id[NAT_STUN_ID_LEN])
{
	guint8 msg[NAT_STUN_MAX];
	gsize len;

	memset(id, 0, NAT_STUN_ID_LEN);
	memcpy(id, &n, sizeof n);
	len = nat_stun_build_request(msg, sizeof msg, id, "theirs:mine", "remote-password-of-ice");
	return nat_mux_client_send(f->client, src, dst, msg, len);
}

typedef struct {
	Fixture *f;
	NatMuxCounter counter;
	guint64 want;
} Want;

static gboolean
reached(gconstpointer data)
{
	const Want *want = data;

	return count(want->f, want->counter) >= want->want;
}

static void
wait_for(Fixture *f, NatMuxCounter counter, guint64 want)
{
	Want w = {f, counter, want};

	g_assert_true(hosts_wait(reached, &w, 30000));
}

/* Again where it was lost on its way, as happens now and then on a loaded machine. */
#define SEND_UNTIL(f, counter, n, send)                                                            \
	do {                                                                                       \
		Want want_ = {f, counter, n};                                                      \
		int tries_ = 20;                                                                   \
		do                                                                                 \
			send;                                                                      \
		while (!hosts_wait(reached, &want_, 1500) && --tries_ > 0);                        \
		g_assert_cmpint(tries_, >, 0);                                                     \
	} while (FALSE)

static void
test_foreign_ufrag(Fixture *f, gconstpointer data)
{
	static const char *const FOREIGN[] = {"foreign:theirs", "min:theirs", "mine", NULL};
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	for (guint i = 0; i < G_N_ELEMENTS(FOREIGN); i++)
		SEND_UNTIL(f, NAT_MUX_DROP_STRANGER, i + 1,
			   send_request(fd, &f->hosts.a.addr, FOREIGN[i]));
	g_assert_cmpuint(f->requests, ==, 0);
	SEND_UNTIL(f, NAT_MUX_IN, 5, send_request(fd, &f->hosts.a.addr, "mine:theirs"));
	g_assert_cmpuint(f->requests, ==, 1);
	g_assert_true(wg_endpoint_equal(&f->last_dst, &f->hosts.a.addr));
	g_assert_cmpuint(count(f, NAT_MUX_DROP_STRANGER), ==, 4);
	close(fd);
}

static void
test_garbage(Fixture *f, gconstpointer data)
{
	guint8 msg[NAT_STUN_MAX] = {0x00, 0x01, 0xff, 0xfc, 0x21, 0x12, 0xA4, 0x42};
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	SEND_UNTIL(f, NAT_MUX_DROP_MALFORMED, 1, send_to(fd, &f->hosts.a.addr, msg, sizeof msg));
	g_assert_cmpuint(f->requests + f->responses, ==, 0);
	/* and nothing that is no STUN leaves */
	g_assert_false(nat_mux_client_send(f->client, &f->hosts.a.addr, &f->hosts.b.addr,
					   (const guint8 *)"hello", 5));
	g_assert_cmpuint(count(f, NAT_MUX_DROP_MALFORMED), ==, 2);
	g_assert_cmpuint(count(f, NAT_MUX_OUT), ==, 0);
	close(fd);
}

static void
test_unasked_response(Fixture *f, gconstpointer data)
{
	guint8 id[NAT_STUN_ID_LEN] = "unasked----";
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	SEND_UNTIL(f, NAT_MUX_DROP_UNASKED, 1, send_response(fd, &f->hosts.a.addr, id));
	g_assert_cmpuint(f->responses, ==, 0);
	close(fd);
}

/* RFC 8445 §7.2.5.2.1: from where the request went, to where it came from. */
static void
test_response_from_elsewhere(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("10.9.0.2:4000"), second = net_ep("10.9.0.7:51820");
	guint8 id[NAT_STUN_ID_LEN];
	int right, wrong;

	if (!f->up)
		return;
	right = remote(f, "10.9.0.2:4000");
	wrong = remote(f, "10.9.0.2:4001");
	net_run("ip addr add 10.9.0.7/24 dev core-a");
	g_assert_true(ask(f, &f->hosts.a.addr, &dst, 1, id));
	SEND_UNTIL(f, NAT_MUX_DROP_UNASKED, 1, send_response(wrong, &f->hosts.a.addr, id));
	SEND_UNTIL(f, NAT_MUX_IN, 2, send_response(right, &second, id));
	g_assert_cmpuint(f->responses, ==, 0);
	SEND_UNTIL(f, NAT_MUX_IN, 3, send_response(right, &f->hosts.a.addr, id));
	g_assert_cmpuint(f->responses, ==, 1);
	close(right);
	close(wrong);
}

/* A retransmission goes on with the same transaction, whoever is asked anew. */
static void
test_retransmission(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("10.9.0.2:4000");
	guint8 id[NAT_STUN_ID_LEN], buf[NAT_STUN_MAX];
	WgEndpoint from;
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	for (int i = 0; i < 3; i++)
		g_assert_true(ask(f, &f->hosts.a.addr, &dst, 1, id));
	for (int i = 0; i < 3; i++)
		g_assert_cmpint(net_recv(fd, buf, sizeof buf, 30000, &from), >, 0);
	g_assert_true(wg_endpoint_equal(&from, &f->hosts.a.addr));
	SEND_UNTIL(f, NAT_MUX_IN, 1, send_response(fd, &f->hosts.a.addr, id));
	g_assert_cmpuint(f->responses, ==, 1);
	close(fd);
}

/* WireGuard's packets to host b carry 10.9.0.1: a check on .7 would prove nothing. */
static void
test_source_rule(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("10.9.0.2:4000"), second = net_ep("10.9.0.7:51820");
	guint8 id[NAT_STUN_ID_LEN], buf[NAT_STUN_MAX];
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	net_run("ip addr add 10.9.0.7/24 dev core-a");
	g_assert_false(ask(f, &second, &dst, 1, id));
	g_assert_cmpuint(count(f, NAT_MUX_DROP_SOURCE), ==, 1);
	SEND_UNTIL(f, NAT_MUX_DROP_SOURCE, 2, send_request(fd, &second, "mine:theirs"));
	g_assert_cmpuint(f->requests, ==, 0);
	g_assert_cmpuint(count(f, NAT_MUX_OUT), ==, 0);
	g_assert_cmpint(net_recv(fd, buf, sizeof buf, 50, NULL), ==, 0);
	/* the kernel changes its mind, and so do we */
	net_run("ip route replace 10.9.0.0/24 dev core-a src 10.9.0.7");
	g_assert_true(ask(f, &second, &dst, 2, id));
	g_assert_false(ask(f, &f->hosts.a.addr, &dst, 3, id));
	close(fd);
}

static void
refuses(Fixture *f, const char *dst)
{
	guint64 before = count(f, NAT_MUX_DROP_DESTINATION);
	WgEndpoint ep = net_ep(dst), source;
	guint8 id[NAT_STUN_ID_LEN];

	g_test_message("%s", dst);
	g_assert_false(nat_mux_source_for(f->mux, &ep, &source));
	g_assert_false(ask(f, &f->hosts.a.addr, &ep, 1, id));
	g_assert_cmpuint(count(f, NAT_MUX_DROP_DESTINATION), ==, before + 1);
}

static void
test_refused_destinations(Fixture *f, gconstpointer data)
{
	WgEndpoint ep = net_ep("203.0.113.9:51820"), source;

	if (!f->up)
		return;
	net_run("ip route add default via 10.9.0.2");
	net_run("ip tuntap add dev core-tun mode tun");
	net_run("ip addr add 10.77.0.1/16 dev core-tun");
	net_run("ip link set core-tun up");
	net_run("ip route add unreachable 10.78.0.0/16");
	g_assert_true(nat_mux_source_for(f->mux, &ep, &source));
	g_assert_true(wg_endpoint_equal(&source, &f->hosts.a.addr));
	refuses(f, "127.0.0.1:51820");
	refuses(f, "[::1]:51820");
	refuses(f, "0.0.0.0:51820");
	refuses(f, "224.0.0.1:51820");
	refuses(f, "255.255.255.255:51820");
	refuses(f, "10.9.0.255:51820"); /* broadcast of the subnet */
	refuses(f, "[ff02::1]:51820");
	refuses(f, "10.9.0.1:51820");
	refuses(f, "10.9.0.1:53");
	refuses(f, "[fd09::1]:53");
	refuses(f, "10.77.0.1:51820");
	refuses(f, "10.77.3.3:51820");
	refuses(f, "10.78.3.3:51820");
	refuses(f, "[2001:db8::1]:51820"); /* no route */
	refuses(f, "10.9.0.2:0");
	/* no message can say on which link: WireGuard could not send there either */
	ep = net_ep("[fe80::2]:51820");
	g_assert_cmpuint(ep.v6.sin6_scope_id, ==, 0);
	refuses(f, "[fe80::2]:51820");
	g_assert_cmpuint(count(f, NAT_MUX_OUT), ==, 0);
}

/* The fwmark decides the route (wg-quick's full tunnel). */
static void
test_fwmark(Fixture *f, gconstpointer data)
{
	WgEndpoint ep = net_ep("203.0.113.9:51820"), source;
	g_autoptr(GError) error = NULL;

	if (!f->up)
		return;
	net_run("ip tuntap add dev core-tun mode tun");
	net_run("ip addr add 10.77.0.1/16 dev core-tun");
	net_run("ip link set core-tun up");
	net_run("ip route add default via 10.9.0.2");
	net_run("ip route add default dev core-tun table 51820");
	net_run("ip rule add not fwmark 51820 table 51820");
	net_run("ip rule add table main suppress_prefixlength 0");
	g_assert_false(nat_mux_source_for(f->mux, &ep, &source));
	g_assert_true(nat_mux_set_fwmark(f->mux, 51820, &error));
	g_assert_no_error(error);
	g_assert_true(nat_mux_source_for(f->mux, &ep, &source));
	g_assert_true(wg_endpoint_equal(&source, &f->hosts.a.addr));
}

static void
test_new_port(Fixture *f, gconstpointer data)
{
	WgEndpoint ep = net_ep("10.9.0.2:4000"), source, moved = net_ep("10.9.0.1:51821");
	g_autoptr(GError) error = NULL;
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	g_assert_true(nat_mux_set_port(f->mux, 51821, &error));
	g_assert_no_error(error);
	g_assert_true(nat_mux_source_for(f->mux, &ep, &source));
	g_assert_true(wg_endpoint_equal(&source, &moved));
	send_request(fd, &f->hosts.a.addr, "mine:theirs");
	SEND_UNTIL(f, NAT_MUX_IN, 1, send_request(fd, &moved, "mine:theirs"));
	g_assert_cmpuint(f->requests, ==, 1);
	g_assert_true(wg_endpoint_equal(&f->last_dst, &moved));
	close(fd);
}

/* Nobody uses us to flood a third party: per address, whatever the port. */
static void
test_cap_per_destination(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("10.9.0.2:4000"), other = net_ep("10.9.0.3:4000");
	guint8 id[NAT_STUN_ID_LEN];
	guint sent = 0;

	if (!f->up)
		return;
	stop_clock();
	for (guint i = 0; i < 300; i++) {
		wg_endpoint_set_port(&dst, (guint16)(4000 + i % 50));
		sent += ask(f, &f->hosts.a.addr, &dst, i, id) ? 1 : 0;
	}
	g_assert_cmpuint(sent, ==, 60);
	g_assert_cmpuint(count(f, NAT_MUX_DROP_RATE), ==, 240);
	g_assert_true(ask(f, &f->hosts.a.addr, &other, 1000, id));
	move_clock(2);
	g_assert_true(ask(f, &f->hosts.a.addr, &dst, 1001, id));
}

/* Many peers live behind one address. One that has answered has agreed to be asked: a hundred
 * such peers must not share the allowance of a stranger. */
/* Asks each of the ports 4000 to 4029 of host b ten times; how often it went out. */
static guint
ask_ports(Fixture *f)
{
	guint8 id[NAT_STUN_ID_LEN];
	guint sent = 0;

	stop_clock();
	for (guint i = 0; i < 300; i++) {
		WgEndpoint dst = net_ep("10.9.0.2:4000");

		wg_endpoint_set_port(&dst, (guint16)(4000 + i % 30));
		sent += ask(f, &f->hosts.a.addr, &dst, 1000 + i, id) ? 1 : 0;
	}
	start_clock();
	return sent;
}

static void
test_cap_spares_who_answered(Fixture *f, gconstpointer data)
{
	guint8 id[NAT_STUN_ID_LEN];

	if (!f->up)
		return;
	for (guint i = 0; i < 30; i++) {
		g_autofree char *text = g_strdup_printf("10.9.0.2:%u", 4000 + i);
		WgEndpoint dst = net_ep(text);
		int fd = remote(f, text);

		g_assert_true(ask(f, &f->hosts.a.addr, &dst, i, id));
		SEND_UNTIL(f, NAT_MUX_IN, i + 1, send_response(fd, &f->hosts.a.addr, id));
		close(fd);
	}
	g_assert_cmpuint(f->responses, ==, 30);
	g_assert_cmpuint(ask_ports(f), ==, 300);
	/* the consent ends some time after the last answer */
	move_clock(61);
	g_assert_cmpuint(ask_ports(f), ==, 60);
}

static void
test_transactions_expire(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("10.9.0.2:4000");
	guint8 id[NAT_STUN_ID_LEN];
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	g_assert_true(ask(f, &f->hosts.a.addr, &dst, 1, id));
	move_clock(9);
	SEND_UNTIL(f, NAT_MUX_IN, 1, send_response(fd, &f->hosts.a.addr, id));
	g_assert_cmpuint(f->responses, ==, 1);
	move_clock(2);
	SEND_UNTIL(f, NAT_MUX_DROP_UNASKED, 1, send_response(fd, &f->hosts.a.addr, id));
	g_assert_cmpuint(f->responses, ==, 1);
	close(fd);
}

static void
test_client_freed_with_transactions(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("10.9.0.2:4000");
	NatMuxClient *other;
	guint8 id[NAT_STUN_ID_LEN], kept[NAT_STUN_ID_LEN];
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	other = f->client;
	f->client = nat_mux_client_new(f->mux, "second", &FUNCS, f);
	g_assert_true(ask(f, &f->hosts.a.addr, &dst, 1, kept));
	g_clear_pointer(&other, nat_mux_client_free);
	other = f->client;
	f->client = nat_mux_client_new(f->mux, NULL, &FUNCS, f);
	g_assert_true(ask(f, &f->hosts.a.addr, &dst, 2, id));
	g_clear_pointer(&f->client, nat_mux_client_free);
	f->client = other;
	SEND_UNTIL(f, NAT_MUX_DROP_UNASKED, 1, send_response(fd, &f->hosts.a.addr, id));
	SEND_UNTIL(f, NAT_MUX_DROP_STRANGER, 1, send_request(fd, &f->hosts.a.addr, "mine:theirs"));
	g_assert_cmpuint(f->responses + f->requests, ==, 0);
	SEND_UNTIL(f, NAT_MUX_IN, 3, send_response(fd, &f->hosts.a.addr, kept));
	g_assert_cmpuint(f->responses, ==, 1);
	close(fd);
}

static void
test_client_freed_inside(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("10.9.0.2:4000");
	guint8 id[NAT_STUN_ID_LEN];
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	f->free_inside = TRUE;
	g_assert_true(ask(f, &f->hosts.a.addr, &dst, 1, id));
	send_response(fd, &f->hosts.a.addr, id);
	send_response(fd, &f->hosts.a.addr, id);
	send_request(fd, &f->hosts.a.addr, "mine:theirs");
	wait_for(f, NAT_MUX_IN, 3);
	g_assert_cmpuint(f->responses, ==, 1);
	g_assert_cmpuint(f->requests, ==, 0);
	g_assert_cmpuint(count(f, NAT_MUX_DROP_UNASKED), ==, 1);
	g_assert_cmpuint(count(f, NAT_MUX_DROP_STRANGER), ==, 1);
	close(fd);
}

/* A client takes over a ufrag before the one that had it is gone. */
static void
test_ufrag_taken_over(Fixture *f, gconstpointer data)
{
	NatMuxClient *heir;
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "10.9.0.2:4000");
	heir = nat_mux_client_new(f->mux, "mine", &FUNCS, f);
	nat_mux_client_free(f->client);
	f->client = heir;
	SEND_UNTIL(f, NAT_MUX_IN, 1, send_request(fd, &f->hosts.a.addr, "mine:theirs"));
	g_assert_cmpuint(f->requests, ==, 1);
	close(fd);
}

static void
test_ipv6(Fixture *f, gconstpointer data)
{
	WgEndpoint dst = net_ep("[fd09::2]:4000"), second = net_ep("[fd09::7]:51820");
	guint8 id[NAT_STUN_ID_LEN];
	int fd;

	if (!f->up)
		return;
	fd = remote(f, "[fd09::2]:4000");
	net_run("ip addr add fd09::7/128 dev core-a nodad preferred_lft 0");
	g_assert_false(ask(f, &second, &dst, 1, id));
	g_assert_cmpuint(count(f, NAT_MUX_DROP_SOURCE), ==, 1);
	g_assert_false(ask(f, &f->hosts.a.addr, &dst, 2, id)); /* no IPv4 source */
	g_assert_true(ask(f, &f->hosts.a.addr6, &dst, 3, id));
	SEND_UNTIL(f, NAT_MUX_IN, 1, send_response(fd, &f->hosts.a.addr6, id));
	SEND_UNTIL(f, NAT_MUX_IN, 2, send_request(fd, &f->hosts.a.addr6, "mine:theirs"));
	g_assert_cmpuint(f->responses, ==, 1);
	g_assert_cmpuint(f->requests, ==, 1);
	g_assert_true(wg_endpoint_equal(&f->last_dst, &f->hosts.a.addr6));
	close(fd);
}

/* Only who asks for them gets requests that are as large as a path carries. */
static void
test_padded_request(Fixture *f, gconstpointer data)
{
	static const guint8 id[NAT_STUN_ID_LEN] = "request-id-1";
	const NatMuxFuncs funcs = {on_request, on_response, .padded = TRUE};
	guint8 msg[NAT_STUN_PADDED_MAX];
	NatMuxClient *prober;
	int fd;

	if (!f->up)
		return;
	prober = nat_mux_client_new(f->mux, "prober", &funcs, f);
	fd = remote(f, "10.9.0.2:4000");
	g_assert_cmpuint(nat_stun_build_request_padded(msg, sizeof msg, id, "mine:theirs", "pwd",
						       NAT_STUN_MAX + 4),
			 ==, NAT_STUN_MAX + 4);
	SEND_UNTIL(f, NAT_MUX_DROP_MALFORMED, 1,
		   send_to(fd, &f->hosts.a.addr, msg, NAT_STUN_MAX + 4));
	g_assert_cmpuint(f->requests, ==, 0);
	g_assert_cmpuint(nat_stun_build_request_padded(msg, sizeof msg, id, "prober:theirs", "pwd",
						       sizeof msg),
			 ==, sizeof msg);
	SEND_UNTIL(f, NAT_MUX_IN, 2, send_to(fd, &f->hosts.a.addr, msg, sizeof msg));
	g_assert_cmpuint(f->requests, ==, 1);
	nat_mux_client_free(prober);
	close(fd);
}

/* What the interface carries arrives in one piece; what it does not is told at once. */
static void
test_send_probe(Fixture *f, gconstpointer data)
{
	static const guint8 id[NAT_STUN_ID_LEN] = "request-id-1";
	const WgEndpoint *own = &f->hosts.a.addr, *peer = &f->hosts.b.addr;
	guint8 msg[2048], got[2048];
	gssize n = 0;
	gsize len;

	if (!f->up)
		return;
	len = nat_stun_build_request_padded(msg, sizeof msg, id, "a:b", "pwd", NAT_STUN_PADDED_MAX);
	for (int i = 0; i < 20 && n <= 0; i++) {
		g_assert_cmpint(nat_mux_client_send_probe(f->client, own, peer, msg, len), ==,
				NAT_MUX_PROBE_SENT);
		n = net_recv(f->hosts.b.port_holder, got, sizeof got, 1500, NULL);
	}
	g_assert_cmpint(n, ==, (gssize)len);
	len = nat_stun_build_request_padded(msg, sizeof msg, id, "a:b", "pwd",
					    NAT_STUN_PADDED_MAX + 4);
	g_assert_cmpint(nat_mux_client_send_probe(f->client, own, peer, msg, len), ==,
			NAT_MUX_PROBE_TOO_BIG);
	g_assert_cmpuint(count(f, NAT_MUX_DROP_SEND), ==, 0);
	g_assert_cmpint(nat_mux_client_send_probe(f->client, own, own, msg, len), ==,
			NAT_MUX_PROBE_DROPPED);
	/* an ordinary packet may be cut */
	g_assert_true(nat_mux_client_send(f->client, own, peer, msg, len));
}

static void
test_counter_names(void)
{
	for (int i = 0; i < NAT_MUX_N_COUNTERS; i++)
		g_assert_nonnull(nat_mux_counter_name((NatMuxCounter)i));
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/mux/foreign-ufrag", test_foreign_ufrag);
	ADD("/mux/garbage", test_garbage);
	ADD("/mux/unasked-response", test_unasked_response);
	ADD("/mux/response-from-elsewhere", test_response_from_elsewhere);
	ADD("/mux/retransmission", test_retransmission);
	ADD("/mux/source-rule", test_source_rule);
	ADD("/mux/refused-destinations", test_refused_destinations);
	ADD("/mux/fwmark", test_fwmark);
	ADD("/mux/new-port", test_new_port);
	ADD("/mux/cap-per-destination", test_cap_per_destination);
	ADD("/mux/cap-spares-who-answered", test_cap_spares_who_answered);
	ADD("/mux/transactions-expire", test_transactions_expire);
	ADD("/mux/client-freed-with-transactions", test_client_freed_with_transactions);
	ADD("/mux/client-freed-inside", test_client_freed_inside);
	ADD("/mux/ufrag-taken-over", test_ufrag_taken_over);
	ADD("/mux/ipv6", test_ipv6);
	ADD("/mux/padded-request", test_padded_request);
	ADD("/mux/send-probe", test_send_probe);
	g_test_add_func("/mux/counter-names", test_counter_names);
	return g_test_run();
}
