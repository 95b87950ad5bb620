/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class-test.h"

#include "agent/probe/nat-class-filter.h"
#include "agent/probe/nat-stun-socket.h"

#include <string.h>

#define SOURCES 10
#define SENDS 4
#define PATIENCE_MS 2400
#define DESTINATIONS_MAX 11 /* the servers, and the other addresses of one of them */
#define SAMPLES 12
#define PORTS_MAX 5    /* of DESTINATIONS */
#define PORTS_SENDS 30 /* of both stages; the rest is for filtering */

struct NatClassTest {
	WgEndpoint local;
	guint32 fwmark;
	NatMapping mapping;
	WgEndpoint servers[NAT_CLASS_TEST_SERVERS];
	gsize n_servers;
	NatClassTestFunc func;
	gpointer user_data;

	NatClassResult result;
	GPtrArray *sockets; /* of NatStunSocket: they hold their ports to the end */
	guint sent;
	guint timer;
	WgEndpoint tester, other; /* a server of RFC 5780, and its other address; unset: none */
	gboolean no_other;	  /* one was silent: no server's word is taken any more */

	gsize server; /* that SOURCES asks */
	guint16 inside[SOURCES], outside[SOURCES];
	gsize n_sources;

	WgEndpoint to[DESTINATIONS_MAX], silent[DESTINATIONS_MAX];
	gsize n_to, at, n_silent;
	guint ports;
	NatClassSample samples[SAMPLES];
	gsize n_samples;

	NatClassFilter *filter;
};

static void begin_destinations(NatClassTest *test);
static void begin_filtering(NatClassTest *test);

/* ---- pure ---- */

gboolean
nat_class_may_ask(const WgEndpoint *server, const WgEndpoint *other)
{
	return wg_endpoint_is_set(other) &&
	       wg_endpoint_family(other) == wg_endpoint_family(server) &&
	       !wg_endpoint_same_address(other, server) && !wg_endpoint_is_bogus(other) &&
	       (!wg_endpoint_is_private(other) || wg_endpoint_is_private(server));
}

static gboolean
is_first(const NatClassSample *samples, gsize i)
{
	return i == 0 || samples[i].inside != samples[i - 1].inside;
}

/* An earlier mapping of the same port serves this destination too. */
static gboolean
is_served(const NatClassSample *samples, gsize i)
{
	for (gsize j = i; j > 0 && samples[j - 1].inside == samples[i].inside; j--)
		if (samples[j - 1].outside == samples[i].outside)
			return TRUE;
	return FALSE;
}

NatAllocation
nat_class_by_destination(const NatClassSample *samples, gsize n)
{
	const NatAllocation unknown = {0};
	guint16 inside[SAMPLES], outside[SAMPLES];
	gsize firsts = 0, kept = 0, further = 0, used = 0;

	n = MIN(n, SAMPLES);
	for (gsize i = 0; i < n; i++) {
		firsts += is_first(samples, i);
		kept += is_first(samples, i) && samples[i].inside == samples[i].outside;
		further += !is_first(samples, i) && !is_served(samples, i);
	}
	if (further == 0)
		return unknown;
	for (gsize i = 0; i < n; i++) {
		if (is_served(samples, i) || (is_first(samples, i) && kept * 2 > firsts))
			continue;
		inside[used] = samples[i].inside;
		outside[used++] = samples[i].outside;
	}
	return nat_ports_classify(inside, outside, used);
}

/* ---- all stages ---- */

/* Nothing of the test may be touched afterwards. */
static void
finish(NatClassTest *test)
{
	test->result.by_source = nat_ports_classify(test->inside, test->outside, test->n_sources);
	test->result.by_destination = nat_class_by_destination(test->samples, test->n_samples);
	test->func(&test->result, test->user_data);
}

static NatStunSocket *
open_port(NatClassTest *test)
{
	NatStunSocket *sock = nat_stun_socket_new(&test->local, test->fwmark, &test->sent);

	if (sock != NULL)
		g_ptr_array_add(test->sockets, sock);
	return sock;
}

static gboolean
is_answer(const NatStunReply *reply)
{
	return reply != NULL && !reply->refused;
}

static void
note_other(NatClassTest *test, const WgEndpoint *server, const NatStunReply *reply)
{
	if (wg_endpoint_is_set(&test->tester) || test->no_other ||
	    !nat_class_may_ask(server, &reply->other))
		return;
	test->tester = *server;
	test->other = reply->other;
}

/* ---- SOURCES ---- */

static void on_source(const NatStunReply *reply, gpointer user_data);

static void
ask_source(NatClassTest *test)
{
	NatStunSocket *sock = NULL;

	if (test->n_sources < SOURCES && test->server < test->n_servers && test->sent < PORTS_SENDS)
		sock = open_port(test);
	if (sock != NULL)
		nat_stun_socket_ask(sock, &test->servers[test->server], 0, SENDS, PATIENCE_MS,
				    on_source, test);
	else
		begin_destinations(test);
}

static void
on_source(const NatStunReply *reply, gpointer user_data)
{
	NatClassTest *test = user_data;
	const NatStunSocket *sock = g_ptr_array_index(test->sockets, test->sockets->len - 1);

	if (is_answer(reply)) {
		note_other(test, &test->servers[test->server], reply);
		test->inside[test->n_sources] = nat_stun_socket_port(sock);
		test->outside[test->n_sources++] = wg_endpoint_port(&reply->mapped);
	} else if (test->n_sources == 0) {
		test->server++;
	} else {
		/* it answered a moment ago: what is missing tells nothing */
		begin_destinations(test);
		return;
	}
	ask_source(test);
}

/* ---- DESTINATIONS ---- */

static void on_destination(const NatStunReply *reply, gpointer user_data);

static gboolean
is_among(const WgEndpoint *list, gsize n, const WgEndpoint *addr)
{
	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_equal(&list[i], addr))
			return TRUE;
	return FALSE;
}

static void
add_destination(NatClassTest *test, const WgEndpoint *to)
{
	if (test->n_to < DESTINATIONS_MAX && !is_among(test->to, test->n_to, to) &&
	    !is_among(test->silent, test->n_silent, to))
		test->to[test->n_to++] = *to;
}

static void
add_other(NatClassTest *test)
{
	WgEndpoint to = test->other;

	if (!wg_endpoint_is_set(&test->tester))
		return;
	add_destination(test, &test->other);
	wg_endpoint_set_port(&to, wg_endpoint_port(&test->tester));
	add_destination(test, &to);
	to = test->tester;
	wg_endpoint_set_port(&to, wg_endpoint_port(&test->other));
	add_destination(test, &to);
}

static void
drop_destination(NatClassTest *test, gsize at)
{
	test->n_to--;
	memmove(&test->to[at], &test->to[at + 1], (test->n_to - at) * sizeof test->to[0]);
}

/* A server's word was wrong: whoever is there is left alone, at each port. */
static void
drop_other(NatClassTest *test)
{
	for (gsize i = test->n_to; i-- > 0;) {
		if (!wg_endpoint_same_address(&test->to[i], &test->other) ||
		    is_among(test->servers, test->n_servers, &test->to[i]))
			continue;
		drop_destination(test, i);
		test->at -= i < test->at;
	}
	memset(&test->tester, 0, sizeof test->tester);
	memset(&test->other, 0, sizeof test->other);
	test->no_other = TRUE;
}

/* It did not answer, nor will it answer the next port. */
static void
on_silent(NatClassTest *test)
{
	WgEndpoint to = test->to[test->at];

	drop_destination(test, test->at);
	if (test->n_silent < DESTINATIONS_MAX)
		test->silent[test->n_silent++] = to;
	if (wg_endpoint_is_set(&test->other) && wg_endpoint_equal(&to, &test->other))
		drop_other(test);
}

static void
ask_destination(NatClassTest *test)
{
	gboolean enough = test->n_samples == SAMPLES || test->sent >= PORTS_SENDS;

	if (test->at == test->n_to && !enough && test->ports < PORTS_MAX && test->n_to > 1) {
		test->at = 0;
		test->ports++;
		enough = open_port(test) == NULL;
	}
	if (enough || test->at == test->n_to)
		begin_filtering(test);
	else
		nat_stun_socket_ask(g_ptr_array_index(test->sockets, test->sockets->len - 1),
				    &test->to[test->at], 0, SENDS, PATIENCE_MS, on_destination,
				    test);
}

static void
on_destination(const NatStunReply *reply, gpointer user_data)
{
	NatClassTest *test = user_data;
	const NatStunSocket *sock = g_ptr_array_index(test->sockets, test->sockets->len - 1);

	if (is_answer(reply)) {
		note_other(test, &test->to[test->at], reply);
		add_other(test);
		test->samples[test->n_samples].inside = nat_stun_socket_port(sock);
		test->samples[test->n_samples++].outside = wg_endpoint_port(&reply->mapped);
		test->at++;
	} else {
		on_silent(test);
	}
	ask_destination(test);
}

static void
begin_destinations(NatClassTest *test)
{
	if (test->n_sources == 0) {
		finish(test); /* nobody answers */
		return;
	}
	if (test->mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT) {
		begin_filtering(test);
		return;
	}
	/* from the one on that answered */
	for (gsize i = test->server; i < test->n_servers; i++)
		add_destination(test, &test->servers[i]);
	add_other(test);
	test->at = test->n_to; /* and so a port is opened */
	ask_destination(test);
}

/* ---- FILTERING ---- */

/* With one address a server can still answer from its other port; that is among the servers. */
static gboolean
find_two_ports(NatClassTest *test)
{
	for (gsize i = test->server; i < test->n_servers; i++) {
		for (gsize j = 0; j < test->n_servers; j++) {
			if (!wg_endpoint_same_address(&test->servers[i], &test->servers[j]) ||
			    wg_endpoint_equal(&test->servers[i], &test->servers[j]))
				continue;
			test->tester = test->servers[i];
			test->other = test->servers[j];
			return TRUE;
		}
	}
	return FALSE;
}

static void on_filtering(NatFiltering filtering, gpointer user_data);

static void
start_filter(NatClassTest *test)
{
	test->filter =
		nat_class_filter_new(&test->local, test->fwmark, test->mapping, &test->tester,
				     &test->other, &test->sent, on_filtering, test);
	if (test->filter == NULL)
		finish(test);
}

/* That other address may be silent, or not what the server said: its two ports may show something
 * nevertheless. */
static gboolean
find_less(NatClassTest *test)
{
	return test->mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT &&
	       !wg_endpoint_same_address(&test->tester, &test->other) && find_two_ports(test);
}

static void
on_filtering(NatFiltering filtering, gpointer user_data)
{
	NatClassTest *test = user_data;

	test->result.filtering = filtering;
	g_clear_pointer(&test->filter, nat_class_filter_free);
	if (filtering == NAT_FILTERING_UNKNOWN && find_less(test))
		start_filter(test);
	else
		finish(test);
}

static void
begin_filtering(NatClassTest *test)
{
	if (wg_endpoint_is_set(&test->tester) || find_two_ports(test))
		start_filter(test);
	else
		finish(test);
}

/* ---- life ---- */

static gboolean
on_begin(gpointer user_data)
{
	NatClassTest *test = user_data;

	test->timer = 0;
	ask_source(test);
	return G_SOURCE_REMOVE;
}

NatClassTest *
nat_class_test_new(const WgEndpoint *local, guint32 fwmark, NatMapping mapping,
		   const WgEndpoint *servers, gsize n, NatClassTestFunc func, gpointer user_data)
{
	NatClassTest *test = g_new0(NatClassTest, 1);

	test->local = *local;
	test->fwmark = fwmark;
	test->mapping = mapping;
	for (gsize i = 0; i < n && test->n_servers < NAT_CLASS_TEST_SERVERS; i++)
		if (wg_endpoint_family(&servers[i]) == wg_endpoint_family(local))
			test->servers[test->n_servers++] = servers[i];
	test->func = func;
	test->user_data = user_data;
	test->sockets = g_ptr_array_new_with_free_func((GDestroyNotify)nat_stun_socket_free);
	test->timer = g_idle_add(on_begin, test);
	return test;
}

void
nat_class_test_free(NatClassTest *test)
{
	if (test == NULL)
		return;
	g_clear_handle_id(&test->timer, g_source_remove);
	nat_class_filter_free(test->filter);
	g_ptr_array_unref(test->sockets);
	g_free(test);
}

guint
nat_class_test_sent(const NatClassTest *test)
{
	return test->sent;
}
