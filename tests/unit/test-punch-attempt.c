/* SPDX-License-Identifier: MIT */
/* One attempt by real sockets: what is sent, how fast, and what counts as a hit. */
#include <string.h>

#include "agent/mux/nat-stun.h"
#include "agent/punch/punch-attempt.h"
#include "tests/unit/net-util.h"

static NatWatchKeys KEYS = {.own_ufrag = "ownufrag",
			    .username = "peerufrag:ownufrag",
			    .own_pwd = "own-password-own-password",
			    .peer_pwd = "peer-password-peer-password"};
/* As the other end has them. */
#define PEERS_USERNAME "ownufrag:peerufrag"

typedef struct {
	PunchAttempt *attempt;
	int far; /* the other end's port P: the only one that a port-restricted NAT would let out */
	guint hits, ended, sprayed;
	guint16 hit_port;
	WgEndpoint hit_remote;
	gint64 began_us, ended_us;
	guint8 seen[65536];
} Fixture;

static void
on_hit(guint16 port, int fd, const WgEndpoint *remote, gpointer user_data)
{
	Fixture *f = user_data;

	f->hits++;
	f->hit_port = port;
	f->hit_remote = *remote;
	close(fd);
	g_clear_pointer(&f->attempt, punch_attempt_free); /* callbacks may */
}

static gboolean
on_spray(const WgEndpoint *dst, gpointer user_data)
{
	Fixture *f = user_data;

	f->sprayed++;
	f->seen[wg_endpoint_port(dst)]++;
	return TRUE;
}

static void
on_ended(gpointer user_data)
{
	Fixture *f = user_data;

	f->ended++;
	f->ended_us = g_get_monotonic_time();
}

static const PunchFuncs FUNCS = {.hit = on_hit, .spray = on_spray, .ended = on_ended};

static void
set_up(Fixture *f, gconstpointer data)
{
	f->far = -1;
	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	net_run("ip addr add 10.9.0.1/32 dev lo");
	net_run("ip addr add 10.9.0.2/32 dev lo");
	f->far = net_udp("10.9.0.2:51820");
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	punch_attempt_free(f->attempt);
	if (f->far >= 0)
		close(f->far);
}

static void
begin(Fixture *f, PunchRole role, guint n)
{
	WgEndpoint local = net_ep("10.9.0.1:51820");
	g_autoptr(GError) error = NULL;

	f->attempt = punch_attempt_new(role, &KEYS, &FUNCS, f);
	f->began_us = g_get_monotonic_time();
	if (role == PUNCH_SPRAY)
		return;
	g_assert_true(punch_attempt_make_ports(f->attempt, &local, n, 0, &error));
	g_assert_no_error(error);
}

static void
turn(guint ms)
{
	gint64 until = g_get_monotonic_time() + ms * (gint64)1000;

	while (g_get_monotonic_time() < until)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(1000);
}

static void
send_probe(Fixture *f, const WgEndpoint *to, const char *pwd)
{
	static const guint8 note[NAT_STUN_NOTE_LEN];
	guint8 msg[NAT_STUN_MAX], id[NAT_STUN_ID_LEN] = {7};
	gsize len = nat_stun_build_probe(msg, sizeof msg, id, PEERS_USERNAME, pwd, note);

	sendto(f->far, msg, len, 0, &to->sa, wg_endpoint_socklen(to));
}

/* Each port once and then again, but no more in a time than was said; what they send is the watch's
 * own kind of probe. */
static void
test_opens(Fixture *f, gconstpointer data)
{
	WgEndpoint target = net_ep("10.9.0.2:51820"), from;
	guint8 buf[NAT_STUN_MAX];
	gssize len;
	guint n, got = 0;
	NatStun stun;

	if (f->far < 0)
		return;
	begin(f, PUNCH_OPEN, 40);
	punch_attempt_ports(f->attempt, &n);
	g_assert_cmpuint(n, ==, 40);
	punch_attempt_fire(f->attempt, &target, 0);
	for (int i = 0; i < 600 && punch_attempt_sent(f->attempt) < 40; i++)
		turn(50);
	/* 40 of them take 0.4 s at least */
	g_assert_cmpint(g_get_monotonic_time() - f->began_us, >=, 380 * 1000);
	turn(300);
	g_assert_cmpuint(punch_attempt_sent(f->attempt), ==, 40);
	while ((len = net_recv(f->far, buf, sizeof buf, 100, &from)) > 0) {
		g_assert_true(nat_stun_parse(buf, (gsize)len, &stun));
		g_assert_true(nat_stun_check_integrity(buf, (gsize)len, KEYS.peer_pwd));
		got += f->seen[wg_endpoint_port(&from)]++ == 0;
	}
	g_assert_cmpuint(got, >=, 38); /* the machine may lose one */
	g_assert_cmpuint(f->hits, ==, 0);
}

/* A stranger's packet, a wrong password, another address: none of them is a hit. The peer's is,
 * from whatever port of its address. */
static void
test_hit(Fixture *f, gconstpointer data)
{
	WgEndpoint target = net_ep("10.9.0.2:1"), own = net_ep("10.9.0.1:1");
	int elsewhere, far = f->far;
	const guint16 *ports;
	guint16 third;
	guint n;

	if (f->far < 0)
		return;
	begin(f, PUNCH_OPEN, 8);
	ports = punch_attempt_ports(f->attempt, &n);
	third = ports[2];
	wg_endpoint_set_port(&own, third);
	send_probe(f, &own, KEYS.own_pwd); /* before it began */
	turn(100);
	punch_attempt_fire(f->attempt, &target, 0);
	turn(100);
	g_assert_cmpuint(f->hits, ==, 0);
	send_probe(f, &own, KEYS.peer_pwd);
	sendto(f->far, "garbage", 7, 0, &own.sa, wg_endpoint_socklen(&own));
	elsewhere = net_udp("10.9.0.1:9999");
	f->far = elsewhere;
	send_probe(f, &own, KEYS.own_pwd);
	turn(200);
	g_assert_cmpuint(f->hits, ==, 0);
	f->far = far;
	close(elsewhere);
	for (int i = 0; i < 100 && f->hits == 0; i++) {
		send_probe(f, &own, KEYS.own_pwd);
		turn(50);
	}
	g_assert_cmpuint(f->hits, ==, 1);
	g_assert_cmpuint(f->hit_port, ==, third);
	g_assert_cmpuint(wg_endpoint_port(&f->hit_remote), ==, 51820);
	g_assert_cmpuint(f->ended, ==, 0);
}

/* Both aim at one port of the other's: here from where they say, so the first packets pass. */
static void
test_aims(Fixture *f, gconstpointer data)
{
	WgEndpoint target = net_ep("10.9.0.2:51820");

	if (f->far < 0)
		return;
	begin(f, PUNCH_AIM, PUNCH_AIM_PORTS);
	punch_attempt_fire(f->attempt, &target, 50);
	turn(20);
	g_assert_cmpuint(punch_attempt_sent(f->attempt), ==, 0);
	for (int i = 0; i < 1000 && f->ended == 0; i++)
		turn(20);
	g_assert_cmpuint(f->ended, ==, 1);
	g_assert_cmpuint(punch_attempt_sent(f->attempt), <=, 4 * PUNCH_AIM_PORTS);
	g_assert_cmpuint(punch_attempt_sent(f->attempt), >=, PUNCH_AIM_PORTS);
}

static void
test_sprays(Fixture *f, gconstpointer data)
{
	WgEndpoint address = net_ep("10.9.0.2:1");
	PunchPorts ports = {.ports = {7}, .n_ports = 1, .lowest = 2000, .highest = 2029};

	if (f->far < 0)
		return;
	begin(f, PUNCH_SPRAY, 0);
	punch_attempt_spray(f->attempt, &address, &ports);
	for (int i = 0; i < 1500 && f->ended == 0; i++)
		turn(20);
	g_assert_cmpuint(f->ended, ==, 1);
	g_assert_cmpuint(f->sprayed, ==, 4 + 30);
	g_assert_cmpint(f->ended_us - f->began_us, >=, 320 * 1000);
	g_assert_cmpuint(f->seen[7], ==, 4);
	for (guint i = 2000; i < 2030; i++)
		g_assert_cmpuint(f->seen[i], ==, 1);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/punch-attempt/opens", Fixture, NULL, set_up, test_opens, tear_down);
	g_test_add("/punch-attempt/hit", Fixture, NULL, set_up, test_hit, tear_down);
	g_test_add("/punch-attempt/aims", Fixture, NULL, set_up, test_aims, tear_down);
	g_test_add("/punch-attempt/sprays", Fixture, NULL, set_up, test_sprays, tear_down);
	return g_test_run();
}
