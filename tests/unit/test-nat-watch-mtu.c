/* SPDX-License-Identifier: MIT */
/*
 * A pair between two hosts, whose link takes what the far end's does: a veth drops what exceeds the
 * MTU of its other end, without a word. And one by a relay that is made up.
 */
#include "agent/path/nat-watch-mtu.h"
#include "tests/unit/two-hosts.h"

#include <gio/gio.h>

#define SOON_MS 30000

typedef struct {
	NatSeal *seal;
	NatWatch *watch;
	NatWatchPair *pair;
	NatWatchMtu *mtu;
	guint changes;
} End;

typedef struct {
	Hosts hosts;
	gboolean up;
	WgKey keys[2], public_keys[2];
	End a, b;
	/* the relay between them, a's side of it */
	WgEndpoint relayed_a, relayed_b;
	guint limit, link; /* larger ones vanish; are refused */
	guint largest;
} Fixture;

static void
on_changed(NatWatchPair *pair, NatPairState before, gpointer user_data)
{
}

static void
on_noted(NatWatchPair *pair, const NatNote *note, gboolean answer, gpointer user_data)
{
}

static void
on_tell(NatWatchPair *pair, NatNote *note, gpointer user_data)
{
}

static void
on_removed(NatWatchPair *pair, gpointer user_data)
{
}

static const NatWatchFuncs FUNCS = {
	.changed = on_changed,
	.noted = on_noted,
	.tell = on_tell,
	.removed = on_removed,
};

static void
on_result(gpointer user_data)
{
	((End *)user_data)->changes++;
}

static void
end_open(Fixture *f, End *end, Host *host, int own)
{
	g_autoptr(GError) error = NULL;

	host_enter(host);
	end->seal = nat_seal_new(&f->keys[own], &f->public_keys[!own], &error);
	g_assert_no_error(error);
	end->watch =
		nat_watch_new(host->mux, end->seal, &f->public_keys[own], &f->public_keys[!own],
			      100 + (guint)own, 100 + (guint)!own, &FUNCS, end);
}

static void
end_close(End *end)
{
	nat_watch_mtu_free(end->mtu);
	nat_watch_free(end->watch);
	nat_seal_free(end->seal);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->up = hosts_up(&f->hosts);
	if (!f->up)
		return;
	for (int i = 0; i < 2; i++) {
		wg_key_generate_private(&f->keys[i]);
		wg_key_public_from_private(&f->keys[i], &f->public_keys[i]);
	}
	end_open(f, &f->b, &f->hosts.b, 1);
	end_open(f, &f->a, &f->hosts.a, 0);
	f->relayed_a = net_ep("192.0.2.20:50001");
	f->relayed_b = net_ep("192.0.2.20:50002");
	f->limit = f->link = G_MAXUINT;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	end_close(&f->a);
	end_close(&f->b);
	hosts_down(&f->hosts);
}

static gboolean
is_settled(gconstpointer data)
{
	const End *end = data;

	return nat_mtu_phase(nat_watch_mtu_get(end->mtu)) == NAT_MTU_SETTLED;
}

static void
measure(End *end, NatMux *mux, const WgEndpoint *relayed, const WgEndpoint *to, NatCandType type)
{
	NatCandidate remote = {.type = type, .endpoint = *to};

	end->pair = nat_watch_add(end->watch, relayed, &remote);
	g_assert_nonnull(end->pair);
	end->mtu = nat_watch_mtu_new(mux, end->watch, end->pair, 1420, on_result, end);
	g_assert_true(nat_watch_mtu_is_of(end->mtu, end->pair));
	g_assert_true(hosts_wait(is_settled, end, SOON_MS));
	g_assert_cmpuint(end->changes, ==, 1);
}

static void
measure_direct(Fixture *f, const WgEndpoint *to)
{
	measure(&f->a, f->hosts.a.mux, NULL, to, NAT_CAND_SRFLX);
}

/* … and the 4 bytes of a VLAN tag (__is_skb_forwardable). */
#define VLAN 4

static void
limit_link(Host *host, const char *dev, guint mtu)
{
	host_enter(host);
	net_run("ip link set %s mtu %u", dev, mtu);
}

static void
test_whole(Fixture *f, gconstpointer data)
{
	const NatMtu *mtu;

	if (!f->up)
		return;
	measure_direct(f, &f->hosts.b.addr);
	mtu = nat_watch_mtu_get(f->a.mtu);
	g_assert_cmpuint(nat_mtu_path(mtu), ==, 1500);
	g_assert_true(nat_mtu_is_capped(mtu));
}

static void
test_black_hole(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	limit_link(&f->hosts.b, "core-b", 1400 - VLAN);
	measure_direct(f, &f->hosts.b.addr);
	g_assert_cmpuint(nat_mtu_path(nat_watch_mtu_get(f->a.mtu)), ==, 1400);
	g_assert_cmpuint(nat_mtu_wg(nat_watch_mtu_get(f->a.mtu)), ==, 1340);
	/* what was lost was size: the watch knows nothing of it */
	g_assert_cmpint(nat_watch_state(f->a.pair), ==, NAT_PAIR_ALIVE);
	g_assert_cmpuint(nat_watch_deaths(f->a.pair), ==, 0);
}

static void
test_black_hole_ipv6(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	limit_link(&f->hosts.b, "core-b", 1400 - VLAN);
	measure_direct(f, &f->hosts.b.addr6);
	g_assert_cmpuint(nat_mtu_path(nat_watch_mtu_get(f->a.mtu)), ==, 1400);
	g_assert_cmpuint(nat_mtu_wg(nat_watch_mtu_get(f->a.mtu)), ==, 1320);
}

/* Our own link says so itself. */
static void
test_own_link(Fixture *f, gconstpointer data)
{
	gint64 began;

	if (!f->up)
		return;
	limit_link(&f->hosts.a, "core-a", 1400);
	began = g_get_monotonic_time();
	measure_direct(f, &f->hosts.b.addr);
	g_assert_cmpuint(nat_mtu_path(nat_watch_mtu_get(f->a.mtu)), ==, 1400);
	g_assert_cmpint(g_get_monotonic_time() - began, <, 8 * G_USEC_PER_SEC);
}

/* The far end's watch has asked all it wants to know of the pair that our requests made. */
static gboolean
is_quiet(gconstpointer data)
{
	const End *end = data;

	return nat_watch_count(end->watch) == 1 &&
	       nat_watch_answers(nat_watch_nth(end->watch, 0)) >= 3;
}

/* A tunnel that is not used asks nothing, nor does doubt so soon after the answer. */
static void
test_unused(Fixture *f, gconstpointer data)
{
	guint64 sent;

	if (!f->up)
		return;
	measure_direct(f, &f->hosts.b.addr);
	g_assert_true(hosts_wait(is_quiet, &f->b, SOON_MS));
	g_assert_true(hosts_wait(is_quiet, &f->a, SOON_MS));
	nat_watch_remove(f->a.pair); /* it may go first */
	sent = nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT);
	nat_watch_mtu_set_used(f->a.mtu, FALSE);
	limit_link(&f->hosts.b, "core-b", 1400 - VLAN);
	host_enter(&f->hosts.a);
	hosts_run(200);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), ==, sent);
	nat_watch_mtu_set_used(f->a.mtu, TRUE);
	nat_watch_mtu_suspect(f->a.mtu);
	g_assert_true(is_settled(&f->a));
}

/* ---- by a relay ---- */

typedef struct {
	NatMux *to;
	NatUdp pkt;
	guint8 *data;
} Delivery;

static gboolean
on_delivery(gpointer user_data)
{
	Delivery *delivery = user_data;

	delivery->pkt.payload = delivery->data;
	nat_mux_receive_relayed(delivery->to, &delivery->pkt);
	g_free(delivery->data);
	g_free(delivery);
	return G_SOURCE_REMOVE;
}

static gboolean
relay_is_ours(const WgEndpoint *relayed, gpointer user_data)
{
	Fixture *f = user_data;

	return wg_endpoint_equal(relayed, &f->relayed_a) ||
	       wg_endpoint_equal(relayed, &f->relayed_b);
}

static gboolean
relay_send(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload, gsize len,
	   gpointer user_data)
{
	Fixture *f = user_data;
	Delivery *delivery = g_new0(Delivery, 1);

	delivery->to = wg_endpoint_equal(dst, &f->relayed_a) ? f->hosts.a.mux : f->hosts.b.mux;
	delivery->data = g_memdup2(payload, len);
	delivery->pkt = (NatUdp){.src = *relayed, .dst = *dst, .len = len};
	g_idle_add(on_delivery, delivery);
	return TRUE;
}

static gboolean
relay_probe(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload, gsize len,
	    GError **error, gpointer user_data)
{
	Fixture *f = user_data;

	f->largest = MAX(f->largest, (guint)len);
	if (len > f->link) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE, "too large");
		return FALSE;
	}
	return len > f->limit || relay_send(relayed, dst, payload, len, user_data);
}

static const NatMuxRelay RELAY = {
	.is_ours = relay_is_ours,
	.send = relay_send,
	.probe = relay_probe,
};

static void
measure_relayed(Fixture *f)
{
	nat_mux_set_relay(f->hosts.a.mux, &RELAY, f);
	nat_mux_set_relay(f->hosts.b.mux, &RELAY, f);
	measure(&f->a, f->hosts.a.mux, &f->relayed_a, &f->relayed_b, NAT_CAND_RELAY);
}

/* ChannelData's header counts: 4 bytes less than on a direct path. */
static void
test_relay(Fixture *f, gconstpointer data)
{
	const NatMtu *mtu;

	if (!f->up)
		return;
	measure_relayed(f);
	mtu = nat_watch_mtu_get(f->a.mtu);
	g_assert_cmpuint(f->largest, ==, 1500 - 28 - 4);
	g_assert_cmpuint(nat_mtu_path(mtu), ==, 1500);
	g_assert_cmpuint(nat_mtu_wg(mtu), ==, 1436);
}

static void
test_relay_black_hole(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->limit = 1280 - 28 - 4;
	measure_relayed(f);
	g_assert_cmpuint(nat_mtu_path(nat_watch_mtu_get(f->a.mtu)), ==, 1280);
	g_assert_cmpuint(nat_mtu_wg(nat_watch_mtu_get(f->a.mtu)), ==, 1216);
}

static void
test_relay_own_link(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->link = 1280 - 28 - 4;
	measure_relayed(f);
	g_assert_cmpuint(nat_mtu_path(nat_watch_mtu_get(f->a.mtu)), ==, 1280);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/watch-mtu/whole", test_whole);
	ADD("/watch-mtu/black-hole", test_black_hole);
	ADD("/watch-mtu/black-hole-ipv6", test_black_hole_ipv6);
	ADD("/watch-mtu/own-link", test_own_link);
	ADD("/watch-mtu/unused", test_unused);
	ADD("/watch-mtu/relay", test_relay);
	ADD("/watch-mtu/relay/black-hole", test_relay_black_hole);
	ADD("/watch-mtu/relay/own-link", test_relay_own_link);
	return g_test_run();
}
