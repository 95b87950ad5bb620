/* SPDX-License-Identifier: MIT */
#include "agent/nat-path.h"

#define S ((gint64)G_USEC_PER_SEC)
#define T0 (1000 * S)
#define REAL 1700000000

/* A device of one peer, and what was written to it. */
typedef struct {
	NatPath *path;
	WgPeer *wg;
	guint writes;
	WgPeerChange last;
	guint proven, disproved;
} Fixture;

static gboolean
on_write(const WgPeerChange *change, gpointer user_data)
{
	Fixture *f = user_data;

	f->writes++;
	f->last = *change;
	if (change->flags & WG_CHANGE_ENDPOINT)
		f->wg->endpoint = change->endpoint;
	if (change->flags & WG_CHANGE_KEEPALIVE)
		f->wg->keepalive = change->keepalive;
	if (change->flags & WG_CHANGE_REPLACE)
		f->wg->rx_bytes = f->wg->tx_bytes = 0;
	return TRUE;
}

static void
on_proven(gpointer user_data)
{
	((Fixture *)user_data)->proven++;
}

static void
on_disproved(gpointer user_data)
{
	((Fixture *)user_data)->disproved++;
}

static const NatPathFuncs FUNCS = {
	.write = on_write,
	.proven = on_proven,
	.disproved = on_disproved,
};

#define RESPONDER ((gconstpointer) "responder")

static WgEndpoint
ep(const char *text)
{
	WgEndpoint out;

	g_assert_true(wg_endpoint_parse(text, &out));
	return out;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->wg = wg_peer_new();
	f->path = nat_path_new(&f->wg->public_key, data != RESPONDER, &FUNCS, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_path_free(f->path);
	wg_peer_free(f->wg);
}

static void
observe(Fixture *f, gint64 at)
{
	nat_path_observe(f->path, f->wg, T0 + at, REAL + at / S);
}

static void
test_fresh_peer(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	observe(f, 0);
	nat_path_try(f->path, &r, FALSE, 0, T0);
	g_assert_cmpuint(f->last.flags, ==, WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE);
	g_assert_cmpuint(f->last.keepalive, ==, 25);
	observe(f, S / 10);
	g_assert_cmpuint(f->proven, ==, 0);
	f->wg->last_handshake_s = REAL;
	observe(f, S / 5);
	g_assert_cmpuint(f->proven, ==, 1);
	g_assert_cmpint(nat_path_phase(f->path), ==, NAT_PATH_PROVEN);
	g_assert_true(nat_path_live(f->path, T0 + S));
}

/* Crossing initiations void each other: the controlled end waits for the other's. */
static void
test_responder_waits(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	f->wg->keepalive = 15;
	observe(f, 0);
	nat_path_try(f->path, &r, FALSE, 0, T0);
	g_assert_cmpuint(f->last.flags, ==, WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE);
	g_assert_cmpuint(f->wg->keepalive, ==, 0);
	observe(f, S / 10);
	f->wg->last_handshake_s = REAL;
	observe(f, S / 5);
	g_assert_cmpuint(f->proven, ==, 1);
	g_assert_cmpuint(f->last.flags, ==, WG_CHANGE_KEEPALIVE);
	g_assert_cmpuint(f->wg->keepalive, ==, 15);
}

static void
test_responder_initiates_when_nothing_comes(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	observe(f, 0);
	nat_path_try(f->path, &r, FALSE, 0, T0);
	observe(f, S / 2);
	g_assert_cmpuint(f->writes, ==, 1);
	observe(f, S);
	g_assert_cmpuint(f->writes, ==, 2);
	g_assert_cmpuint(f->wg->keepalive, ==, 25);
}

/* A keepalive without an endpoint has burned the 5 s slot. */
static void
test_burned_slot_replaces(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	f->wg->keepalive = 15;
	observe(f, 0);
	nat_path_try(f->path, &r, FALSE, 0, T0);
	g_assert_true(f->last.flags & WG_CHANGE_REPLACE);
	g_assert_cmpuint(f->last.keepalive, ==, 15);
}

static void
test_wrong_endpoint_tried_lately_replaces(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	f->wg->endpoint = ep("198.51.100.9:1");
	observe(f, 0);
	observe(f, 20 * S);
	f->wg->tx_bytes += 148;
	observe(f, 21 * S);
	nat_path_try(f->path, &r, FALSE, 0, T0 + 22 * S);
	g_assert_true(f->last.flags & WG_CHANGE_REPLACE);
}

static void
test_live_session_is_never_replaced(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	f->wg->keepalive = 25;
	f->wg->endpoint = ep("198.51.100.9:1");
	f->wg->last_handshake_s = REAL - 100;
	f->wg->rx_bytes = 1000;
	observe(f, 0);
	g_assert_true(nat_path_live(f->path, T0));
	nat_path_try(f->path, &r, FALSE, 0, T0 + S);
	g_assert_false(f->last.flags & WG_CHANGE_REPLACE);
	g_assert_true(f->last.flags & WG_CHANGE_REARM);
	/* bytes prove an idle move, but only while the endpoint stays */
	f->wg->endpoint = ep("198.51.100.9:1");
	f->wg->rx_bytes = 1032;
	observe(f, 2 * S);
	g_assert_cmpuint(f->proven, ==, 0);
	f->wg->endpoint = r;
	f->wg->rx_bytes = 1064;
	observe(f, 3 * S);
	g_assert_cmpuint(f->proven, ==, 1);
}

static void
test_no_proof_rolls_back(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820"), before = ep("198.51.100.9:1");

	f->wg->endpoint = before;
	observe(f, 0);
	observe(f, 30 * S);
	nat_path_try(f->path, &r, FALSE, 0, T0 + 30 * S);
	g_assert_cmpuint(f->writes, ==, 1);
	observe(f, 32 * S);
	g_assert_cmpuint(f->writes, ==, 2);
	g_assert_true(f->last.flags & WG_CHANGE_REPLACE);
	observe(f, 35 * S);
	g_assert_cmpuint(f->writes, ==, 3);
	observe(f, 39 * S);
	g_assert_cmpuint(f->disproved, ==, 1);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &before));
	g_assert_cmpint(nat_path_phase(f->path), ==, NAT_PATH_IDLE);
}

/* A better pair while the first one's handshake is under way must not start it over. */
static void
test_better_pair_before_proof(Fixture *f, gconstpointer data)
{
	WgEndpoint first = ep("192.0.2.1:51820"), second = ep("10.0.0.2:51820");

	observe(f, 0);
	nat_path_try(f->path, &first, FALSE, 0, T0);
	observe(f, S / 100);
	nat_path_try(f->path, &second, FALSE, 0, T0 + S / 50);
	g_assert_false(f->last.flags & WG_CHANGE_REPLACE);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &second));
}

/* Soon after a proof late packets of the old pair may roam the kernel back; later, and to any other
 * place, it is roaming. */
static void
test_settles_then_accepts_roaming(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820"), moved = ep("192.0.2.7:9"), third = ep("192.0.2.8:9");

	f->wg->endpoint = moved;
	observe(f, 0);
	nat_path_try(f->path, &r, FALSE, 0, T0);
	f->wg->last_handshake_s = REAL;
	observe(f, S / 5);
	f->wg->endpoint = moved;
	observe(f, S);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &r));
	f->wg->endpoint = third;
	observe(f, S + S / 2);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &third));
	observe(f, 10 * S);
	f->wg->endpoint = moved;
	observe(f, 11 * S);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &moved));
	g_assert_true(nat_path_roamed(f->path));
}

/* wg setconf makes the peer anew: no endpoint, no session. */
static void
test_peer_made_anew(Fixture *f, gconstpointer data)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	observe(f, 0);
	nat_path_try(f->path, &r, FALSE, 0, T0);
	f->wg->last_handshake_s = REAL;
	observe(f, S / 5);
	observe(f, 20 * S);
	f->wg->last_handshake_s = 0;
	f->wg->endpoint = (WgEndpoint){0};
	f->wg->keepalive = 0;
	observe(f, 21 * S);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &r));
	g_assert_cmpint(nat_path_phase(f->path), ==, NAT_PATH_PROVING);
}

static void
test_session_dies(Fixture *f, gconstpointer data)
{
	f->wg->endpoint = ep("192.0.2.1:51820");
	f->wg->last_handshake_s = REAL - 170;
	observe(f, 0);
	nat_path_adopt(f->path, T0);
	observe(f, 5 * S);
	g_assert_true(nat_path_live(f->path, T0 + 5 * S));
	observe(f, 11 * S);
	g_assert_false(nat_path_live(f->path, T0 + 11 * S));
	g_assert_cmpint(nat_path_phase(f->path), ==, NAT_PATH_IDLE);
	g_assert_cmpuint(f->writes, ==, 0);
}

/* A clock that stepped back must not make a live session look dead and get it replaced. */
static void
test_handshake_in_the_future(Fixture *f, gconstpointer data)
{
	f->wg->endpoint = ep("192.0.2.1:51820");
	f->wg->last_handshake_s = REAL + 5000;
	observe(f, 0);
	g_assert_true(nat_path_live(f->path, T0));
}

static void
prove(Fixture *f)
{
	WgEndpoint r = ep("192.0.2.1:51820");

	observe(f, 0);
	nat_path_try(f->path, &r, FALSE, 0, T0);
	f->wg->last_handshake_s = REAL;
	observe(f, S / 5);
	g_assert_cmpint(nat_path_phase(f->path), ==, NAT_PATH_PROVEN);
	f->writes = 0;
}

/* WireGuard's timer keeps the longer interval that it was set to: a packet leaves at once. */
static void
test_shorter_keepalive(Fixture *f, gconstpointer data)
{
	prove(f);
	nat_path_set_keepalive(f->path, 4);
	observe(f, S);
	nat_path_set_keepalive(f->path, 4);
	g_assert_cmpuint(f->writes, ==, 1);
	g_assert_cmpuint(f->last.flags, ==, WG_CHANGE_KEEPALIVE | WG_CHANGE_REARM);
	g_assert_cmpuint(f->wg->keepalive, ==, 4);
	observe(f, 2 * S);
	nat_path_set_keepalive(f->path, 20);
	g_assert_cmpuint(f->writes, ==, 2);
	g_assert_cmpuint(f->last.flags, ==, WG_CHANGE_KEEPALIVE);
	g_assert_cmpuint(f->wg->keepalive, ==, 20);
	observe(f, 3 * S);
	g_assert_cmpint(nat_path_phase(f->path), ==, NAT_PATH_PROVEN);
	g_assert_cmpuint(f->proven, ==, 1);
}

/* Learnt before the tunnel: the proof comes with it, nothing is written afterwards. */
static void
test_keepalive_known_before(Fixture *f, gconstpointer data)
{
	nat_path_set_keepalive(f->path, 9);
	prove(f);
	g_assert_cmpuint(f->wg->keepalive, ==, 9);
	nat_path_set_keepalive(f->path, 9);
	g_assert_cmpuint(f->writes, ==, 0);
}

/* What we set ourselves is not taken for the user's when the tunnel moves. */
static void
test_moved_while_learning(Fixture *f, gconstpointer data)
{
	WgEndpoint other = ep("192.0.2.2:51820");

	f->wg->keepalive = 15;
	nat_path_set_keepalive(f->path, 4);
	prove(f);
	g_assert_cmpuint(f->wg->keepalive, ==, 4);
	nat_path_try(f->path, &other, FALSE, 0, T0 + S);
	f->wg->rx_bytes += 32;
	observe(f, 2 * S);
	g_assert_cmpint(nat_path_phase(f->path), ==, NAT_PATH_PROVEN);
	nat_path_set_keepalive(f->path, 25);
	g_assert_cmpuint(f->wg->keepalive, ==, 15);
}

static void
test_users_own_keepalive(Fixture *f, gconstpointer data)
{
	f->wg->keepalive = 10;
	prove(f);
	nat_path_set_keepalive(f->path, 20);
	g_assert_cmpuint(f->wg->keepalive, ==, 10);
	g_assert_cmpuint(f->writes, ==, 0);
	/* wg set … persistent-keepalive 7, later off */
	f->wg->keepalive = 7;
	observe(f, S);
	nat_path_set_keepalive(f->path, 20);
	g_assert_cmpuint(f->wg->keepalive, ==, 7);
	f->wg->keepalive = 0;
	observe(f, 2 * S);
	nat_path_set_keepalive(f->path, 4);
	g_assert_cmpuint(f->wg->keepalive, ==, 0);
	g_assert_cmpuint(f->writes, ==, 0);
}

/* An earlier run of ours left a short one on a tunnel that is up. */
static void
test_keepalive_of_earlier_run(Fixture *f, gconstpointer data)
{
	f->wg->keepalive = 4;
	f->wg->endpoint = ep("192.0.2.1:51820");
	f->wg->last_handshake_s = REAL - 10;
	nat_path_set_users_keepalive(f->path, 0);
	observe(f, 0);
	nat_path_adopt(f->path, T0);
	nat_path_set_keepalive(f->path, 25);
	g_assert_cmpuint(f->wg->keepalive, ==, 25);
	g_assert_cmpuint(f->writes, ==, 1);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/path/fresh-peer", test_fresh_peer);
	g_test_add("/path/responder-waits", Fixture, RESPONDER, set_up, test_responder_waits,
		   tear_down);
	g_test_add("/path/responder-initiates-when-nothing-comes", Fixture, RESPONDER, set_up,
		   test_responder_initiates_when_nothing_comes, tear_down);
	ADD("/path/burned-slot-replaces", test_burned_slot_replaces);
	ADD("/path/wrong-endpoint-tried-lately", test_wrong_endpoint_tried_lately_replaces);
	ADD("/path/live-session-is-never-replaced", test_live_session_is_never_replaced);
	ADD("/path/no-proof-rolls-back", test_no_proof_rolls_back);
	ADD("/path/better-pair-before-proof", test_better_pair_before_proof);
	ADD("/path/settles-then-accepts-roaming", test_settles_then_accepts_roaming);
	ADD("/path/peer-made-anew", test_peer_made_anew);
	ADD("/path/session-dies", test_session_dies);
	ADD("/path/handshake-in-the-future", test_handshake_in_the_future);
	ADD("/path/keepalive/shorter", test_shorter_keepalive);
	ADD("/path/keepalive/known-before", test_keepalive_known_before);
	ADD("/path/keepalive/moved-while-learning", test_moved_while_learning);
	ADD("/path/keepalive/users-own", test_users_own_keepalive);
	ADD("/path/keepalive/of-an-earlier-run", test_keepalive_of_earlier_run);
	return g_test_run();
}
