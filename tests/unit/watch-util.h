/* SPDX-License-Identifier: MIT */
/* Two hosts whose watches look at each other; what test-nat-watch*.c share. */
#pragma once

#include "agent/path/nat-watch.h"
#include "tests/unit/two-hosts.h"

#include <glib-unix.h>
#include <string.h>

#define ID_A 0x1111111111111111
#define ID_B 0x2222222222222222
#define RELAYED "10.9.0.77:5000"

typedef struct {
	Host *host;
	WgKey priv, pub;
	NatSeal *seal;
	NatWatch *watch;
	NatNote says, heard;
	guint states[NAT_PAIR_DEAD + 1]; /* how often entered */
	guint noted, removed;
	gint64 suspect_us, dead_us;
	/* inside the callbacks */
	gboolean remove_on_change, remove_on_note, add_on_change;
} Side;

typedef struct {
	Hosts hosts;
	gboolean up;
	Side a, b;
	NatWatchPair *pair; /* a's, to b */
	/* a relay beside host a: a socket with an address of its own */
	int relay_fd;
	guint relay_source;
	guint relayed_out, relay_delay_ms;
	guint held; /* by the relay */
} Fixture;

static inline void
on_changed(NatWatchPair *pair, NatPairState before, gpointer user_data)
{
	Side *side = user_data;
	NatPairState state = nat_watch_state(pair);

	g_assert_cmpint(state, !=, before);
	side->states[state]++;
	if (state == NAT_PAIR_SUSPECT)
		side->suspect_us = g_get_monotonic_time();
	if (state == NAT_PAIR_DEAD)
		side->dead_us = g_get_monotonic_time();
	if (side->add_on_change) {
		NatCandidate cand = {.type = NAT_CAND_HOST, .endpoint = net_ep("10.9.0.2:7")};

		g_assert_nonnull(nat_watch_add(side->watch, NULL, &cand));
	}
	if (side->remove_on_change)
		nat_watch_remove(pair);
}

static inline void
on_noted(NatWatchPair *pair, const NatNote *note, gboolean answer, gpointer user_data)
{
	Side *side = user_data;

	side->noted++;
	side->heard = *note;
	g_assert_cmpint(nat_watch_state(pair), !=, NAT_PAIR_NEW);
	if (side->remove_on_note)
		nat_watch_remove(pair);
}

static inline void
on_tell(NatWatchPair *pair, NatNote *note, gpointer user_data)
{
	*note = ((Side *)user_data)->says;
}

static inline void
on_removed(NatWatchPair *pair, gpointer user_data)
{
	((Side *)user_data)->removed++;
	g_free(nat_watch_data(pair));
	nat_watch_set_data(pair, NULL);
}

static const NatWatchFuncs WATCH_FUNCS = {on_changed, on_noted, on_tell, on_removed};

static inline void
make_watch(Side *side, const Side *other, guint64 own_id, guint64 peer_id)
{
	side->watch = nat_watch_new(side->host->mux, side->seal, &side->pub, &other->pub, own_id,
				    peer_id, &WATCH_FUNCS, side);
}

static inline NatWatchPair *
add(Side *side, const char *remote)
{
	NatCandidate cand = {.type = NAT_CAND_HOST, .endpoint = net_ep(remote)};

	return nat_watch_add(side->watch, NULL, &cand);
}

static inline void
set_up(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	f->relay_fd = -1;
	f->up = hosts_up(&f->hosts);
	if (!f->up)
		return;
	f->a.host = &f->hosts.a;
	f->b.host = &f->hosts.b;
	wg_key_generate_private(&f->a.priv);
	wg_key_generate_private(&f->b.priv);
	wg_key_public_from_private(&f->a.priv, &f->a.pub);
	wg_key_public_from_private(&f->b.priv, &f->b.pub);
	f->a.seal = nat_seal_new(&f->a.priv, &f->b.pub, &error);
	g_assert_no_error(error);
	f->b.seal = nat_seal_new(&f->b.priv, &f->a.pub, &error);
	g_assert_no_error(error);
	make_watch(&f->a, &f->b, ID_A, ID_B);
	make_watch(&f->b, &f->a, ID_B, ID_A);
}

static inline gboolean
holds_none(gconstpointer data)
{
	return ((const Fixture *)data)->held == 0;
}

static inline void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_watch_free(f->a.watch);
	nat_watch_free(f->b.watch);
	nat_seal_free(f->a.seal);
	nat_seal_free(f->b.seal);
	if (f->relay_fd >= 0) {
		g_assert_true(hosts_wait(holds_none, f, 30000));
		g_source_remove(f->relay_source);
		close(f->relay_fd);
	}
	hosts_run(20); /* whatever was left behind would fire now */
	hosts_down(&f->hosts);
}

/* ---- conditions ---- */

static inline gboolean
is_alive(gconstpointer data)
{
	return nat_watch_state(data) == NAT_PAIR_ALIVE;
}

static inline gboolean
is_dead(gconstpointer data)
{
	return nat_watch_state(data) == NAT_PAIR_DEAD;
}

static inline gboolean
is_suspect(gconstpointer data)
{
	return nat_watch_state(data) == NAT_PAIR_SUSPECT;
}

static inline gboolean
is_settled(gconstpointer data)
{
	return is_alive(data) && nat_watch_answers(data) >= 3;
}

static inline guint64
sent(const Side *side)
{
	return nat_mux_counter(side->host->mux, NAT_MUX_OUT);
}

/* To wait until a side has sent so many. */
typedef struct {
	const Side *side;
	guint64 n;
} SentWant;

static inline gboolean
has_sent(gconstpointer data)
{
	const SentWant *want = data;

	return sent(want->side) >= want->n;
}

static inline void
wait_sent(const Side *side, guint64 n)
{
	SentWant want = {side, n};

	g_assert_true(hosts_wait(has_sent, &want, 30000));
}

/* On a loaded machine a timer may be late, and an answer seem lost: the probing after that ends,
 * too. FALSE if there is never a time of so many ms in which neither side sends. */
static inline gboolean
falls_silent(const Fixture *f, int ms)
{
	gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

	do {
		guint64 out = sent(&f->a) + sent(&f->b);

		hosts_run(ms);
		if (sent(&f->a) + sent(&f->b) == out)
			return TRUE;
	} while (g_get_monotonic_time() < end);
	return FALSE;
}

/* What b's firewall does to all UDP, each way. */
static inline void
b_drops(Fixture *f, const char *what)
{
	host_enter(&f->hosts.b);
	net_try("nft delete table inet cut");
	if (what != NULL) {
		net_run("nft add table inet cut");
		net_run("nft add chain inet cut in { type filter hook input priority 0; }");
		net_run("nft add chain inet cut out { type filter hook output priority 0; }");
		net_run("nft add rule inet cut in meta l4proto udp %s drop", what);
		net_run("nft add rule inet cut out meta l4proto udp %s drop", what);
	}
	host_enter(&f->hosts.a);
}

static inline void
connect_pair(Fixture *f)
{
	f->pair = add(&f->a, "10.9.0.2:51820");
	g_assert_nonnull(f->pair);
	g_assert_cmpint(nat_watch_state(f->pair), ==, NAT_PAIR_NEW);
	g_assert_true(hosts_wait(is_settled, f->pair, 30000));
}

static inline NatWatchPair *
b_pair(Fixture *f)
{
	return nat_watch_find(f->b.watch, NULL, &f->hosts.a.addr);
}

/* ---- life of a pair ---- */
