/* SPDX-License-Identifier: MIT */
#include "agent/nat-prober.h"
#include "tests/unit/two-hosts.h"

#include <string.h>

#define SID_A 0x1111111111111111
#define SID_B 0x2222222222222222

typedef struct {
	Host *host;
	WgKey priv, pub;
	NatSeal *seal;
	NatProber *prober;
	double rtt_ms;
	guint measured, lost;
	gboolean free_inside;
} Side;

typedef struct {
	Hosts hosts;
	gboolean up;
	Side a, b;
} Fixture;

static void
on_measured(double rtt_ms, gpointer user_data)
{
	Side *side = user_data;

	side->measured++;
	side->rtt_ms = rtt_ms;
	if (side->free_inside)
		g_clear_pointer(&side->prober, nat_prober_free);
}

static void
on_lost(gpointer user_data)
{
	Side *side = user_data;

	side->lost++;
	if (side->free_inside)
		g_clear_pointer(&side->prober, nat_prober_free);
}

static const NatProberFuncs FUNCS = {.measured = on_measured, .lost = on_lost};

static void
make_prober(Side *side, const Side *other, guint64 own_sid, guint64 peer_sid)
{
	side->prober = nat_prober_new(side->host->mux, side->seal, &side->pub, &other->pub, own_sid,
				      peer_sid, &FUNCS, side);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

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
	make_prober(&f->a, &f->b, SID_A, SID_B);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_prober_free(f->a.prober);
	nat_prober_free(f->b.prober);
	nat_seal_free(f->a.seal);
	nat_seal_free(f->b.seal);
	hosts_down(&f->hosts);
}

static gboolean
a_measured(gconstpointer data)
{
	return ((const Fixture *)data)->a.measured > 0;
}

static gboolean
a_measured_thrice(gconstpointer data)
{
	return ((const Fixture *)data)->a.measured >= 3;
}

static gboolean
a_lost(gconstpointer data)
{
	return ((const Fixture *)data)->a.lost > 0;
}

/* The delay is the link's; a busy machine may add to it, so only a lower bound is exact. */
static void
test_round_trip(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	make_prober(&f->b, &f->a, SID_B, SID_A);
	g_assert_cmpfloat(nat_prober_rtt_ms(f->a.prober), <, 0);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	g_assert_true(hosts_wait(a_measured_thrice, f, 5000));
	g_assert_cmpfloat(nat_prober_rtt_ms(f->a.prober), >, 0);
	g_assert_cmpfloat(nat_prober_rtt_ms(f->a.prober), <, 1000);
	g_assert_cmpfloat(f->a.rtt_ms, ==, nat_prober_rtt_ms(f->a.prober));
	/* b only answers */
	g_assert_cmpuint(f->b.measured, ==, 0);
	g_assert_cmpuint(nat_mux_counter(f->hosts.b.mux, NAT_MUX_DROP_STRANGER), ==, 0);
	g_assert_cmpuint(f->a.lost, ==, 0);
}

static void
test_ipv6(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	make_prober(&f->b, &f->a, SID_B, SID_A);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr6);
	g_assert_true(hosts_wait(a_measured, f, 5000));
}

/* NAT_PROBER_MISSES in a row, told once; the first answer afterwards is told again. */
static void
test_lost_and_found(Fixture *f, gconstpointer data)
{
	guint64 sent;

	if (!f->up)
		return;
	make_prober(&f->b, &f->a, SID_B, SID_A);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	g_assert_true(hosts_wait(a_measured_thrice, f, 5000));
	g_clear_pointer(&f->b.prober, nat_prober_free);
	sent = nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT);
	nat_prober_hurry(f->a.prober);
	g_assert_true(hosts_wait(a_lost, f, 10000));
	sent = nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT) - sent;
	g_assert_cmpuint(sent, >=, NAT_PROBER_MISSES);
	g_assert_cmpuint(sent, <=, NAT_PROBER_MISSES + 2);
	g_assert_cmpfloat(nat_prober_rtt_ms(f->a.prober), <, 0);
	hosts_run(600);
	g_assert_cmpuint(f->a.lost, ==, 1);
	f->a.measured = 0;
	make_prober(&f->b, &f->a, SID_B, SID_A);
	g_assert_true(hosts_wait(a_measured, f, 40000)); /* a lost path is asked at its leisure */
	g_assert_cmpfloat(nat_prober_rtt_ms(f->a.prober), >, 0);
}

/* Another session of either end has other credentials: what was overheard is void. */
static void
test_other_session(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	make_prober(&f->b, &f->a, SID_B + 1, SID_A);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	g_assert_true(hosts_wait(a_lost, f, 10000));
	g_assert_cmpuint(f->a.measured, ==, 0);
	g_assert_cmpuint(nat_mux_counter(f->hosts.b.mux, NAT_MUX_OUT), ==, 0);
	g_assert_cmpuint(nat_mux_counter(f->hosts.b.mux, NAT_MUX_DROP_STRANGER), >=,
			 NAT_PROBER_MISSES);
}

/* A third key at the same sessions. */
static void
test_other_key(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	WgKey priv;

	if (!f->up)
		return;
	wg_key_generate_private(&priv);
	nat_seal_free(f->b.seal);
	f->b.seal = nat_seal_new(&priv, &f->a.pub, &error);
	g_assert_no_error(error);
	make_prober(&f->b, &f->a, SID_B, SID_A);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	g_assert_true(hosts_wait(a_lost, f, 10000));
	g_assert_cmpuint(f->a.measured, ==, 0);
}

static gboolean
is_quiet(gconstpointer data)
{
	const Fixture *f = data;

	return nat_mux_counter(f->hosts.a.mux, NAT_MUX_IN) >= 2;
}

/* Who overhears the ufrags but not the password: neither asks nor answers. */
static void
test_wrong_password(Fixture *f, gconstpointer data)
{
	static const char PWD[] = "a-password-of-somebody-else";
	guint8 buf[NAT_STUN_MAX], id[NAT_STUN_ID_LEN] = "forged-----";
	g_autofree char *forged = NULL;
	guint64 sent;
	char **names = NULL;
	WgEndpoint from, path = net_ep("10.9.0.2:4000");
	NatStun stun;
	gssize n;
	int fd;

	if (!f->up)
		return;
	host_enter(&f->hosts.b);
	fd = net_udp("10.9.0.2:4000");
	nat_prober_set_path(f->a.prober, &path);
	hosts_run(20);
	n = net_recv(fd, buf, sizeof buf, 5000, &from);
	g_assert_cmpint(n, >, 0);
	g_assert_true(nat_stun_parse(buf, (gsize)n, &stun));
	g_assert_true(stun.has_integrity && !stun.use_candidate);
	forged = g_strndup(stun.username, stun.username_len);
	names = g_strsplit(forged, ":", 2);
	g_free(forged);
	forged = g_strdup_printf("%s:%s", names[1], names[0]);
	g_strfreev(names);
	nat_prober_set_path(f->a.prober, NULL);
	sent = nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT);

	/* the right ufrag, another password: no answer; the right id, another password: no proof */
	n = (gssize)nat_stun_build_request(buf, sizeof buf, id, forged, PWD);
	g_assert_cmpint(sendto(fd, buf, (gsize)n, 0, &from.sa, wg_endpoint_socklen(&from)), ==, n);
	n = (gssize)nat_stun_build_response(buf, sizeof buf, stun.id, &from, PWD);
	g_assert_cmpint(sendto(fd, buf, (gsize)n, 0, &from.sa, wg_endpoint_socklen(&from)), ==, n);
	g_assert_true(hosts_wait(is_quiet, f, 5000));
	hosts_run(100);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), ==, sent);
	g_assert_cmpuint(f->a.measured, ==, 0);
	close(fd);
}

/* Without a path it only answers; the same path again asks nothing anew. */
static void
test_paths(Fixture *f, gconstpointer data)
{
	guint64 sent;

	if (!f->up)
		return;
	make_prober(&f->b, &f->a, SID_B, SID_A);
	hosts_run(100);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), ==, 0);
	nat_prober_hurry(f->a.prober);
	hosts_run(50);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), ==, 0);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	g_assert_true(hosts_wait(a_measured, f, 5000));
	sent = nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT);
	for (int i = 0; i < 100; i++)
		nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	hosts_run(50);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), <=, sent + 1);
	nat_prober_set_path(f->a.prober, NULL);
	g_assert_cmpfloat(nat_prober_rtt_ms(f->a.prober), <, 0);
	sent = nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT);
	hosts_run(300);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), ==, sent);
}

static void
test_freed_inside(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->a.free_inside = TRUE;
	make_prober(&f->b, &f->a, SID_B, SID_A);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	g_assert_true(hosts_wait(a_measured, f, 5000));
	g_assert_null(f->a.prober);
	make_prober(&f->a, &f->b, SID_A, SID_B + 1);
	nat_prober_set_path(f->a.prober, &f->hosts.b.addr);
	g_assert_true(hosts_wait(a_lost, f, 10000));
	g_assert_null(f->a.prober);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/prober/round-trip", test_round_trip);
	ADD("/prober/ipv6", test_ipv6);
	ADD("/prober/lost-and-found", test_lost_and_found);
	ADD("/prober/other-session", test_other_session);
	ADD("/prober/other-key", test_other_key);
	ADD("/prober/wrong-password", test_wrong_password);
	ADD("/prober/paths", test_paths);
	ADD("/prober/freed-inside", test_freed_inside);
	return g_test_run();
}
