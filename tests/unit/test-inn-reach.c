/* SPDX-License-Identifier: MIT */
/*
 * InnTries and InnReach against a WireGuard that is a model of what DESIGN §3 measured: one
 * initiation per 5 s and peer, a session that serves for 180 s, a new handshake where data stays
 * without an answer for 15 s. Its time is a number: hours pass in milliseconds.
 */
#include "agent/innernet/inn-reach.h"
#include "agent/innernet/inn-tries.h"
#include "tests/unit/fake-resolver.h"
#include "tests/unit/net-util.h"

#include <glib/gstdio.h>
#include <string.h>

#define MS ((gint64)1000)
#define S (1000 * MS)
#define HOUR (3600 * S)
#define TICK (100 * MS)
#define REAL 1700000000

#define V6 "[2001:db8::1]:51820"
#define V6_B "[2001:db8::2]:51820"
#define V4 "192.0.2.1:51820"
#define V4_B "192.0.2.2:51820"

typedef struct {
	gint64 now;
	InnTries *tries;
	InnReach *reach; /* instead */
	InnConf conf;	 /* of that */
	gboolean absent; /* the device does not have the peer */
	WgPeer *wg;
	WgEndpoint server; /* where it is; unset: nowhere */
	/* the model's WireGuard */
	gint64 initiated, handshake, unanswered; /* 0: never; of the last, the first of several */
	gint64 call;				 /* made at, 0: none is under way */
	gint64 called_every;			 /* 0: nobody calls */
	/* what was done */
	GPtrArray *initiations; /* of char *: endpoints */
	guint writes, replaces, lookups;
	/* what the name leads to; NULL: never answered, "": nothing */
	const char *name;
	gboolean stored;
	const char *unrouted; /* an address without a route, or "all" */
} World;

/* ---- WireGuard ---- */

static gboolean
has_session(const World *w)
{
	return w->handshake != 0 && w->now - w->handshake < 180 * S;
}

static gboolean
is_there(const World *w)
{
	return wg_endpoint_is_set(&w->server) && wg_endpoint_equal(&w->wg->endpoint, &w->server);
}

static void
initiate(World *w)
{
	char text[WG_ENDPOINT_STRLEN];

	if (!wg_endpoint_is_set(&w->wg->endpoint) ||
	    (w->initiated != 0 && w->now - w->initiated < 5 * S))
		return;
	w->initiated = w->now;
	w->wg->tx_bytes += 148;
	g_ptr_array_add(w->initiations, g_strdup(wg_endpoint_format(&w->wg->endpoint, text)));
	if (!is_there(w))
		return;
	w->wg->rx_bytes += 92;
	w->handshake = w->now;
	w->wg->last_handshake_s = REAL + w->now / S;
	w->wg->last_handshake_ns = w->now % S * 1000;
	w->unanswered = 0;
}

static void
send_data(World *w)
{
	if (!has_session(w)) {
		initiate(w);
		return;
	}
	w->wg->tx_bytes += 128;
	if (is_there(w)) {
		w->wg->rx_bytes += 32;
		w->unanswered = 0;
	} else if (w->unanswered == 0) {
		w->unanswered = w->now;
	}
}

static void
wireguard_tick(World *w)
{
	if (w->wg->keepalive != 0 && !has_session(w))
		initiate(w);
	if (has_session(w) && w->now - w->handshake > 120 * S)
		initiate(w);
	if (w->unanswered != 0 && w->now - w->unanswered >= 15 * S)
		initiate(w);
}

static gboolean
on_write(const WgPeerChange *change, gpointer user_data)
{
	World *w = user_data;
	gboolean arms =
		(change->flags & WG_CHANGE_KEEPALIVE) &&
		(w->wg->keepalive == 0 || (change->flags & (WG_CHANGE_REPLACE | WG_CHANGE_REARM)));

	w->writes++;
	g_assert_true(wg_key_equal(&change->public_key, &w->wg->public_key));
	g_assert_true(!(change->flags & WG_CHANGE_CREATE) == !w->absent);
	g_assert_false(change->flags & WG_CHANGE_REMOVE);
	if (w->absent) {
		g_autofree char *ip = wg_allowed_ip_format(&change->allowed_ips[0]);

		g_assert_cmpuint(change->n_allowed_ips, ==, 1);
		g_assert_cmpstr(ip, ==, "10.66.0.1/32");
		w->absent = FALSE;
	}
	if (change->flags & WG_CHANGE_REPLACE) {
		g_assert_false(has_session(w)); /* ever */
		w->replaces++;
		w->initiated = w->handshake = w->unanswered = 0;
		w->wg->rx_bytes = w->wg->tx_bytes = 0;
		w->wg->last_handshake_s = w->wg->last_handshake_ns = 0;
	}
	if (change->flags & WG_CHANGE_ENDPOINT)
		w->wg->endpoint = change->endpoint;
	if (change->flags & WG_CHANGE_KEEPALIVE)
		w->wg->keepalive = change->keepalive;
	if (arms)
		send_data(w);
	return TRUE;
}

static gboolean
on_routed(const WgEndpoint *addr, gpointer user_data)
{
	World *w = user_data;
	char text[WG_ENDPOINT_STRLEN];

	return !w->unrouted || (strcmp(w->unrouted, "all") != 0 &&
				strcmp(w->unrouted, wg_endpoint_format(addr, text)) != 0);
}

static void
on_lookup(gpointer user_data)
{
	World *w = user_data;
	g_auto(GStrv) words = g_strsplit(w->name ? w->name : "", " ", -1);
	WgEndpoint addrs[8];
	gsize n = 0;

	w->lookups++;
	for (; words[n]; n++)
		addrs[n] = net_ep(words[n]);
	if (n > 0)
		inn_tries_addresses(w->tries, addrs, n, !w->stored);
	else if (w->name)
		inn_tries_no_addresses(w->tries);
}

/* ---- time ---- */

/* A call takes a packet or two; without an answer it fails after 10 s. */
static void
calls_tick(World *w)
{
	guint64 rx = w->wg->rx_bytes;

	if (w->call != 0 && w->now - w->call >= 10 * S) {
		w->call = 0;
		if (w->tries)
			inn_tries_call_failed(w->tries, w->now);
		else
			inn_reach_call_failed(w->reach, w->now);
	}
	if (w->called_every == 0 || w->now % w->called_every != 0 || w->call != 0)
		return;
	send_data(w);
	if (w->wg->rx_bytes == rx || !has_session(w))
		w->call = w->now;
}

static void
observe(World *w)
{
	if (w->tries)
		inn_tries_observe(w->tries, w->wg, w->now, REAL + w->now / S);
	else
		inn_reach_observe(w->reach, w->absent ? NULL : w->wg, w->now);
}

static void
run(World *w, gint64 us)
{
	for (gint64 end = w->now + us; w->now < end;) {
		w->now += TICK;
		wireguard_tick(w);
		calls_tick(w);
		observe(w);
		while (w->reach && g_main_context_iteration(NULL, FALSE))
			;
	}
}

static gboolean
is_connected(const World *w)
{
	return has_session(w) && is_there(w) &&
	       (!w->tries || inn_tries_state(w->tries) == INN_TRIES_CONNECTED);
}

/* How long it took, in us; it must be within `most`. */
static gint64
run_until_connected(World *w, gint64 most)
{
	gint64 begin = w->now;

	while (!is_connected(w) && w->now - begin <= most)
		run(w, TICK);
	if (!is_connected(w))
		g_error("not connected within %d ms", (int)(most / MS));
	run(w, TICK);
	return w->now - begin;
}

static void
run_until_pause(World *w)
{
	for (int i = 0; inn_tries_state(w->tries) != INN_TRIES_PAUSE; i++) {
		g_assert_cmpint(i * TICK, <, 400 * S);
		run(w, TICK);
	}
}

static void
check_initiations(const World *w, const char *expected)
{
	g_autofree char *text = NULL;

	g_ptr_array_add(w->initiations, NULL);
	text = g_strjoinv(" ", (char **)w->initiations->pdata);
	g_ptr_array_set_size(w->initiations, (int)w->initiations->len - 1);
	g_assert_cmpstr(text, ==, expected);
}

static void
forget_done(World *w)
{
	g_ptr_array_set_size(w->initiations, 0);
	w->writes = w->replaces = w->lookups = 0;
}

static void
set_up(World *w, gconstpointer data)
{
	static const InnTriesFuncs FUNCS = {
		.write = on_write, .routed = on_routed, .lookup = on_lookup};

	w->now = 1000 * S;
	w->wg = wg_peer_new();
	w->wg->public_key.b[0] = 7;
	w->initiations = g_ptr_array_new_with_free_func(g_free);
	if (!data)
		w->tries = inn_tries_new(&w->wg->public_key, &FUNCS, w);
}

static void
tear_down(World *w, gconstpointer data)
{
	inn_tries_free(w->tries);
	inn_reach_free(w->reach);
	g_ptr_array_unref(w->initiations);
	wg_peer_free(w->wg);
}

/* The session is there, and over, and forgotten: what comes next is a search. */
static void
connect_at(World *w, const char *server)
{
	w->server = net_ep(server);
	run_until_connected(w, 30 * S);
	forget_done(w);
}

static void
disappear(World *w)
{
	memset(&w->server, 0, sizeof w->server);
}

/* ---- which address, when ---- */

static void
test_first(World *w, gconstpointer data)
{
	w->name = V6 " " V4;
	w->server = net_ep(V4);
	g_assert_cmpint(run_until_connected(w, 10 * S), <, 4 * S);
	check_initiations(w, V6 " " V4);
	g_assert_cmpuint(w->wg->keepalive, ==, 25);
	g_assert_cmpuint(inn_tries_failures(w->tries), ==, 0);
}

static void
test_families_alternate(World *w, gconstpointer data)
{
	w->name = V6 " " V6_B " " V4 " " V4_B;
	run(w, 11 * S);
	check_initiations(w, V6 " " V4 " " V6_B " " V4_B);
}

static void
test_worked_comes_first(World *w, gconstpointer data)
{
	w->name = V6 " " V4 " " V6_B " " V4_B;
	connect_at(w, V4_B);
	disappear(w);
	run_until_pause(w);
	forget_done(w);
	inn_tries_network_changed(w->tries, w->now);
	run(w, 10 * S);
	g_assert_cmpstr(g_ptr_array_index(w->initiations, 0), ==, V4_B);
	g_assert_cmpstr(g_ptr_array_index(w->initiations, 1), ==, V6);
	g_assert_cmpstr(g_ptr_array_index(w->initiations, 2), ==, V4);
}

/* The name leads elsewhere now: there first, where it was at last. */
static void
test_moved_while_dead(World *w, gconstpointer data)
{
	w->name = V4;
	connect_at(w, V4);
	disappear(w);
	run_until_pause(w);
	forget_done(w);
	w->name = V4_B;
	w->server = net_ep(V4_B);
	inn_tries_network_changed(w->tries, w->now);
	g_assert_cmpint(run_until_connected(w, 5 * S), <, S);
	check_initiations(w, V4_B);
	disappear(w);
	w->name = V6;
	run_until_pause(w);
	forget_done(w);
	w->server = net_ep(V4_B);
	inn_tries_network_changed(w->tries, w->now);
	run_until_connected(w, 5 * S);
	check_initiations(w, V6 " " V4_B);
}

/* Addresses of another day are no better than the one that worked. */
static void
test_stored(World *w, gconstpointer data)
{
	w->name = V4;
	connect_at(w, V4);
	disappear(w);
	run_until_pause(w);
	forget_done(w);
	w->name = V4_B;
	w->stored = TRUE;
	w->server = net_ep(V4_B);
	inn_tries_network_changed(w->tries, w->now);
	run_until_connected(w, 5 * S);
	check_initiations(w, V4 " " V4_B);
}

/* After a restart of ours WireGuard's endpoint is all that is known. */
static void
test_no_name(World *w, gconstpointer data)
{
	w->wg->endpoint = net_ep(V4);
	w->name = "";
	w->server = net_ep(V4);
	run_until_connected(w, 3 * S);
	check_initiations(w, V4);
}

/* The resolver never answers: what is known serves. */
static void
test_no_resolver(World *w, gconstpointer data)
{
	w->wg->endpoint = net_ep(V4);
	w->name = NULL;
	w->server = net_ep(V4);
	run_until_connected(w, 5 * S);
}

static void
test_late_answer(World *w, gconstpointer data)
{
	WgEndpoint late = net_ep(V6);

	w->wg->endpoint = net_ep(V4);
	w->server = net_ep(V6);
	run(w, 4 * S);
	g_assert_cmpint(inn_tries_state(w->tries), ==, INN_TRIES_TRYING);
	inn_tries_addresses(w->tries, &late, 1, TRUE);
	run_until_connected(w, 5 * S);
	check_initiations(w, V4 " " V6);
}

static void
test_unrouted(World *w, gconstpointer data)
{
	w->name = V6 " " V4;
	w->unrouted = V6;
	w->server = net_ep(V4);
	g_assert_cmpint(run_until_connected(w, 3 * S), <, S);
	check_initiations(w, V4);
}

/* Too many addresses are not all tried, and harm nobody. */
static void
test_many(World *w, gconstpointer data)
{
	WgEndpoint addrs[64];

	for (guint i = 0; i < G_N_ELEMENTS(addrs); i++) {
		addrs[i] = net_ep(i % 2 ? V4 : V6);
		wg_endpoint_set_port(&addrs[i], (guint16)(i + 1));
	}
	run(w, TICK);
	inn_tries_addresses(w->tries, addrs, G_N_ELEMENTS(addrs), TRUE);
	run(w, 60 * S);
	g_assert_cmpuint(w->initiations->len, <=, INN_TRIES_MAX + 10);
	g_assert_cmpuint(inn_tries_failures(w->tries), ==, 1);
}

/* ---- what is left alone ---- */

/* Ten hours with a server whose API fails, and a network that changes, and nothing is written. */
static void
test_session_undisturbed(World *w, gconstpointer data)
{
	w->name = V6 " " V4;
	connect_at(w, V4);
	w->called_every = 30 * S;
	for (int i = 0; i < 600; i++) {
		inn_tries_call_failed(w->tries, w->now);
		inn_tries_network_changed(w->tries, w->now);
		run(w, 60 * S);
	}
	g_assert_cmpuint(w->writes, ==, 0);
	g_assert_cmpuint(w->lookups, >, 590); /* what it leads to is known when it is needed */
	g_assert_true(is_connected(w));
}

/* The session of an earlier run of ours, and an endpoint that is nobody's. */
static void
test_adopted(World *w, gconstpointer data)
{
	w->name = V6;
	w->server = w->wg->endpoint = net_ep(V4);
	w->wg->keepalive = 25;
	initiate(w);
	w->now += 60 * S;
	run(w, HOUR);
	g_assert_cmpuint(w->writes, ==, 0);
}

static void
test_roamed(World *w, gconstpointer data)
{
	w->name = V4;
	connect_at(w, V4);
	w->server = w->wg->endpoint = net_ep(V6_B);
	run(w, HOUR);
	g_assert_cmpuint(w->writes, ==, 0);
	disappear(w);
	run_until_pause(w);
	w->server = net_ep(V6_B);
	run_until_connected(w, 70 * S);
}

/* A handshake that somebody has just begun has its time before ours. */
static void
test_just_begun(World *w, gconstpointer data)
{
	w->name = V4;
	w->wg->endpoint = net_ep(V4);
	w->wg->keepalive = 25;
	initiate(w);
	run(w, 2 * S);
	g_assert_cmpuint(w->writes, ==, 0);
	w->server = net_ep(V4);
	run_until_connected(w, 10 * S);
}

/* A bridge to a relay was the endpoint while an agent at the other end had it so. */
static void
test_bridge(World *w, gconstpointer data)
{
	w->name = V4;
	w->server = w->wg->endpoint = net_ep("127.0.0.1:40000");
	w->wg->keepalive = 25;
	initiate(w);
	run(w, 10 * S);
	g_assert_cmpuint(w->writes, ==, 0);
	disappear(w);
	run_until_pause(w);
	forget_done(w);
	inn_tries_network_changed(w->tries, w->now);
	run(w, 4 * S);
	check_initiations(w, V4);
}

static void
test_no_peer(World *w, gconstpointer data)
{
	w->name = V4;
	for (int i = 0; i < 100; i++)
		inn_tries_observe(w->tries, NULL, w->now += TICK, REAL);
	inn_tries_network_changed(w->tries, w->now);
	g_assert_cmpuint(w->writes, ==, 0);
}

static void
test_users_keepalive(World *w, gconstpointer data)
{
	w->name = V4;
	w->wg->keepalive = 11;
	w->server = net_ep(V4);
	run_until_connected(w, 10 * S);
	g_assert_cmpuint(w->wg->keepalive, ==, 11);
}

/* ---- loss and return ---- */

/* An hour without the server: it costs little, and its return is noticed soon. */
static void
test_hour_without(World *w, gconstpointer data)
{
	w->name = V6 " " V4;
	connect_at(w, V4);
	disappear(w);
	run(w, HOUR);
	g_assert_cmpuint(w->writes, <, 60 * 4);
	g_assert_cmpuint(w->lookups, <, 70);
	g_assert_cmpuint(w->lookups, >, 40);
	w->server = net_ep(V4);
	g_assert_cmpint(run_until_connected(w, 70 * S), <, 66 * S);
	g_assert_cmpuint(inn_tries_failures(w->tries), ==, 0);
	/* and the next loss begins anew */
	disappear(w);
	run(w, 185 * S);
	w->server = net_ep(V4);
	g_assert_cmpint(run_until_connected(w, 70 * S), <, 10 * S);
}

/* The first address stays in place meanwhile: a server that comes back there needs no round. */
static void
test_pause(World *w, gconstpointer data)
{
	char text[WG_ENDPOINT_STRLEN];

	w->name = V4 " " V6;
	run(w, 600 * S);
	run_until_pause(w);
	g_assert_cmpstr(wg_endpoint_format(&w->wg->endpoint, text), ==, V4);
	w->server = net_ep(V4);
	g_assert_cmpint(run_until_connected(w, 10 * S), <, 6 * S);
}

static void
test_network_changed(World *w, gconstpointer data)
{
	w->name = V6 " " V4;
	run(w, 600 * S);
	run_until_pause(w);
	w->server = net_ep(V4);
	inn_tries_network_changed(w->tries, w->now);
	g_assert_cmpint(run_until_connected(w, 10 * S), <, 4 * S);
}

/* Events without end leave the rounds their time: the last address has its turn. */
static void
test_network_unsteady(World *w, gconstpointer data)
{
	gint64 end = w->now + 60 * S;

	w->name = V6 " " V4;
	w->server = net_ep(V4);
	while (w->now < end && !is_connected(w)) {
		inn_tries_network_changed(w->tries, w->now);
		run(w, 2 * TICK);
	}
	g_assert_true(is_connected(w));
}

/* The server has moved while its session was young: it is found by calls that fail, long before
 * the session's 180 s are over, and without losing what the old place may still be good for. */
static void
test_moved_while_alive(World *w, gconstpointer data)
{
	w->name = V4;
	connect_at(w, V4);
	w->called_every = 10 * S;
	run(w, 100 * S);
	g_assert_cmpuint(w->writes, ==, 0);
	w->name = V4_B;
	w->server = net_ep(V4_B);
	g_assert_cmpint(run_until_connected(w, 60 * S), <, 45 * S);
	g_assert_cmpuint(w->replaces, ==, 0);
}

/* The same, but the name still leads to the old place only: WireGuard is left to itself. */
static void
test_silent_without_choice(World *w, gconstpointer data)
{
	w->name = V4;
	connect_at(w, V4);
	w->called_every = 10 * S;
	disappear(w);
	run(w, 100 * S);
	g_assert_cmpuint(w->writes, ==, 0);
	w->server = net_ep(V4);
	g_assert_cmpint(run_until_connected(w, 10 * S), <, 6 * S);
}

/* ---- with names ---- */

#define NAME ((gconstpointer) "name")

static void
set_up_reach(World *w, gconstpointer data)
{
	set_up(w, NAME);
}

static InnReach *
reach_new(World *w, const char *state_dir, const char *host)
{
	static const InnReachFuncs FUNCS = {.write = on_write, .routed = on_routed};

	w->conf.server_key = w->wg->public_key;
	w->conf.server_host = (char *)host;
	w->conf.server_port = 51820;
	w->conf.server_internal = net_ep("10.66.0.1:51820");
	return inn_reach_new("evilcorp", &w->conf, state_dir, &w->wg->public_key, &FUNCS, w);
}

static void
check_problem(const World *w, const char *part)
{
	g_autofree char *problem = inn_reach_problem(w->reach);

	if (problem)
		g_test_message("%s", problem);
	g_assert_true((problem != NULL) == (part != NULL));
	if (part && (!strstr(problem, part) || strpbrk(problem, "\r\n\x1b")))
		g_error("'%s' is not one line with '%s'", problem, part);
}

static void
test_problems(World *w, gconstpointer data)
{
	FakeResolver *fake = fake_resolver_install();

	w->reach = reach_new(w, NULL, "vpn.example\x1b[2J");
	check_problem(w, NULL);
	fake_resolver_set(fake, NULL);
	run(w, 10 * S);
	check_problem(w, "vpn.example");
	check_problem(w, "can't be resolved");
	fake_resolver_set(fake, "192.0.2.1 2001:db8::1");
	run(w, 60 * S);
	check_problem(w, "does not answer");
	check_problem(w, V4 ", " V6);
	w->unrouted = "all";
	run(w, 120 * S);
	check_problem(w, "no route");
	w->unrouted = NULL;
	w->server = net_ep(V6);
	run_until_connected(w, 130 * S);
	check_problem(w, NULL);
	g_assert_false(inn_reach_urgent(w->reach));
	g_clear_pointer(&w->reach, inn_reach_free);
	fake_resolver_free(fake);
}

/* Freed while the resolver hangs, and asked again while it does: one question at a time. */
static void
test_hanging_resolver(World *w, gconstpointer data)
{
	FakeResolver *fake = fake_resolver_install();

	fake->hangs = TRUE;
	fake_resolver_set(fake, "192.0.2.1");
	w->reach = reach_new(w, NULL, "vpn.example");
	w->wg->endpoint = net_ep(V4_B);
	run(w, 600 * S);
	g_assert_cmpuint(fake->asked, ==, 1);
	w->server = net_ep(V4_B);
	run_until_connected(w, 70 * S);
	g_clear_pointer(&w->reach, inn_reach_free);
	fake_resolver_free(fake);
}

static void
test_numeric(World *w, gconstpointer data)
{

	w->reach = reach_new(w, NULL, "2001:db8::1");
	w->server = net_ep(V6);
	run_until_connected(w, 3 * S);
	g_clear_pointer(&w->reach, inn_reach_free);
}

/* The first time, and after somebody took it away. */
static void
test_made(World *w, gconstpointer data)
{
	w->reach = reach_new(w, NULL, "192.0.2.1");
	w->server = net_ep(V4);
	for (int i = 0; i < 2; i++) {
		w->absent = TRUE;
		w->handshake = w->initiated = 0;
		w->wg->last_handshake_s = w->wg->last_handshake_ns = 0;
		w->wg->rx_bytes = w->wg->tx_bytes = w->wg->keepalive = 0;
		memset(&w->wg->endpoint, 0, sizeof w->wg->endpoint);
		g_assert_cmpint(run_until_connected(w, 5 * S), <, S);
	}
	check_initiations(w, V4 " " V4);
	g_clear_pointer(&w->reach, inn_reach_free);
}

/* A restart of ours, and of the host, while there is no resolver: the addresses of before serve. */
static void
test_restart(World *w, gconstpointer data)
{
	g_autofree char *dir = g_dir_make_tmp("inn-reach-XXXXXX", NULL);
	FakeResolver *fake = fake_resolver_install();

	for (int life = 0; life < 2; life++) {
		fake_resolver_set(fake, life == 0 ? "192.0.2.1" : NULL);
		w->reach = reach_new(w, dir, "vpn.example");
		w->server = net_ep(V4);
		run_until_connected(w, 10 * S);
		check_initiations(w, V4);
		g_clear_pointer(&w->reach, inn_reach_free);
		wg_peer_free(w->wg);
		w->wg = wg_peer_new();
		w->wg->public_key.b[0] = 7;
		w->handshake = w->initiated = 0;
		forget_done(w);
	}
	fake_resolver_free(fake);
	net_run("rm -r %s", dir);
}

#define ADD(name, func) g_test_add("/inn-reach/" name, World, NULL, set_up, func, tear_down)
#define ADD_REACH(name, func)                                                                      \
	g_test_add("/inn-reach/" name, World, NAME, set_up_reach, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("first", test_first);
	ADD("families-alternate", test_families_alternate);
	ADD("worked-comes-first", test_worked_comes_first);
	ADD("moved-while-dead", test_moved_while_dead);
	ADD("stored", test_stored);
	ADD("no-name", test_no_name);
	ADD("no-resolver", test_no_resolver);
	ADD("late-answer", test_late_answer);
	ADD("unrouted", test_unrouted);
	ADD("many", test_many);
	ADD("session-undisturbed", test_session_undisturbed);
	ADD("adopted", test_adopted);
	ADD("roamed", test_roamed);
	ADD("just-begun", test_just_begun);
	ADD("bridge", test_bridge);
	ADD("no-peer", test_no_peer);
	ADD("users-keepalive", test_users_keepalive);
	ADD("hour-without", test_hour_without);
	ADD("pause", test_pause);
	ADD("network-changed", test_network_changed);
	ADD("network-unsteady", test_network_unsteady);
	ADD("moved-while-alive", test_moved_while_alive);
	ADD("silent-without-choice", test_silent_without_choice);
	ADD_REACH("problems", test_problems);
	ADD_REACH("hanging-resolver", test_hanging_resolver);
	ADD_REACH("numeric", test_numeric);
	ADD_REACH("made", test_made);
	ADD_REACH("restart", test_restart);
	return g_test_run();
}
