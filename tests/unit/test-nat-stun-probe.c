/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-stun-probe-private.h"
#include "tests/unit/two-hosts.h"

#include <glib-unix.h>
#include <string.h>

/* A STUN server on host b that tells what it is told to tell. */
typedef struct {
	int fd;
	guint source;
	WgEndpoint addr;
	WgEndpoint tell; /* unset: the truth */
	guint requests;
	guint lose; /* so many requests get no answer */
	gboolean error;
	WgEndpoint other;	/* OTHER-ADDRESS; unset: none */
	gboolean authenticated; /* some request had a USERNAME or integrity */
} Server;

static void
set_port_in_message(guint8 *msg, gsize len)
{
	static const guint8 attr[] = {0x00, 0x20, 0x00, 0x08, 0x00, 0x01};
	guint8 *at = memmem(msg, len, attr, sizeof attr);

	/* XORed with the cookie's top half: port 0 */
	g_assert_nonnull(at);
	at[6] = 0x21;
	at[7] = 0x12;
}

/* RFC 5780 §7.4, IPv4 */
static gsize
add_other(guint8 *msg, gsize len, const WgEndpoint *other)
{
	const guint8 head[] = {0x80, 0x2c, 0, 8, 0, 1};

	memcpy(msg + len, head, sizeof head);
	memcpy(msg + len + 6, &other->v4.sin_port, 2);
	memcpy(msg + len + 8, &other->v4.sin_addr, 4);
	len += 12;
	msg[2] = (guint8)((len - 20) >> 8);
	msg[3] = (guint8)(len - 20);
	return len;
}

static gboolean
on_server(int fd, GIOCondition condition, gpointer user_data)
{
	Server *server = user_data;
	guint8 buf[NAT_STUN_MAX], out[NAT_STUN_MAX];
	WgEndpoint from;
	NatStun stun;
	gssize n = net_recv(fd, buf, sizeof buf, 0, &from);
	gsize len;

	g_assert_cmpint(n, >, 0);
	g_assert_true(nat_stun_parse(buf, (gsize)n, &stun));
	g_assert_cmpint(stun.klass, ==, NAT_STUN_REQUEST);
	server->authenticated |= stun.username != NULL || stun.has_integrity;
	server->requests++;
	if (server->lose > 0) {
		server->lose--;
		return G_SOURCE_CONTINUE;
	}
	len = nat_stun_build_response(out, sizeof out, stun.id,
				      wg_endpoint_is_set(&server->tell) ? &server->tell : &from,
				      NULL);
	if (wg_endpoint_is_set(&server->tell) && wg_endpoint_port(&server->tell) == 0)
		set_port_in_message(out, len);
	if (wg_endpoint_is_set(&server->other))
		len = add_other(out, len, &server->other);
	if (server->error)
		out[1] = 0x11;
	g_assert_cmpint(sendto(fd, out, len, 0, &from.sa, wg_endpoint_socklen(&from)), ==,
			(gssize)len);
	return G_SOURCE_CONTINUE;
}

typedef struct {
	Hosts hosts;
	gboolean up;
	NatStunProbe *probe;
	guint changes;
	NatMapping told;   /* at the last change */
	Server servers[5]; /* the last two are at other addresses, which the first may name */
} Fixture;

static void
on_changed(gpointer user_data)
{
	Fixture *f = user_data;

	f->changes++;
	f->told = nat_stun_probe_mapping(f->probe);
}

static void
open_server(Server *server, const char *address)
{
	server->addr = net_ep(address);
	server->fd = net_udp(address);
	server->source = g_unix_fd_add(server->fd, G_IO_IN, on_server, server);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->up = hosts_up(&f->hosts);
	if (!f->up)
		return;
	host_enter(&f->hosts.b);
	open_server(&f->servers[0], "10.9.0.2:3478");
	open_server(&f->servers[1], "10.9.0.2:3479");
	open_server(&f->servers[2], "[fd09::2]:3478");
	net_run("ip addr add 10.9.0.3/32 dev lo");
	net_run("ip addr add 10.9.0.4/32 dev lo");
	open_server(&f->servers[3], "10.9.0.3:3479");
	open_server(&f->servers[4], "10.9.0.4:3479");
	host_enter(&f->hosts.a);
	f->probe = nat_stun_probe_new(f->hosts.a.mux, on_changed, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_stun_probe_free(f->probe);
	for (guint i = 0; i < G_N_ELEMENTS(f->servers); i++) {
		g_source_remove(f->servers[i].source);
		close(f->servers[i].fd);
	}
	hosts_down(&f->hosts);
}

static void
use(Fixture *f, guint first, guint n)
{
	WgEndpoint addrs[3];

	for (guint i = 0; i < n; i++)
		addrs[i] = f->servers[first + i].addr;
	nat_stun_probe_set_servers(f->probe, addrs, n);
}

/* What was sent, whatever of it has arrived. */
static guint64
n_sent(const Fixture *f)
{
	return nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT);
}

static guint
n_public(Fixture *f)
{
	g_autoptr(GArray) array = nat_stun_probe_public(f->probe);

	return array->len;
}

static gboolean
has_public(gconstpointer data)
{
	return n_public((Fixture *)data) > 0;
}

static gboolean
has_two_public(gconstpointer data)
{
	return n_public((Fixture *)data) > 1;
}

static gboolean
has_no_public(gconstpointer data)
{
	return n_public((Fixture *)data) == 0;
}

/* The first answer was not taken. */
static gboolean
asked_twice(gconstpointer data)
{
	return ((const Fixture *)data)->servers[0].requests >= 2;
}

static gboolean
knows_mapping(gconstpointer data)
{
	return nat_stun_probe_mapping(((const Fixture *)data)->probe) != NAT_MAPPING_UNKNOWN;
}

static void
expect_candidates(Fixture *f, const char *const *want)
{
	g_autoptr(GArray) array = nat_stun_probe_candidates(f->probe);

	g_assert_cmpuint(array->len, ==, g_strv_length((char **)want));
	for (guint i = 0; i < array->len; i++) {
		const NatCandidate *cand = &g_array_index(array, NatCandidate, i);
		char text[WG_ENDPOINT_STRLEN];

		g_assert_cmpint(cand->type, ==, NAT_CAND_SRFLX);
		g_assert_cmpstr(wg_endpoint_format(&cand->endpoint, text), ==, want[i]);
	}
}

static void
test_no_nat(Fixture *f, gconstpointer data)
{
	g_autoptr(GArray) sources = NULL;

	if (!f->up)
		return;
	use(f, 0, 2);
	g_assert_true(hosts_wait(has_public, f, 30000));
	g_assert_cmpint(nat_stun_probe_mapping(f->probe), ==, NAT_MAPPING_NONE);
	expect_candidates(f, (const char *const[]){NULL});
	sources = nat_stun_probe_sources(f->probe);
	g_assert_cmpuint(sources->len, ==, 1);
	g_assert_true(wg_endpoint_equal(&g_array_index(sources, WgEndpoint, 0), &f->hosts.a.addr));
	g_assert_cmpuint(f->changes, >=, 1);
	g_assert_false(f->servers[0].authenticated);
}

static void
test_mapping_learnt(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->servers[0].tell = f->servers[1].tell = net_ep("203.0.113.5:40000");
	f->servers[2].tell = net_ep("[2001:db8::5]:40000");
	use(f, 0, 3);
	g_assert_true(hosts_wait(has_two_public, f, 30000));
	g_assert_true(hosts_wait(knows_mapping, f, 30000));
	g_assert_cmpint(nat_stun_probe_mapping(f->probe), ==, NAT_MAPPING_ENDPOINT_INDEPENDENT);
	expect_candidates(f,
			  (const char *const[]){"203.0.113.5:40000", "[2001:db8::5]:40000", NULL});
}

static void
test_mapping_per_destination(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->servers[0].tell = net_ep("203.0.113.5:40000");
	f->servers[1].tell = net_ep("203.0.113.5:40001");
	use(f, 0, 2);
	g_assert_true(hosts_wait(has_two_public, f, 30000));
	g_assert_cmpint(nat_stun_probe_mapping(f->probe), ==,
			NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT);
}

static gboolean
is_per_address(gconstpointer data)
{
	return nat_stun_probe_mapping(((const Fixture *)data)->probe) ==
	       NAT_MAPPING_ADDRESS_DEPENDENT;
}

/* With servers of one address only, a mapping per address looks like one for all. */
static void
test_other_address(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->servers[0].tell = f->servers[1].tell = net_ep("203.0.113.5:40000");
	f->servers[3].tell = net_ep("203.0.113.5:40001");
	f->servers[0].other = f->servers[3].addr;
	use(f, 0, 2);
	g_assert_true(hosts_wait(is_per_address, f, 30000));
	expect_candidates(f, (const char *const[]){"203.0.113.5:40000", "203.0.113.5:40001", NULL});
	g_assert_false(f->servers[3].authenticated);
	/* it stays while the server does that named it */
	use(f, 0, 1);
	g_assert_true(is_per_address(f));
	use(f, 1, 1);
	g_assert_cmpuint(n_public(f), ==, 0);
}

static gboolean
is_told_one_for_all(gconstpointer data)
{
	return ((const Fixture *)data)->told == NAT_MAPPING_ENDPOINT_INDEPENDENT;
}

static gboolean
is_told_per_address(gconstpointer data)
{
	return ((const Fixture *)data)->told == NAT_MAPPING_ADDRESS_DEPENDENT;
}

static gboolean
have_two_answered(gconstpointer data)
{
	g_autoptr(GArray) servers = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	WgEndpoint local, public_endpoint;

	nat_stun_probe_nat(((const Fixture *)data)->probe, &local, &public_endpoint, servers);
	return servers->len == 2;
}

/* Until it has answered, or won't, nobody is told of one mapping for all. */
static void
test_other_awaited(Fixture *f, gconstpointer data)
{
	gint64 began = g_get_monotonic_time();
	gboolean early;

	if (!f->up)
		return;
	f->servers[0].tell = f->servers[1].tell = net_ep("203.0.113.5:40000");
	f->servers[3].tell = net_ep("203.0.113.5:40001");
	f->servers[0].other = f->servers[3].addr;
	f->servers[3].lose = 1;
	use(f, 0, 2);
	early = hosts_wait(is_told_one_for_all, f, 600);
	/* on a machine that stood still for so long it may have been given up */
	g_assert_false(early && g_get_monotonic_time() - began < 2300 * G_TIME_SPAN_MILLISECOND);
	g_assert_true(hosts_wait(is_told_per_address, f, 30000));
	/* silent for good: what the others say is told when that is clear, and not before */
	use(f, 0, 0);
	f->servers[3].lose = G_MAXUINT;
	use(f, 0, 2);
	g_assert_true(hosts_wait(have_two_answered, f, 30000));
	g_assert_cmpint(f->told, ==, NAT_MAPPING_UNKNOWN);
	expect_candidates(f, (const char *const[]){"203.0.113.5:40000", NULL});
	g_assert_true(hosts_wait(is_told_one_for_all, f, 30000));
}

/* A server that is dead does not help. */
static void
test_other_of_the_living(Fixture *f, gconstpointer data)
{
	WgEndpoint two[2];

	if (!f->up)
		return;
	two[0] = f->servers[0].addr;
	two[1] = f->servers[4].addr;
	f->servers[4].lose = G_MAXUINT;
	f->servers[0].tell = net_ep("203.0.113.5:40000");
	f->servers[3].tell = net_ep("203.0.113.5:40001");
	f->servers[0].other = f->servers[3].addr;
	nat_stun_probe_set_servers(f->probe, two, 2);
	/* until it is given up */
	for (int i = 0; i < 20 && !is_per_address(f); i++) {
		hosts_wait(is_per_address, f, 7000);
		nat_stun_probe_run(f->probe, TRUE);
	}
	g_assert_true(hosts_wait(is_per_address, f, 30000));
}

static gboolean
has_asked_other(gconstpointer data)
{
	return ((const Fixture *)data)->servers[3].requests > 0;
}

/* Where a server's word leads is no address of ours that peers should be told. */
static void
test_other_sources(Fixture *f, gconstpointer data)
{
	g_autoptr(GArray) sources = NULL;

	if (!f->up)
		return;
	net_run("ip addr add 10.9.0.9/24 dev core-a");
	net_run("ip route add 10.9.0.3/32 via 10.9.0.2 src 10.9.0.9");
	f->servers[0].tell = net_ep("203.0.113.5:40000");
	f->servers[0].other = f->servers[3].addr;
	f->servers[3].lose = G_MAXUINT;
	use(f, 0, 1);
	g_assert_true(hosts_wait(has_asked_other, f, 30000));
	g_assert_cmpuint(f->probe->queries->len, ==, 2);
	sources = nat_stun_probe_sources(f->probe);
	g_assert_cmpuint(sources->len, ==, 1);
	g_assert_true(wg_endpoint_equal(&g_array_index(sources, WgEndpoint, 0), &f->hosts.a.addr));
}

static gboolean
leaves_other_alone(gconstpointer data)
{
	return ((const Fixture *)data)->probe->queries->len == 1;
}

static NatStunQuery *
leader(Fixture *f)
{
	return g_ptr_array_index(f->probe->queries, 0);
}

/* Both packets were lost: after a while it is asked again, ever more rarely. */
static void
test_other_lost(Fixture *f, gconstpointer data)
{
	static const guint PAUSES_S[] = {60, 120};

	if (!f->up)
		return;
	f->servers[0].tell = net_ep("203.0.113.5:40000");
	f->servers[3].tell = net_ep("203.0.113.5:40001");
	f->servers[0].other = f->servers[3].addr;
	f->servers[3].lose = G_MAXUINT;
	use(f, 0, 1);
	for (guint i = 0; i < 2; i++) {
		f->servers[3].requests = 0;
		g_assert_true(hosts_wait(has_asked_other, f, 30000));
		g_assert_true(hosts_wait(leaves_other_alone, f, 30000));
		g_assert_cmpuint(f->servers[3].requests, ==, 2);
		g_assert_cmpuint(leader(f)->lead_pause_s, ==, PAUSES_S[i]);
		g_assert_cmpint(leader(f)->lead_us, >,
				g_get_monotonic_time() + 30 * G_USEC_PER_SEC);
		leader(f)->lead_us = 0; /* as if it were over */
		nat_stun_probe_run(f->probe, TRUE);
	}
	f->servers[3].lose = 0;
	g_assert_true(hosts_wait(is_per_address, f, 30000));
}

/* It may be anybody's: who does not answer is left alone, whatever is asked anew. */
static void
test_other_silent(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->servers[0].tell = f->servers[1].tell = net_ep("203.0.113.5:40000");
	f->servers[0].other = f->servers[3].addr;
	f->servers[3].lose = G_MAXUINT;
	use(f, 0, 1);
	g_assert_true(hosts_wait(has_asked_other, f, 30000));
	for (int i = 0; i < 8; i++) {
		nat_stun_probe_run(f->probe, TRUE);
		use(f, 0, 1 + i % 2);
		hosts_run(500);
	}
	g_assert_cmpuint(f->servers[3].requests, <=, 2);
	g_assert_cmpuint(n_public(f), ==, 1);
	g_assert_false(nat_stun_probe_is_silent(f->probe));
}

/* Another port is no other address; and where servers have two addresses there is no need. */
static void
test_other_refused(Fixture *f, gconstpointer data)
{
	WgEndpoint two[2];

	if (!f->up)
		return;
	f->servers[0].other = f->servers[1].addr;
	use(f, 0, 1);
	g_assert_true(hosts_wait(has_public, f, 30000));
	two[0] = f->servers[0].addr;
	two[1] = f->servers[3].addr;
	f->servers[0].tell = net_ep("203.0.113.5:40000");
	f->servers[3].tell = net_ep("203.0.113.5:40001");
	f->servers[0].other = f->servers[3].other = f->servers[4].addr;
	nat_stun_probe_set_servers(f->probe, two, 2);
	nat_stun_probe_run(f->probe, TRUE);
	g_assert_true(hosts_wait(is_per_address, f, 30000));
	hosts_run(300);
	g_assert_cmpuint(f->servers[1].requests, ==, 0);
	g_assert_cmpuint(f->servers[4].requests, ==, 0);
}

/* A lost packet costs a tenth of a second. */
static void
test_retransmission(Fixture *f, gconstpointer data)
{
	guint64 out;

	if (!f->up)
		return;
	f->servers[0].lose = 2;
	use(f, 0, 1);
	g_assert_true(hosts_wait(has_public, f, 30000));
	g_assert_cmpuint(f->servers[0].requests, >=, 3);
	out = n_sent(f);
	hosts_run(500);
	g_assert_cmpuint(n_sent(f), ==, out); /* answered: no more of it */
}

/* What was known stays while it is asked again, and goes when nobody answers any more. */
static void
test_lost_answer_gives_up(Fixture *f, gconstpointer data)
{
	guint before;
	guint64 out;

	if (!f->up)
		return;
	use(f, 0, 1);
	g_assert_true(hosts_wait(has_public, f, 30000));
	f->servers[0].lose = G_MAXUINT;
	before = f->changes;
	out = n_sent(f);
	nat_stun_probe_run(f->probe, TRUE);
	hosts_run(300);
	g_assert_cmpuint(n_public(f), ==, 1);
	g_assert_true(hosts_wait(has_no_public, f, 30000));
	g_assert_cmpuint(f->changes, ==, before + 1);
	g_assert_true(nat_stun_probe_is_silent(f->probe));
	g_assert_cmpuint(n_sent(f), ==, out + 6);
	hosts_run(300);
	g_assert_cmpuint(n_sent(f), ==, out + 6);
}

static gboolean
is_silent(gconstpointer data)
{
	return nat_stun_probe_is_silent(((const Fixture *)data)->probe);
}

/* Silence is what no server has broken; it is told, and so is its end. */
static void
test_silence(Fixture *f, gconstpointer data)
{
	guint before;

	if (!f->up)
		return;
	g_assert_false(is_silent(f));
	f->servers[0].lose = f->servers[1].lose = G_MAXUINT;
	use(f, 0, 2);
	hosts_run(300);
	g_assert_false(is_silent(f)); /* they may answer yet */
	before = f->changes;
	g_assert_true(hosts_wait(is_silent, f, 20000));
	g_assert_cmpuint(f->changes, ==, before + 1);
	nat_stun_probe_run(f->probe, TRUE);
	hosts_run(50);
	g_assert_true(is_silent(f)); /* asked again */
	f->servers[1].lose = 0;
	nat_stun_probe_run(f->probe, TRUE);
	g_assert_true(hosts_wait(has_public, f, 30000));
	g_assert_false(is_silent(f));
}

/* A server that has too much to do is no NAT that forgot its mapping: not at the first time. */
static void
test_busy_server(Fixture *f, gconstpointer data)
{
	guint before;

	if (!f->up)
		return;
	f->servers[0].tell = net_ep("203.0.113.5:40000");
	use(f, 0, 1);
	g_assert_true(hosts_wait(has_public, f, 30000));
	before = f->changes;
	f->servers[0].lose = 11; /* a round and most of the next */
	nat_stun_probe_set_keep(f->probe, 7);
	while (f->servers[0].lose > 0)
		hosts_run(50);
	hosts_run(5000);
	g_assert_cmpuint(f->changes, ==, before);
	g_assert_cmpuint(n_public(f), ==, 1);
	f->servers[0].lose = 12;
	while (f->servers[0].lose > 0)
		hosts_run(50);
	g_assert_cmpuint(n_public(f), ==, 1);
	g_assert_true(hosts_wait(is_silent, f, 30000));
	g_assert_cmpuint(n_public(f), ==, 0);
}

static void
test_set_servers_keeps_known(Fixture *f, gconstpointer data)
{
	guint64 out;

	if (!f->up)
		return;
	f->servers[0].tell = net_ep("203.0.113.5:40000");
	f->servers[1].tell = net_ep("203.0.113.5:40001");
	use(f, 0, 1);
	g_assert_true(hosts_wait(has_public, f, 30000));
	out = n_sent(f);
	use(f, 0, 2);
	g_assert_cmpuint(n_public(f), ==, 1);
	g_assert_cmpuint(n_sent(f), ==, out + 1);
	g_assert_true(hosts_wait(has_two_public, f, 30000));
	out = n_sent(f);
	use(f, 1, 1);
	g_assert_cmpuint(n_public(f), ==, 1);
	expect_candidates(f, (const char *const[]){"203.0.113.5:40001", NULL});
	use(f, 0, 0);
	g_assert_cmpuint(n_public(f), ==, 0);
	hosts_run(200);
	g_assert_cmpuint(n_sent(f), ==, out);
}

/* One server named twice is asked once; more than a few are too many. */
static void
test_duplicates_and_too_many(Fixture *f, gconstpointer data)
{
	WgEndpoint addrs[40];

	if (!f->up)
		return;
	for (guint i = 0; i < G_N_ELEMENTS(addrs); i++) {
		addrs[i] = f->servers[0].addr;
		if (i >= 4)
			wg_endpoint_set_port(&addrs[i], (guint16)(10000 + i));
	}
	nat_stun_probe_set_servers(f->probe, addrs, 4);
	g_assert_cmpuint(n_sent(f), ==, 1);
	nat_stun_probe_set_servers(f->probe, addrs, G_N_ELEMENTS(addrs));
	g_assert_cmpuint(n_sent(f), <=, 32);
	g_assert_true(hosts_wait(has_public, f, 30000));
}

/* A server that lies must not make us announce what no message may carry. */
static void
test_odd_answers(Fixture *f, gconstpointer data)
{
	static const char *const ODD[] = {"127.0.0.1:9", "224.0.0.1:9", "0.0.0.0:9",
					  "[2001:db8::9]:9", "203.0.113.5:0"};

	if (!f->up)
		return;
	for (guint i = 0; i < G_N_ELEMENTS(ODD); i++) {
		f->servers[0].tell = net_ep(ODD[i]);
		f->servers[0].requests = 0;
		use(f, 0, 1);
		g_assert_true(hosts_wait(asked_twice, f, 30000));
		g_assert_cmpuint(n_public(f), ==, 0);
		use(f, 0, 0);
	}
	f->servers[0].tell = net_ep("203.0.113.5:9");
	f->servers[0].error = TRUE;
	f->servers[0].requests = 0;
	use(f, 0, 1);
	g_assert_true(hosts_wait(asked_twice, f, 30000));
	g_assert_cmpuint(n_public(f), ==, 0);
	f->servers[0].error = FALSE;
	g_assert_true(hosts_wait(has_public, f, 30000));
}

/* The route appears after the probe began (a host that starts). */
static void
test_route_comes_later(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	net_run("ip addr flush dev core-a");
	use(f, 0, 1);
	hosts_run(150);
	g_assert_cmpuint(f->servers[0].requests, ==, 0);
	net_run("ip addr add 10.9.0.1/24 dev core-a");
	g_assert_true(hosts_wait(has_public, f, 30000));
}

static void
test_freed_while_asking(Fixture *f, gconstpointer data)
{
	guint64 out;

	if (!f->up)
		return;
	f->servers[0].lose = G_MAXUINT;
	use(f, 0, 1);
	hosts_run(20);
	out = n_sent(f);
	g_assert_cmpuint(out, >=, 1);
	nat_stun_probe_free(f->probe);
	hosts_run(300);
	f->probe = nat_stun_probe_new(f->hosts.a.mux, on_changed, f);
	g_assert_cmpuint(n_sent(f), ==, out);
}

static void
test_classify(void)
{
	const WgEndpoint local = net_ep("192.168.1.2:51820");
	const NatStunAnswer same[] = {
		{net_ep("198.51.100.1:3478"), net_ep("203.0.113.5:1")},
		{net_ep("198.51.100.2:3478"), net_ep("203.0.113.5:1")},
	};
	const NatStunAnswer by_address[] = {
		{net_ep("198.51.100.1:3478"), net_ep("203.0.113.5:1")},
		{net_ep("198.51.100.1:3479"), net_ep("203.0.113.5:1")},
		{net_ep("198.51.100.2:3478"), net_ep("203.0.113.5:2")},
	};
	const NatStunAnswer by_port[] = {
		{net_ep("198.51.100.1:3478"), net_ep("203.0.113.5:1")},
		{net_ep("198.51.100.2:3478"), net_ep("203.0.113.5:2")},
		{net_ep("198.51.100.1:3479"), net_ep("203.0.113.5:3")},
	};
	const NatStunAnswer own[] = {{net_ep("198.51.100.1:3478"), local}};

	g_assert_cmpint(nat_stun_classify(&local, NULL, 0), ==, NAT_MAPPING_UNKNOWN);
	g_assert_cmpint(nat_stun_classify(&local, same, 1), ==, NAT_MAPPING_UNKNOWN);
	g_assert_cmpint(nat_stun_classify(&local, same, 2), ==, NAT_MAPPING_ENDPOINT_INDEPENDENT);
	g_assert_cmpint(nat_stun_classify(&local, by_address, 3), ==,
			NAT_MAPPING_ADDRESS_DEPENDENT);
	g_assert_cmpint(nat_stun_classify(&local, by_port, 3), ==,
			NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT);
	g_assert_cmpint(nat_stun_classify(&local, own, 1), ==, NAT_MAPPING_NONE);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/stun-probe/classify", test_classify);
	ADD("/stun-probe/no-nat", test_no_nat);
	ADD("/stun-probe/mapping-learnt", test_mapping_learnt);
	ADD("/stun-probe/mapping-per-destination", test_mapping_per_destination);
	ADD("/stun-probe/other-address", test_other_address);
	ADD("/stun-probe/other-awaited", test_other_awaited);
	ADD("/stun-probe/other-sources", test_other_sources);
	ADD("/stun-probe/other-of-the-living", test_other_of_the_living);
	ADD("/stun-probe/other-lost", test_other_lost);
	ADD("/stun-probe/other-silent", test_other_silent);
	ADD("/stun-probe/other-refused", test_other_refused);
	ADD("/stun-probe/retransmission", test_retransmission);
	ADD("/stun-probe/lost-answer-gives-up", test_lost_answer_gives_up);
	ADD("/stun-probe/silence", test_silence);
	ADD("/stun-probe/busy-server", test_busy_server);
	ADD("/stun-probe/set-servers-keeps-known", test_set_servers_keeps_known);
	ADD("/stun-probe/duplicates-and-too-many", test_duplicates_and_too_many);
	ADD("/stun-probe/odd-answers", test_odd_answers);
	ADD("/stun-probe/route-comes-later", test_route_comes_later);
	ADD("/stun-probe/freed-while-asking", test_freed_while_asking);
	return g_test_run();
}
