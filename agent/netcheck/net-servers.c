/* SPDX-License-Identifier: MIT */
/*
 * A Target is a server by one transport: its name is looked up, then it is tested, then it is over.
 * The STUN of a signaling server is asked at the usual port meanwhile; where that is silent it
 * waits for the hello, which says where STUN is, if anywhere.
 *
 * Each step has its own limit. That of all is for what should not be: a step that forgets to end.
 */
#include "agent/netcheck/net-servers.h"

#include <string.h>

#include "agent/config/nat-config.h"
#include "agent/netcheck/net-name.h"
#include "agent/netcheck/net-reach.h"
#include "agent/netcheck/net-stun.h"
#include "agent/netcheck/net-thread.h"
#include "agent/relay/nat-turn-uri.h"
#include "agent/session/nat-signal-url.h"

#define STUN_PORT 3478
#define STUN_WITHIN_MS 2000

typedef struct Target Target;

/* One STUN server at one address. */
typedef struct {
	Target *target;
	WgEndpoint to;
	int error; /* of the question */
	double ms;
} StunTest;

/* One server, until its tests are over. */
struct Target {
	NetServers *servers;
	NetServer *row; /* NULL: a relay that is asked for STUN as well, which it need not speak */
	NetName *name;
	char *host, *url; /* url: signaling */
	guint16 port;
	NatTurnUri *uri;      /* TURN */
	Target *announced_by; /* STUN at a signaling server, which says where */
	NetReachTurn *turn;
	NetReachSignal *signal;
	StunTest tests[NET_NAME_MAX];
	gsize n_tests, open_tests;
	gboolean over;
};

struct NetServers {
	Netcheck *check;
	NetServersNamed named;
	NetServersFunc done;
	gpointer user_data;
	GPtrArray *targets;
	guint open;  /* of the targets */
	guint limit; /* timer */
};

static void
target_free(gpointer data)
{
	Target *target = data;

	net_name_free(target->name);
	net_reach_turn_free(target->turn);
	net_reach_signal_free(target->signal);
	nat_turn_uri_free(target->uri);
	g_free(target->host);
	g_free(target->url);
	g_free(target);
}

static void start_stun(Target *target, const WgEndpoint *addrs, gsize n);

static char *
stun_name(const char *host, guint port)
{
	return g_strdup_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

/* A signaling server may answer STUN at another port than the usual one, or nowhere. FALSE: there
 * is nothing (more) to ask, or nowhere to: its name was looked up for this row in vain. */
static gboolean
ask_announced(Target *target)
{
	WgEndpoint addrs[NET_NAME_MAX];
	guint16 port;
	gsize n = target->n_tests;

	if (!target->announced_by || target->row->ok || n == 0 || !target->announced_by->signal ||
	    !net_reach_signal_stun_port(target->announced_by->signal, &port) ||
	    port == target->port)
		return FALSE;
	target->port = port;
	g_free(target->row->problem);
	target->row->problem = port == 0 ? g_strdup("it answers no STUN") : NULL;
	for (gsize i = 0; i < n; i++) {
		addrs[i] = target->tests[i].to;
		wg_endpoint_set_port(&addrs[i], port);
	}
	target->n_tests = 0;
	if (port == 0)
		return FALSE;
	g_free(target->row->name);
	target->row->name = stun_name(target->host, port);
	start_stun(target, addrs, n);
	return TRUE;
}

static void
target_over(Target *target)
{
	NetServers *servers = target->servers;

	if (target->over)
		return;
	/* STUN waits for what signaling says of it, unless it works as it is */
	if (target->announced_by && !target->row->ok && !target->announced_by->over)
		return;
	if (ask_announced(target))
		return;
	target->over = TRUE;
	for (guint i = 0; i < servers->targets->len; i++) {
		Target *other = g_ptr_array_index(servers->targets, i);

		if (other->announced_by == target && other->open_tests == 0 && !other->name)
			target_over(other);
	}
	if (--servers->open == 0)
		servers->done(servers->user_data);
}

static void
on_reached(gpointer user_data)
{
	target_over(user_data);
}

static void
run_stun(gpointer data)
{
	StunTest *test = data;

	test->error = net_stun_check(&test->to, STUN_WITHIN_MS, &test->ms);
}

static void
on_stun(gpointer data)
{
	const StunTest *test = data;
	Target *target = test->target;
	NetServer *row = target->row;

	target->open_tests--;
	if (row && test->error == 0 && !row->ok) {
		row->ok = TRUE;
		row->ms = test->ms;
		row->address = test->to;
		g_clear_pointer(&row->problem, g_free);
	} else if (row && !row->ok && !row->problem) {
		row->problem = g_strdup(net_stun_problem(test->error));
	}
	if (target->open_tests == 0)
		target_over(target);
}

static void
start_stun(Target *target, const WgEndpoint *addrs, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		target->tests[i] = (StunTest){.target = target, .to = addrs[i], .ms = -1};
		target->n_tests++;
		target->open_tests++;
	}
	for (gsize i = 0; i < n; i++)
		net_thread_run("netcheck-stun", run_stun, on_stun, &target->tests[i]);
}

static void
on_name(const WgEndpoint *addrs, gsize n, const char *problem, gpointer user_data)
{
	Target *target = user_data;

	g_clear_pointer(&target->name, net_name_free);
	if (n == 0) {
		if (target->row)
			target->row->problem = g_strdup(problem);
		target_over(target);
		return;
	}
	if (target->row)
		target->row->address = addrs[0];
	if (target->url)
		target->signal = net_reach_signal(target->row, target->url, target->host,
						  target->port, addrs, n, on_reached, target);
	else if (target->uri)
		target->turn =
			net_reach_turn(target->row, target->uri, addrs, n, on_reached, target);
	else
		start_stun(target, addrs, n);
}

/* Nobody calls back any more. */
static void
give_up(Target *target)
{
	NetServer *row = target->row;

	g_clear_pointer(&target->name, net_name_free);
	g_clear_pointer(&target->turn, net_reach_turn_free);
	g_clear_pointer(&target->signal, net_reach_signal_free);
	if (row && !row->ok && !row->problem)
		row->problem = g_strdup("timed out");
	target->over = TRUE;
	target->servers->open--;
}

/* A question by STUN is waited for all the same: its thread writes to the target, and ends. */
static gboolean
on_limit(gpointer user_data)
{
	NetServers *servers = user_data;

	servers->limit = 0;
	for (guint i = 0; i < servers->targets->len; i++) {
		Target *target = g_ptr_array_index(servers->targets, i);

		if (!target->over && target->open_tests == 0)
			give_up(target);
	}
	if (servers->open == 0)
		servers->done(servers->user_data);
	return G_SOURCE_REMOVE;
}

static Target *
add_target(NetServers *servers, NetServer *row, const char *host, guint16 port)
{
	Target *target = g_new0(Target, 1);

	target->servers = servers;
	target->row = row;
	target->host = g_strdup(host);
	target->port = port;
	g_ptr_array_add(servers->targets, target);
	return target;
}

static void
add_stun(NetServers *servers)
{
	const char *const *stun = servers->named.stun;

	for (guint i = 0; stun && stun[i]; i++) {
		g_autofree char *host = NULL;
		guint16 port = STUN_PORT;

		if (nat_config_split_stun(stun[i], &host, &port, NULL))
			add_target(servers,
				   netcheck_add_server(servers->check, "stun", "udp", stun[i]),
				   host, port);
	}
}

static void
add_turn_transport(NetServers *servers, const NatTurnUri *uri, NatTurnTransport transport)
{
	static const char *const NAMES[] = {
		[NAT_TURN_UDP] = "udp", [NAT_TURN_TCP] = "tcp", [NAT_TURN_TLS] = "tls"};
	NatTurnUri *copy = nat_turn_uri_copy(uri);
	g_autofree char *name = NULL;
	Target *target;

	copy->transport = transport;
	copy->tcp_too = FALSE;
	name = nat_turn_uri_format(copy);
	target = add_target(servers,
			    netcheck_add_server(servers->check, "turn", NAMES[transport], name),
			    uri->host, uri->port);
	target->uri = copy;
	/* most relays answer STUN, too: one server more for what the NAT does */
	if (transport == NAT_TURN_UDP)
		add_target(servers, NULL, uri->host, uri->port);
}

static void
add_turn(NetServers *servers)
{
	const char *const *turn = servers->named.turn;

	for (guint i = 0; turn && turn[i]; i++) {
		g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(turn[i], NULL);

		if (!uri)
			continue;
		add_turn_transport(servers, uri, uri->transport);
		if (uri->tcp_too)
			add_turn_transport(servers, uri, NAT_TURN_TCP);
	}
}

static void
add_signal(NetServers *servers)
{
	const char *text = servers->named.signal_url;
	g_autoptr(NatSignalUrl) url = text ? nat_signal_url_parse(text, NULL) : NULL;
	g_autofree char *stun = NULL;
	Target *target, *beside;

	if (!url)
		return;
	target = add_target(servers,
			    netcheck_add_server(servers->check, "signaling",
						g_str_has_prefix(text, "wss:") ? "tls" : "tcp",
						text),
			    url->host, url->port);
	target->url = g_strdup(url->url);
	stun = stun_name(url->host, STUN_PORT);
	beside = add_target(servers, netcheck_add_server(servers->check, "stun", "udp", stun),
			    url->host, STUN_PORT);
	beside->announced_by = target;
}

static gboolean
on_nothing(gpointer user_data)
{
	NetServers *servers = user_data;

	servers->done(servers->user_data);
	return G_SOURCE_REMOVE;
}

NetServers *
net_servers_new(Netcheck *check, const NetServersNamed *named, NetServersFunc done,
		gpointer user_data)
{
	NetServers *servers = g_new0(NetServers, 1);

	servers->check = check;
	servers->named = *named;
	servers->done = done;
	servers->user_data = user_data;
	servers->targets = g_ptr_array_new_with_free_func(target_free);
	add_signal(servers);
	add_stun(servers);
	add_turn(servers);
	servers->open = servers->targets->len;
	if (servers->open == 0)
		g_idle_add(on_nothing, servers);
	else
		servers->limit = g_timeout_add(named->within_ms, on_limit, servers);
	for (guint i = 0; i < servers->targets->len; i++) {
		Target *target = g_ptr_array_index(servers->targets, i);

		target->name = net_name_lookup(target->host, target->port, FALSE, on_name, target);
	}
	return servers;
}

void
net_servers_free(NetServers *servers)
{
	if (!servers)
		return;
	g_clear_handle_id(&servers->limit, g_source_remove);
	g_ptr_array_unref(servers->targets);
	g_free(servers);
}

GArray *
net_servers_stun(const NetServers *servers)
{
	GArray *results = g_array_new(FALSE, FALSE, sizeof(NetStunResult));

	for (guint i = 0; i < servers->targets->len; i++) {
		const Target *target = g_ptr_array_index(servers->targets, i);

		for (gsize j = 0; j < target->n_tests; j++) {
			const StunTest *test = &target->tests[j];
			const NetStunResult result = {test->to, test->error, test->ms,
						      target->row != NULL};

			g_array_append_val(results, result);
		}
	}
	return results;
}
