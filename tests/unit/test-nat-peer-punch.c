/* SPDX-License-Identifier: MIT */
/*
 * What a peer may ask of us when it speaks of many ports, and what not: to send to whom it names,
 * the same twice, what contradicts what both know.
 */
#include "agent/peer/nat-peer-private.h"
#include "agent/peer/nat-peer-punch.h"
#include "agent/punch/punch-msg.h"
#include "tests/unit/two-peers.h"

#define AGENTS(name, func) g_test_add("/peer-punch/" name, Agents, NULL, set_up, func, tear_down)

static const NatClass EASY = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT,
			      .filtering = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
			      .ports = NAT_PORTS_PRESERVED};
static const NatClass HARD = {.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT,
			      .filtering = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
			      .ports = NAT_PORTS_RANDOM};
static const NatClass *a_is, *b_is;

static void
a_class(NatClass *out, gpointer user_data)
{
	*out = *a_is;
}

static void
b_class(NatClass *out, gpointer user_data)
{
	*out = *b_is;
}

static NatMapping
a_mapping(gpointer user_data)
{
	return a_is->mapping;
}

static NatMapping
b_mapping(gpointer user_data)
{
	return b_is->mapping;
}

static guint32
no_mark(gpointer user_data)
{
	return 0;
}

static void
equip(Agent *agent, const char *ifname)
{
	agent->env.punch_turn = punch_turn_new();
	agent->env.punch_flows = punch_flows_new(ifname, NULL, &agent->public_key, 0);
	agent->env.fwmark = no_mark;
}

static void
set_up(Agents *f, gconstpointer data)
{
	agents_up(f);
	if (!f->up)
		return;
	a_is = &HARD;
	b_is = &EASY;
	f->a.env.nat_class = a_class;
	f->b.env.nat_class = b_class;
	f->a.env.mapping = a_mapping;
	f->b.env.mapping = b_mapping;
	f->a.env.watch_id = 11;
	f->b.env.watch_id = 22;
	equip(&f->a, "wga");
	equip(&f->b, "wgb");
}

static void
tear_down(Agents *f, gconstpointer data)
{
	PunchTurn *turns[] = {f->a.env.punch_turn, f->b.env.punch_turn};
	PunchFlows *flows[] = {f->a.env.punch_flows, f->b.env.punch_flows};

	agents_down(f);
	for (int i = 0; i < 2; i++) {
		punch_turn_free(turns[i]);
		punch_flows_free(flows[i]);
	}
}

static gboolean
both_know(gconstpointer data)
{
	const Agents *f = data;
	const NatPeer *peers[] = {f->a.peer, f->b.peer};

	for (int i = 0; i < 2; i++)
		if (peers[i]->watch == NULL || !peers[i]->has_remote ||
		    (peers[i]->remote.flags & NAT_MSG_PUNCH) == 0)
			return FALSE;
	return TRUE;
}

/* The two know of each other, and no packet passes. */
static void
meet_in_vain(Agents *f)
{
	agents_cut(f, TRUE);
	agents_meet(f);
	g_assert_true(hosts_wait(both_know, f, 60000));
}

static PunchMsg
an_ask(guint32 number, PunchRole role)
{
	PunchMsg msg = {.step = PUNCH_ASK,
			.number = number,
			.from = 11,
			.to = 22,
			.role = role,
			.ports = {.lowest = 1024, .highest = 65535}};

	msg.address = net_ep("198.51.100.99:0");
	return msg;
}

/* What the peer's agent would send, by the same seal. */
static void
says(Agent *from, const PunchMsg *msg)
{
	g_autoptr(GBytes) plain = punch_msg_encode(msg);
	g_autoptr(GBytes) body = nat_seal_wrap(from->peer->seal, plain);

	agent_hear(from->other, body);
}

typedef struct {
	Agent *from;
	PunchStep step;
} Count;

/* How many such messages an agent has sent. */
static guint
count_said(const Count *count)
{
	guint n = 0;

	for (guint i = 0; i < count->from->recording->len; i++) {
		GBytes *body = g_ptr_array_index(count->from->recording, i);
		gsize len;
		const guint8 *data = g_bytes_get_data(body, &len);
		g_autoptr(GBytes) plain =
			nat_seal_unwrap(count->from->other->peer->seal, data, len, NULL);
		PunchMsg msg;

		if (plain == NULL)
			continue;
		data = g_bytes_get_data(plain, &len);
		n += punch_msg_is(data, len) && punch_msg_decode(data, len, &msg) &&
		     msg.step == count->step;
	}
	return n;
}

/* A victim's address is no more than a word of the peer's: it is not sent to, and not the second
 * time either. */
static void
test_unproven(Agents *f, gconstpointer data)
{
	PunchMsg ask = an_ask(1, PUNCH_OPEN);
	Count refused = {&f->b, PUNCH_REFUSE}, agreed = {&f->b, PUNCH_AGREE};
	guint64 out;

	if (!f->up)
		return;
	meet_in_vain(f);
	host_enter(&f->hosts.b);
	net_run("ip route add default via 10.9.0.1"); /* it could be reached */
	host_enter(&f->hosts.a);
	out = nat_mux_counter(f->hosts.b.mux, NAT_MUX_DROP_RATE);
	says(&f->a, &ask);
	g_assert_cmpuint(count_said(&refused), ==, 1);
	ask.number = 2;
	says(&f->a, &ask);
	g_assert_cmpuint(count_said(&refused), ==, 2);
	g_assert_cmpuint(count_said(&agreed), ==, 0);
	hosts_run(300);
	g_assert_cmpuint(nat_mux_counter(f->hosts.b.mux, NAT_MUX_DROP_RATE), ==, out);
	g_assert_cmpint(nat_peer_many_ports(f->b.peer), ==, NAT_MANY_PORTS_UNTRIED);
}

/* How many UDP packets host b has sent there. */
static guint
count_sent_there(const char *ip)
{
	g_autofree char *command = g_strdup_printf("sh -c \"nft list chain inet there out | sed -n "
						   "'s/.* %s .*packets \\([0-9]*\\) .*/\\1/p'\"",
						   ip);
	g_autofree char *out = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(strlen(out), >, 0);
	return (guint)g_ascii_strtoull(out, NULL, 10);
}

/* The server's word is as good as a packet; and where the peer's NAT has several addresses, that it
 * names another one does not matter. */
static void
test_seen_by_server(Agents *f, gconstpointer data)
{
	PunchMsg ask = an_ask(1, PUNCH_OPEN);
	Count agreed = {&f->b, PUNCH_AGREE};
	WgEndpoint seen = net_ep("198.51.100.98:0");

	if (!f->up)
		return;
	meet_in_vain(f);
	host_enter(&f->hosts.b);
	net_run("ip route add default via 10.9.0.1");
	net_run("nft add table inet there");
	net_run("nft add chain inet there out { type filter hook output priority -1; }");
	net_run("nft add rule inet there out ip daddr 198.51.100.98 counter drop");
	net_run("nft add rule inet there out ip daddr 198.51.100.99 counter drop");
	host_enter(&f->hosts.a);
	nat_peer_seen_at(f->b.peer, &seen);
	nat_peer_presence(f->b.peer, FALSE); /* it may be anywhere now */
	nat_peer_presence(f->b.peer, TRUE);
	says(&f->a, &ask);
	g_assert_cmpuint(count_said(&agreed), ==, 0);
	nat_peer_seen_at(f->b.peer, &seen);
	ask.number = 2;
	says(&f->a, &ask);
	g_assert_cmpuint(count_said(&agreed), ==, 1);
	g_assert_cmpint(nat_peer_many_ports(f->b.peer), ==, NAT_MANY_PORTS_TRYING);
	hosts_run(500);
	host_enter(&f->hosts.b);
	g_assert_cmpuint(count_sent_there("198.51.100.98"), >, 0);
	g_assert_cmpuint(count_sent_there("198.51.100.99"), ==, 0);
	host_enter(&f->hosts.a);
}

/* Copies, strangers' watch ids, words of the wrong end, garbage: nothing comes of them. */
static void
test_replayed(Agents *f, gconstpointer data)
{
	static const guint8 garbage[] = {PUNCH_MSG_KIND, 1, 1, 0, 0, 0, 9};
	PunchMsg ask = an_ask(5, PUNCH_OPEN);
	Count refused = {&f->b, PUNCH_REFUSE};
	g_autoptr(GBytes) plain = g_bytes_new_static(garbage, sizeof garbage), body = NULL;

	if (!f->up)
		return;
	meet_in_vain(f);
	says(&f->a, &ask);
	g_assert_cmpuint(count_said(&refused), ==, 1);
	says(&f->a, &ask);
	ask.number = 4;
	says(&f->a, &ask);
	g_assert_cmpuint(agent_dropped(&f->b, "message_replayed"), ==, 2);
	ask = an_ask(6, PUNCH_OPEN);
	ask.from = 12;
	says(&f->a, &ask);
	ask.from = 11;
	ask.to = 23;
	says(&f->a, &ask);
	g_assert_cmpuint(agent_dropped(&f->b, "message_punch"), ==, 2);
	ask = an_ask(1, PUNCH_SPRAY);
	ask.from = 22;
	ask.to = 11;
	says(&f->b, &ask); /* it is the controlling end that asks */
	g_assert_cmpuint(agent_dropped(&f->a, "message_punch"), ==, 1);
	body = nat_seal_wrap(f->a.peer->seal, plain);
	agent_hear(&f->b, body);
	g_assert_cmpuint(agent_dropped(&f->b, "message_malformed"), ==, 1);
	g_assert_cmpuint(count_said(&refused), ==, 1);
	/* an answer to nothing */
	ask.step = PUNCH_AGREE;
	ask.role = PUNCH_OPEN;
	says(&f->b, &ask);
	ask.step = PUNCH_END;
	says(&f->b, &ask);
	g_assert_cmpint(nat_peer_many_ports(f->a.peer), ==, NAT_MANY_PORTS_UNTRIED);
}

/* A role that does not follow from what both know of their NATs; one that asks nothing. */
static void
test_contradicts(Agents *f, gconstpointer data)
{
	PunchMsg ask = an_ask(1, PUNCH_SPRAY);
	Count refused = {&f->b, PUNCH_REFUSE};

	if (!f->up)
		return;
	meet_in_vain(f);
	says(&f->a, &ask); /* b would have to open many ports, and its NAT is no hard one */
	g_assert_cmpuint(count_said(&refused), ==, 1);
	ask = an_ask(2, PUNCH_AIM);
	wg_endpoint_set_port(&ask.address, 7000);
	says(&f->a, &ask);
	g_assert_cmpuint(count_said(&refused), ==, 2);
}

/* Who knows no address of the peer that is proven does not even ask. */
static void
test_asks_nobody(Agents *f, gconstpointer data)
{
	Count asked = {&f->a, PUNCH_ASK};

	if (!f->up)
		return;
	meet_in_vain(f);
	g_assert_true(hosts_wait(a_failed, f, 60000));
	for (int i = 0; i < 5; i++)
		nat_peer_punch_tick(f->a.peer, g_get_monotonic_time());
	g_assert_cmpuint(count_said(&asked), ==, 0);
	g_assert_cmpint(nat_peer_many_ports(f->a.peer), ==, NAT_MANY_PORTS_UNTRIED);
	/* the turn is free for others */
	g_assert_true(punch_turn_take(f->a.env.punch_turn, f, 0, g_get_monotonic_time()));
}

int
main(int argc, char **argv)
{
	g_log_set_writer_func(agents_log, NULL, NULL);
	g_test_init(&argc, &argv, NULL);
	AGENTS("unproven", test_unproven);
	AGENTS("seen-by-server", test_seen_by_server);
	AGENTS("replayed", test_replayed);
	AGENTS("contradicts", test_contradicts);
	AGENTS("asks-nobody", test_asks_nobody);
	return g_test_run();
}
