/* SPDX-License-Identifier: MIT */
/* The kernel's rewrite of a flow, by real packets; what outlives the agent, and what does not. */
#include <gio/gio.h>
#include <string.h>

#include "agent/punch/punch-flows.h"
#include "agent/punch/punch-teardown.h"
#include "tests/unit/net-util.h"

typedef struct {
	char *dir;
	WgKey own, peer, other;
	int wireguard, far; /* sockets */
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	f->wireguard = f->far = -1;
	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	net_run("ip addr add 10.9.0.1/32 dev lo");
	net_run("ip addr add 10.9.0.2/32 dev lo");
	f->dir = g_dir_make_tmp("nat-agent-XXXXXX", NULL);
	f->own.b[0] = 1;
	f->peer.b[0] = 2;
	f->other.b[0] = 3;
	f->wireguard = net_udp("10.9.0.1:51820");
	f->far = net_udp("10.9.0.2:7000");
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (f->dir == NULL)
		return;
	close(f->wireguard);
	close(f->far);
	net_run("rm -r %s", f->dir);
	g_free(f->dir);
}

static PunchFlow
a_flow(guint16 port)
{
	return (PunchFlow){
		.local = net_ep("10.9.0.1:51820"), .remote = net_ep("10.9.0.2:7000"), .port = port};
}

static int
bound(guint16 port)
{
	g_autofree char *text = g_strdup_printf("10.9.0.1:%u", port);

	return net_udp(text);
}

/* What WireGuard sends arrives from `port`, and what is sent there arrives at WireGuard's. */
static void
passes_by(Fixture *f, guint16 port)
{
	WgEndpoint far = net_ep("10.9.0.2:7000"), from = {0};
	char buf[16];
	gssize n = 0;

	for (int i = 0; i < 20 && n <= 0; i++) {
		g_assert_cmpint(
			sendto(f->wireguard, "hello", 5, 0, &far.sa, wg_endpoint_socklen(&far)), ==,
			5);
		n = net_recv(f->far, buf, sizeof buf, 500, &from);
	}
	g_assert_cmpint(n, ==, 5);
	g_assert_cmpuint(wg_endpoint_port(&from), ==, port);
	n = 0;
	for (int i = 0; i < 20 && n <= 0; i++) {
		g_assert_cmpint(
			sendto(f->far, "answer", 6, 0, &from.sa, wg_endpoint_socklen(&from)), ==,
			6);
		n = net_recv(f->wireguard, buf, sizeof buf, 500, &far);
	}
	g_assert_cmpint(n, ==, 6);
	g_assert_cmpuint(wg_endpoint_port(&far), ==, 7000);
	while (net_recv(f->far, buf, sizeof buf, 0, NULL) > 0 ||
	       net_recv(f->wireguard, buf, sizeof buf, 0, NULL) > 0)
		;
}

static gboolean
table_is_there(const char *ifname)
{
	g_autofree char *command = g_strdup_printf("nft list table inet nat_agent_%s", ifname);

	return net_try(command);
}

static PunchFlowUse
void_of(const WgKey *peer, const PunchFlow *flow, gpointer user_data)
{
	return PUNCH_FLOW_VOID;
}

static void
test_rewrite(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	PunchFlow flow = a_flow(40123);
	PunchFlows *flows;

	if (f->dir == NULL)
		return;
	flows = punch_flows_new("wg0", f->dir, &f->own, 0);
	passes_by(f, 51820);
	g_assert_false(table_is_there("wg0")); /* nothing is done before it is needed */
	g_assert_true(punch_flows_put(flows, &f->peer, &flow, bound(40123), &error));
	g_assert_no_error(error);
	passes_by(f, 40123);
	/* another port for the same peer */
	flow.port = 40124;
	g_assert_true(punch_flows_put(flows, &f->peer, &flow, bound(40124), &error));
	passes_by(f, 40124);
	g_assert_cmpuint(punch_flows_count(flows), ==, 1);
	g_assert_cmpuint(punch_flows_get(flows, &f->peer)->port, ==, 40124);
	g_assert_null(punch_flows_get(flows, &f->other));
	/* a rule of the user's is not ours to touch */
	net_run("nft add table inet users");
	punch_flows_sweep(flows, void_of, 0, NULL);
	punch_flows_sweep(flows, void_of, 0, NULL);
	passes_by(f, 51820);
	g_assert_false(table_is_there("wg0"));
	g_assert_true(net_try("nft list table inet users"));
	punch_flows_free(flows);
}

static PunchFlowUse
use_of(const WgKey *peer, const PunchFlow *flow, gpointer user_data)
{
	return wg_key_equal(peer, user_data) ? PUNCH_FLOW_USED : PUNCH_FLOW_UNUSED;
}

/* The agent goes and comes: the flow is in force all the time, and its port is held again. */
static void
test_adopted(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	PunchFlow flow = a_flow(40123), second = a_flow(40200);
	WgEndpoint held = net_ep("10.9.0.1:40123");
	g_auto(GStrv) names = NULL;
	guint left = 0;
	gint64 now = g_get_monotonic_time();
	PunchFlows *flows;
	int fd;

	if (f->dir == NULL)
		return;
	second.remote = net_ep("10.9.0.2:7001");
	flows = punch_flows_new("wg0", f->dir, &f->own, 0);
	g_assert_true(punch_flows_put(flows, &f->peer, &flow, bound(40123), &error));
	g_assert_true(punch_flows_put(flows, &f->other, &second, bound(40200), &error));
	punch_flows_free(flows);
	passes_by(f, 40123);
	net_run("nft flush ruleset"); /* of an administrator; a reboot of the firewall */
	passes_by(f, 51820);
	flows = punch_flows_new("wg0", f->dir, &f->own, 0);
	g_assert_cmpuint(punch_flows_count(flows), ==, 2);
	passes_by(f, 40123);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fd, &held.sa, wg_endpoint_socklen(&held)), ==, -1);
	close(fd);
	/* the firewall's rules are loaded anew under a running agent */
	net_run("nft flush ruleset");
	passes_by(f, 51820);
	punch_flows_renew(flows, now);
	passes_by(f, 40123);
	/* what is not used for a moment stays */
	punch_flows_sweep(flows, use_of, now, &f->peer);
	punch_flows_sweep(flows, use_of, now + PUNCH_FLOW_GRACE_US - 1, &f->peer);
	g_assert_cmpuint(punch_flows_count(flows), ==, 2);
	punch_flows_sweep(flows, use_of, now + PUNCH_FLOW_GRACE_US, &f->peer);
	g_assert_cmpuint(punch_flows_count(flows), ==, 1);
	passes_by(f, 40123);
	punch_flows_free(flows);
	names = punch_teardown_interfaces(f->dir);
	g_assert_cmpuint(g_strv_length(names), ==, 1);
	g_assert_cmpstr(names[0], ==, "wg0");
	g_assert_cmpuint(punch_teardown(f->dir, "wg1", &left), ==, 0);
	passes_by(f, 40123);
	g_assert_cmpuint(punch_teardown(f->dir, "wg0", &left), ==, 1);
	g_assert_cmpuint(left, ==, 0);
	passes_by(f, 51820);
	g_assert_cmpuint(punch_teardown(f->dir, "wg0", &left), ==, 0);
	flows = punch_flows_new("wg0", f->dir, &f->own, 0);
	g_assert_true(punch_flows_put(flows, &f->peer, &flow, bound(40123), &error));
	punch_flows_sweep(flows, void_of, now, NULL);
	g_assert_cmpuint(punch_flows_count(flows), ==, 0);
	passes_by(f, 51820);
	punch_flows_free(flows);
}

/* The interface has another name at the next start; so had one that is there still. */
static void
test_renamed(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	PunchFlow flow = a_flow(40123);
	PunchFlows *flows;

	if (f->dir == NULL)
		return;
	flows = punch_flows_new("wg0", f->dir, &f->own, 0);
	g_assert_true(punch_flows_put(flows, &f->peer, &flow, bound(40123), &error));
	punch_flows_free(flows);
	flows = punch_flows_new("home", f->dir, &f->own, 0);
	g_assert_false(table_is_there("wg0"));
	g_assert_true(table_is_there("home"));
	passes_by(f, 40123);
	punch_flows_sweep(flows, void_of, g_get_monotonic_time(), NULL);
	g_assert_true(punch_flows_put(flows, &f->peer, &flow, bound(40123), &error));
	punch_flows_free(flows);
	net_run("ip link add home type veth peer name other");
	flows = punch_flows_new("wg0", f->dir, &f->own, 0);
	g_assert_true(table_is_there("home"));
	g_assert_true(table_is_there("wg0"));
	punch_flows_free(flows);
}

static void
test_text(void)
{
	PunchFlow flows[] = {{.local = net_ep("192.168.1.2:51820"),
			      .remote = net_ep("198.51.100.1:7"),
			      .port = 9},
			     {.local = net_ep("[2001:db8::2]:51820"),
			      .remote = net_ep("[2001:db8::1]:7"),
			      .port = 9}};
	g_autofree char *text = punch_rewrite_text("a.b-c", flows, 2),
			*none = punch_rewrite_text("wg0", NULL, 0);

	g_assert_cmpstr(none, ==, "table inet nat_agent_wg0 {}\ndelete table inet nat_agent_wg0\n");
	g_assert_nonnull(strstr(text, "table inet nat_agent_a_2eb_2dc {"));
	g_assert_nonnull(strstr(text, "ip saddr 192.168.1.2 ip daddr 198.51.100.1 udp sport 51820 "
				      "udp dport 7 udp sport set 9\n"));
	g_assert_nonnull(strstr(text, "ip6 saddr 2001:db8::1 ip6 daddr 2001:db8::2 udp sport 7 udp "
				      "dport 9 udp dport set 51820\n"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/punch-rewrite/text", test_text);
	g_test_add("/punch-flows/rewrite", Fixture, NULL, set_up, test_rewrite, tear_down);
	g_test_add("/punch-flows/renamed", Fixture, NULL, set_up, test_renamed, tear_down);
	g_test_add("/punch-flows/adopted", Fixture, NULL, set_up, test_adopted, tear_down);
	return g_test_run();
}
