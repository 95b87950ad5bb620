/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-path.h"

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
	guint64 bridged;
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
on_disproved(const WgEndpoint *tried, gpointer user_data)
{
	((Fixture *)user_data)->disproved++;
}

static guint64
on_bridged(gpointer user_data)
{
	return ((Fixture *)user_data)->bridged;
}

static const NatPathFuncs FUNCS = {
	.bridged = on_bridged,
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

/* ---- moving a live tunnel ---- */

/* A live tunnel on `from`, seen. */
static void
live_on(Fixture *f, const WgEndpoint *from)
{
	f->wg->keepalive = 25;
	f->wg->endpoint = *from;
	f->wg->last_handshake_s = REAL - 10;
	f->wg->rx_bytes = f->wg->tx_bytes = 1000;
	observe(f, 0);
	nat_path_adopt(f->path, T0);
}

static void
test_proof_only_after_the_last_write(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	live_on(f, &a);
	nat_path_try(f->path, &b, FALSE, 0, T0 + S);
	/* came in before the write, seen after it */
	observe(f, S);
	g_assert_cmpuint(f->proven, ==, 0);
	/* late bytes of the old path moved the endpoint: written again, and no proof */
	f->wg->rx_bytes = 2000;
	f->wg->endpoint = a;
	observe(f, S + S / 100);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &b));
	observe(f, S + S / 50);
	g_assert_cmpuint(f->proven, ==, 0);
	f->wg->rx_bytes = 2032;
	observe(f, S + S / 20);
	g_assert_cmpuint(f->proven, ==, 1);
}

/* A rekey that the old path carried says nothing about the new one. */
static void
test_handshake_on_the_old_path_is_no_proof(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	live_on(f, &a);
	nat_path_try(f->path, &b, FALSE, 0, T0 + S);
	f->wg->last_handshake_s = REAL + 1;
	f->wg->rx_bytes = 1100;
	f->wg->endpoint = a;
	observe(f, S + S / 100);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &b));
	observe(f, S + S / 50);
	g_assert_cmpuint(f->proven, ==, 0);
	f->wg->last_handshake_s = REAL + 2;
	observe(f, S + S / 10);
	g_assert_cmpuint(f->proven, ==, 1);
}

/* The peer itself went elsewhere while it was tried. */
static void
test_third_place_is_accepted(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2"), c = ep("192.0.2.3:3");
	guint writes;

	live_on(f, &a);
	nat_path_try(f->path, &b, FALSE, 0, T0 + S);
	writes = f->writes;
	f->wg->endpoint = c;
	f->wg->rx_bytes = 2000;
	observe(f, S + S / 100);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &c));
	g_assert_true(wg_endpoint_equal(nat_path_wanted(f->path), &c));
	g_assert_cmpuint(f->writes, ==, writes);
	f->wg->rx_bytes = 3000;
	observe(f, S + S / 50);
	g_assert_cmpuint(f->proven, ==, 1);
}

/* Two ends that disagree do not write for ever. */
static void
test_settling_has_a_budget(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	live_on(f, &a);
	nat_path_try(f->path, &b, FALSE, 0, T0 + S);
	for (int i = 1; i < 2000; i++) {
		f->wg->endpoint = a;
		f->wg->rx_bytes += 100;
		observe(f, S + i * S / 1000);
	}
	g_assert_cmpuint(f->writes, >, 20);
	g_assert_cmpuint(f->writes, <, 110);
	g_assert_true(nat_path_urgent(f->path, T0 + 2 * S));
}

static void
test_settled_is_left_alone(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	live_on(f, &a);
	g_assert_false(nat_path_urgent(f->path, T0));
	nat_path_try(f->path, &b, FALSE, 0, T0 + S);
	observe(f, S);
	f->wg->rx_bytes += 100;
	observe(f, S + S / 10);
	g_assert_cmpuint(f->proven, ==, 1);
	g_assert_true(nat_path_urgent(f->path, T0 + 2 * S));
	f->wg->endpoint = a;
	observe(f, 2 * S);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &b));
	g_assert_false(nat_path_urgent(f->path, T0 + 5 * S));
	/* much later it is the peer who moved back */
	f->wg->endpoint = a;
	observe(f, 6 * S);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &a));
	g_assert_true(wg_endpoint_equal(nat_path_wanted(f->path), &a));
}

/* Adopted, then roamed: what is wanted is where the peer is, also when it is made anew there. */
static void
test_adopted_path_roams(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	live_on(f, &a);
	f->wg->endpoint = b;
	f->wg->rx_bytes += 100;
	observe(f, S);
	g_assert_true(wg_endpoint_equal(nat_path_wanted(f->path), &b));
	g_assert_cmpuint(f->writes, ==, 0);
}

/* ---- patience ---- */

static void
test_patience(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	live_on(f, &a);
	nat_path_try(f->path, &b, FALSE, 400000, T0 + S);
	observe(f, S + S * 4 / 10);
	g_assert_cmpuint(f->disproved, ==, 0);
	observe(f, S + S * 41 / 100);
	g_assert_cmpuint(f->disproved, ==, 1);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &a));
	g_assert_cmpuint(f->wg->keepalive, ==, 25);
	/* the tunnel is where it was: that is so before it was read again, too */
	nat_path_adopt(f->path, T0 + S * 41 / 100);
	g_assert_true(wg_endpoint_equal(nat_path_wanted(f->path), &a));
}

/* ---- afresh ---- */

/* What was tried first drops WireGuard's packets: another handshake starts at once, though the
 * slot is burned, and the user's keepalive is not forgotten over it. */
static void
expect_afresh(Fixture *f, gboolean initiator)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("127.0.0.1:40000");

	f->wg->keepalive = 15;
	observe(f, 0);
	nat_path_try(f->path, &a, FALSE, 0, T0);
	observe(f, S / 10);
	nat_path_try(f->path, &b, TRUE, 0, T0 + S / 2);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &b));
	g_assert_cmpint((f->last.flags & WG_CHANGE_REPLACE) != 0, ==, initiator);
	g_assert_cmpuint(f->wg->keepalive, ==, initiator ? 15 : 0);
	observe(f, S / 2 + S / 20);
	f->wg->last_handshake_s = REAL + 1;
	observe(f, S);
	g_assert_cmpuint(f->proven, ==, 1);
	g_assert_cmpuint(f->wg->keepalive, ==, 15);
}

static void
test_afresh(Fixture *f, gconstpointer data)
{
	expect_afresh(f, TRUE);
}

static void
test_afresh_responder(Fixture *f, gconstpointer data)
{
	expect_afresh(f, FALSE);
}

/* Nothing that was tried worked: back to what was there before all of it. */
static void
test_afresh_rolls_back_to_the_start(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2"), before = ep("198.51.100.9:1");

	live_on(f, &before);
	nat_path_try(f->path, &a, FALSE, S, T0 + S);
	observe(f, S + S / 10);
	nat_path_try(f->path, &b, TRUE, S, T0 + S + S / 2);
	observe(f, S + S * 6 / 10);
	observe(f, 3 * S);
	g_assert_cmpuint(f->disproved, ==, 1);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &before));
}

/* Late packets of the path that was left first come while the second try settles. */
static void
test_afresh_reverts_the_first_path(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2"), before = ep("198.51.100.9:1");

	live_on(f, &before);
	nat_path_try(f->path, &a, FALSE, S, T0 + S);
	observe(f, S + S / 10);
	nat_path_try(f->path, &b, TRUE, S, T0 + S + S / 5);
	f->wg->endpoint = before;
	f->wg->rx_bytes += 100;
	observe(f, S + S / 4);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &b));
	g_assert_true(wg_endpoint_equal(nat_path_wanted(f->path), &b));
}

/* User traffic burns wireguard-go's slot also without an endpoint; the kernel's it does not. */
static void
test_userspace_slot(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1");

	observe(f, 0);
	observe(f, 20 * S);
	nat_path_try(f->path, &a, FALSE, 0, T0 + 20 * S);
	g_assert_false(f->last.flags & WG_CHANGE_REPLACE);
	nat_path_free(f->path);
	f->path = nat_path_new(&f->wg->public_key, TRUE, &FUNCS, f);
	nat_path_set_userspace(f->path, TRUE);
	f->wg->endpoint = (WgEndpoint){0};
	f->wg->keepalive = 0;
	observe(f, 30 * S);
	observe(f, 50 * S);
	nat_path_try(f->path, &a, FALSE, 0, T0 + 50 * S);
	g_assert_true(f->last.flags & WG_CHANGE_REPLACE);
}

/* ---- keepalive ---- */

static void
test_keepalive_follows_the_mapping(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	nat_path_set_keepalive(f->path, 25);
	observe(f, 0);
	nat_path_try(f->path, &a, FALSE, 0, T0);
	g_assert_cmpuint(f->wg->keepalive, ==, 25);
	f->wg->last_handshake_s = REAL;
	observe(f, S);
	nat_path_set_keepalive(f->path, 15);
	g_assert_cmpuint(f->last.flags, ==, WG_CHANGE_KEEPALIVE | WG_CHANGE_REARM);
	g_assert_cmpuint(f->wg->keepalive, ==, 15);
	/* nothing changed: nothing is written */
	observe(f, 2 * S);
	f->writes = 0;
	nat_path_set_keepalive(f->path, 15);
	g_assert_cmpuint(f->writes, ==, 0);
	/* our own value is not taken for the user's in the next try */
	nat_path_try(f->path, &b, FALSE, 0, T0 + 3 * S);
	f->wg->rx_bytes += 100;
	observe(f, 3 * S + S / 10);
	nat_path_set_keepalive(f->path, 25);
	g_assert_cmpuint(f->wg->keepalive, ==, 25);
}

static void
test_users_short_keepalive_stays(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1");

	live_on(f, &a);
	f->wg->keepalive = 10;
	observe(f, S / 10);
	nat_path_adopt(f->path, T0 + S / 10);
	nat_path_set_keepalive(f->path, 25);
	g_assert_cmpuint(f->wg->keepalive, ==, 10);
	g_assert_cmpuint(f->writes, ==, 0);
	nat_path_set_keepalive(f->path, 5);
	g_assert_cmpuint(f->wg->keepalive, ==, 5);
	observe(f, S);
	nat_path_set_keepalive(f->path, 25);
	g_assert_cmpuint(f->wg->keepalive, ==, 10);
	/* the user changes her mind meanwhile */
	f->wg->keepalive = 7;
	observe(f, 2 * S);
	nat_path_set_keepalive(f->path, 20);
	g_assert_cmpuint(f->wg->keepalive, ==, 7);
}

/* An adopted tunnel without a keepalive is the user's wish. */
static void
test_no_keepalive_stays_none(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1");

	live_on(f, &a);
	f->wg->keepalive = 0;
	observe(f, S / 10);
	nat_path_set_keepalive(f->path, 25);
	nat_path_set_keepalive(f->path, 15);
	g_assert_cmpuint(f->writes, ==, 0);
}

/* ---- traffic ---- */

/* A bridge hands late packets to WireGuard in the direct path's name: they are heard, not here. */
static void
test_bridged_bytes_are_not_heard_here(Fixture *f, gconstpointer data)
{
	WgEndpoint direct = ep("192.0.2.1:1");

	live_on(f, &direct);
	for (int i = 1; i <= 10; i++) {
		/* the bridge counts first, WireGuard later */
		f->bridged += 100;
		observe(f, i * S);
		f->wg->rx_bytes += 100;
		observe(f, i * S + S / 2);
	}
	g_assert_cmpint(nat_path_rx_us(f->path), ==, T0 + 10 * S + S / 2);
	g_assert_cmpint(nat_path_here_us(f->path), ==, 0);
	f->wg->rx_bytes += 100;
	observe(f, 11 * S);
	g_assert_cmpint(nat_path_here_us(f->path), ==, T0 + 11 * S);
	/* where the tunnel is on the bridge, that is here */
	f->wg->endpoint = ep("127.0.0.1:40000");
	observe(f, 11 * S + S / 2);
	f->bridged += 100;
	f->wg->rx_bytes += 100;
	observe(f, 12 * S);
	g_assert_cmpint(nat_path_here_us(f->path), ==, T0 + 12 * S);
}

/* Much came by the bridge while the tunnel was there; then the kernel followed the other end to the
 * direct path. What comes there is heard at once, not once it is more than that. */
static void
test_heard_after_a_move(Fixture *f, gconstpointer data)
{
	WgEndpoint bridge = ep("127.0.0.1:40000");

	live_on(f, &bridge);
	f->bridged += 1000000;
	f->wg->rx_bytes += 1000000;
	observe(f, S);
	g_assert_cmpint(nat_path_here_us(f->path), ==, T0 + S);
	f->wg->endpoint = ep("192.0.2.1:1");
	f->wg->rx_bytes += 100;
	observe(f, 2 * S);
	f->wg->rx_bytes += 100;
	observe(f, 3 * S);
	g_assert_cmpint(nat_path_here_us(f->path), ==, T0 + 3 * S);
	/* and after the peer was made anew, whose counters start from zero */
	f->wg->rx_bytes = 0;
	observe(f, 4 * S);
	f->wg->rx_bytes = 100;
	observe(f, 5 * S);
	g_assert_cmpint(nat_path_here_us(f->path), ==, T0 + 5 * S);
}

/* The other end moved first, and the kernel followed it: what was left does not move it back. */
static void
test_settles_without_a_try(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1"), b = ep("192.0.2.2:2");

	live_on(f, &b);
	nat_path_settle(f->path, &a, T0 + S);
	g_assert_true(nat_path_urgent(f->path, T0 + S));
	f->wg->endpoint = a;
	observe(f, S + S / 10);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &b));
	f->wg->endpoint = a;
	observe(f, 10 * S);
	g_assert_true(wg_endpoint_equal(&f->wg->endpoint, &a));
}

static void
test_data_is_more_than_a_keepalive(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1");

	live_on(f, &a);
	g_assert_cmpint(nat_path_data_tx_us(f->path), ==, 0);
	f->wg->tx_bytes += 32;
	f->wg->rx_bytes += 32;
	observe(f, S);
	g_assert_cmpint(nat_path_rx_us(f->path), ==, T0 + S);
	g_assert_cmpint(nat_path_data_tx_us(f->path), ==, 0);
	g_assert_cmpint(nat_path_used_us(f->path), ==, 0);
	f->wg->tx_bytes += 128;
	observe(f, 2 * S);
	g_assert_cmpint(nat_path_data_tx_us(f->path), ==, T0 + 2 * S);
	g_assert_cmpint(nat_path_used_us(f->path), ==, T0 + 2 * S);
	f->wg->rx_bytes += 128;
	observe(f, 3 * S);
	g_assert_cmpint(nat_path_used_us(f->path), ==, T0 + 3 * S);
	/* made anew: the counters fall, nothing was sent */
	f->wg->tx_bytes = f->wg->rx_bytes = 0;
	observe(f, 4 * S);
	g_assert_cmpint(nat_path_data_tx_us(f->path), ==, T0 + 2 * S);
}

/* A handshake each two minutes, its keepalive, and those that agents ask for, are no use of it. */
static void
test_handshakes_are_no_use(Fixture *f, gconstpointer data)
{
	WgEndpoint a = ep("192.0.2.1:1");

	live_on(f, &a);
	f->wg->tx_bytes += 148 + 32;
	f->wg->rx_bytes += 92;
	observe(f, S);
	g_assert_cmpint(nat_path_data_tx_us(f->path), ==, T0 + S);
	f->wg->tx_bytes += 92;
	f->wg->rx_bytes += 148 + 2 * 32;
	observe(f, 2 * S);
	g_assert_cmpint(nat_path_used_us(f->path), ==, 0);
	f->wg->tx_bytes += 148 + 128;
	observe(f, 3 * S);
	g_assert_cmpint(nat_path_used_us(f->path), ==, T0 + 3 * S);
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
	ADD("/path/proof-only-after-the-last-write", test_proof_only_after_the_last_write);
	ADD("/path/handshake-on-the-old-path", test_handshake_on_the_old_path_is_no_proof);
	ADD("/path/third-place-is-accepted", test_third_place_is_accepted);
	ADD("/path/settling-has-a-budget", test_settling_has_a_budget);
	ADD("/path/settled-is-left-alone", test_settled_is_left_alone);
	ADD("/path/adopted-path-roams", test_adopted_path_roams);
	ADD("/path/patience", test_patience);
	ADD("/path/afresh", test_afresh);
	g_test_add("/path/afresh-responder", Fixture, RESPONDER, set_up, test_afresh_responder,
		   tear_down);
	ADD("/path/afresh-rolls-back-to-the-start", test_afresh_rolls_back_to_the_start);
	ADD("/path/afresh-reverts-the-first-path", test_afresh_reverts_the_first_path);
	ADD("/path/userspace-slot", test_userspace_slot);
	ADD("/path/keepalive-follows-the-mapping", test_keepalive_follows_the_mapping);
	ADD("/path/users-short-keepalive-stays", test_users_short_keepalive_stays);
	ADD("/path/no-keepalive-stays-none", test_no_keepalive_stays_none);
	ADD("/path/bridged-bytes", test_bridged_bytes_are_not_heard_here);
	ADD("/path/heard-after-a-move", test_heard_after_a_move);
	ADD("/path/settles-without-a-try", test_settles_without_a_try);
	ADD("/path/data-is-more-than-a-keepalive", test_data_is_more_than_a_keepalive);
	ADD("/path/handshakes-are-no-use", test_handshakes_are_no_use);
	ADD("/path/keepalive/shorter", test_shorter_keepalive);
	ADD("/path/keepalive/known-before", test_keepalive_known_before);
	ADD("/path/keepalive/moved-while-learning", test_moved_while_learning);
	ADD("/path/keepalive/users-own", test_users_own_keepalive);
	ADD("/path/keepalive/of-an-earlier-run", test_keepalive_of_earlier_run);
	return g_test_run();
}
