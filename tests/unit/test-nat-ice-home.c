/* SPDX-License-Identifier: MIT */
#include "agent/ice/nat-ice-home.h"
#include "agent/ice/nat-tun.h"
#include "tests/unit/ice-ways.h"
#include "tests/unit/net-util.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static guint n_warnings;
static char *warning; /* the last one */

static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
	for (gsize i = 0; (level & G_LOG_LEVEL_WARNING) && i < n; i++) {
		if (strcmp(fields[i].key, "MESSAGE") != 0)
			continue;
		g_free(warning);
		warning = g_strdup(fields[i].value);
		n_warnings++;
	}
	return G_LOG_WRITER_HANDLED;
}

static void
expect_warning(const char *words)
{
	g_assert_cmpuint(n_warnings, ==, 1);
	g_assert_nonnull(strstr(warning, words));
	g_assert_null(strchr(warning, '\n'));
}

static char *
output(const char *command)
{
	g_autoptr(GError) error = NULL;
	char *out = NULL;

	if (!g_spawn_command_line_sync(command, &out, NULL, NULL, &error))
		g_error("%s: %s", command, error->message);
	return out;
}

/* All that an agent could leave behind in a namespace. */
static char *
picture(void)
{
	g_autofree char *links = output("ip -br link");
	g_autofree char *addresses = output("ip -br addr");
	g_autofree char *rules = output("ip -d rule");
	g_autofree char *rules6 = output("ip -6 -d rule");
	g_autofree char *routes = output("ip route show table all");
	g_autofree char *routes6 = output("ip -6 route show table all");

	return g_strconcat(links, addresses, rules, rules6, routes, routes6, NULL);
}

static guint
occurrences(const char *text, const char *word)
{
	guint n = 0;

	while ((text = strstr(text, word)) != NULL) {
		text += strlen(word);
		n++;
	}
	return n;
}

static guint
count_rules(void)
{
	g_autofree char *rules = output("ip -d rule");
	g_autofree char *rules6 = output("ip -6 -d rule");

	return occurrences(rules, "proto 78") + occurrences(rules6, "proto 78");
}

static gboolean
fresh(void)
{
	if (!net_fresh())
		return FALSE;
	net_run("ip link set lo up");
	return TRUE;
}

static NatIceHome *
new_home(void)
{
	g_autoptr(GError) error = NULL;
	NatIceHome *home;

	nat_ice_home_sweep();
	home = nat_ice_home_new(&error);
	g_assert_no_error(error);
	return home;
}

/* With the addresses' local routes, which the kernel puts later. */
static void
renew(NatIceHome *home)
{
	const WgEndpoint v6 = net_ep("fd4e:419c:1da7::1");

	nat_ice_home_renew(home);
	nat_ice_link_wait(nat_ice_home_link(home), &v6);
}

static WgEndpoint
add(NatIceHome *home, int family)
{
	g_autoptr(GError) error = NULL;
	WgEndpoint address;

	nat_ice_home_add(home, family, &address, &error);
	g_assert_no_error(error);
	return address;
}

static void
expect_address(NatIceHome *home, int family, const char *text)
{
	WgEndpoint expected = net_ep(text), got = add(home, family);

	g_assert_true(wg_endpoint_same_address(&got, &expected));
}

static void
test_leaves_nothing(void)
{
	g_autofree char *before = NULL, *during = NULL, *after = NULL;
	NatIceHome *home;

	if (!fresh())
		return;
	before = picture();
	home = new_home();
	add(home, AF_INET);
	add(home, AF_INET6);
	add(home, AF_INET);
	g_assert_cmpuint(count_rules(), ==, 3);
	during = picture();
	g_assert_cmpstr(during, !=, before);
	nat_ice_home_free(home);
	after = picture();
	g_assert_cmpstr(after, ==, before);
}

static void
test_removed(void)
{
	g_autofree char *before = NULL, *after = NULL;
	NatIceHome *home;
	WgEndpoint v4, v6;

	if (!fresh())
		return;
	home = new_home();
	v4 = add(home, AF_INET);
	v6 = add(home, AF_INET6);
	nat_ice_home_remove(home, &v4);
	nat_ice_home_remove(home, &v6);
	g_assert_cmpuint(count_rules(), ==, 0);
	/* one that was given back rests */
	expect_address(home, AF_INET, "240.78.0.2");
	nat_ice_home_free(home);
}

/* Somebody flushes the rules (systemd-networkd does when it starts), or more. */
static void
test_renewed(void)
{
	g_autofree char *before = NULL, *after = NULL, *again = NULL;
	NatIceHome *home;

	if (!fresh())
		return;
	home = new_home();
	add(home, AF_INET);
	add(home, AF_INET6);
	renew(home);
	before = picture();
	net_run("ip rule del pref 7");
	net_run("ip -6 rule del pref 7");
	net_run("ip link set nat-ice0 down");
	g_assert_cmpuint(count_rules(), ==, 0);
	renew(home);
	after = picture();
	g_assert_cmpstr(after, ==, before);
	renew(home);
	again = picture();
	g_assert_cmpstr(again, ==, before);
	nat_ice_home_free(home);
}

/* Told once, and no endless loop. */
static void
test_deleted(void)
{
	gboolean never = FALSE;
	NatIceNs *ns;
	NatTun *tun;

	if (!fresh())
		return;
	ns = ways_new(WAY_RULES);
	tun = nat_tun_new(ns);
	n_warnings = 0;
	net_run("ip link del nat-ice0");
	for (int i = 0; i < 300 && n_warnings == 0; i++)
		net_wait(&never, 100);
	net_wait(&never, 300);
	expect_warning("the TUN device has been removed");
	nat_tun_free(tun);
	nat_ice_ns_free(ns);
}

static void
test_taken(void)
{
	NatIceHome *home;

	if (!fresh())
		return;
	home = new_home();
	/* no such thing: a default route, whole or in halves, and what nobody can be at */
	net_run("ip route add default dev lo");
	net_run("ip route add 128.0.0.0/1 dev lo");
	net_run("ip -6 route add fd00::/8 dev lo");
	expect_address(home, AF_INET, "240.78.0.1");
	expect_address(home, AF_INET6, "fd4e:419c:1da7::1");
	net_run("ip addr add 240.78.0.2/32 dev lo");
	net_run("ip -6 addr add fd4e:419c:1da7::2/128 dev lo");
	expect_address(home, AF_INET, "240.78.0.3");
	expect_address(home, AF_INET6, "fd4e:419c:1da7::3");
	net_run("ip route add 240.0.0.0/4 dev lo");
	expect_address(home, AF_INET, "198.19.0.1");
	net_run("ip -6 route add fd4e:419c:1da7::/64 dev lo");
	expect_address(home, AF_INET6, "fd4e:419c:1da7:100::1");
	nat_ice_home_free(home);
}

static void
test_all_taken(void)
{
	g_autoptr(GError) error = NULL;
	WgEndpoint address;
	NatIceHome *home;

	if (!fresh())
		return;
	home = new_home();
	net_run("ip route add 240.0.0.0/4 dev lo");
	net_run("ip route add 198.18.0.0/15 dev lo");
	g_assert_false(nat_ice_home_add(home, AF_INET, &address, &error));
	g_assert_nonnull(strstr(error->message, "nat-ice0"));
	g_assert_cmpuint(count_rules(), ==, 0);
	nat_ice_home_free(home);
}

/* Each has a device, addresses and a table of its own, and the end of one is not felt by the other.
 */
static void
test_two_agents(void)
{
	g_autofree char *routes = NULL;
	NatIceHome *a, *b;

	if (!fresh())
		return;
	a = new_home();
	expect_address(a, AF_INET, "240.78.0.1");
	b = new_home();
	g_assert_cmpstr(nat_ice_link_name(nat_ice_home_link(b)), ==, "nat-ice1");
	expect_address(b, AF_INET, "240.78.1.1");
	g_assert_cmpuint(count_rules(), ==, 2);
	nat_ice_home_free(a);
	g_assert_cmpuint(count_rules(), ==, 1);
	routes = output("ip route show table 1312904193");
	g_assert_nonnull(strstr(routes, "default dev nat-ice1"));
	nat_ice_home_free(b);
	g_assert_cmpuint(count_rules(), ==, 0);
}

static void
live_until_killed(void)
{
	NatIceHome *home = new_home();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	add(home, AF_INET);
	add(home, AF_INET6);
	for (;;)
		pause();
}

static pid_t
fork_agent(guint rules)
{
	gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	pid_t pid = fork();

	if (pid == 0)
		live_until_killed();
	while (count_rules() < rules)
		g_assert_cmpint(g_get_monotonic_time(), <, end);
	return pid;
}

/* What a killed one leaves goes at the next start; what another's device stands for, and what users
 * have made, does not. */
static void
test_killed(void)
{
	g_autofree char *before = NULL, *after = NULL;
	NatIceHome *home;
	pid_t killed, alive;

	if (!fresh())
		return;
	net_run("ip rule add from 240.78.0.1 lookup 1312904192 pref 7 protocol static");
	net_run("ip rule add from 192.0.2.1 lookup 99 pref 7 protocol 78");
	before = picture();
	killed = fork_agent(1 + 2);
	alive = fork_agent(1 + 4);
	kill(killed, SIGKILL);
	waitpid(killed, NULL, 0);
	g_assert_cmpuint(count_rules(), ==, 1 + 4);
	home = new_home(); /* has the number of the killed one */
	g_assert_cmpstr(nat_ice_link_name(nat_ice_home_link(home)), ==, "nat-ice0");
	g_assert_cmpuint(count_rules(), ==, 1 + 2);
	kill(alive, SIGKILL);
	waitpid(alive, NULL, 0);
	nat_ice_home_free(home);
	g_assert_cmpuint(count_rules(), ==, 1 + 2);
	/* by one, too, that has no need of rules itself */
	nat_ice_ns_free(ways_new(WAY_NAMESPACE));
	after = picture();
	g_assert_cmpstr(after, ==, before);
}

/* A port that some program here has is no search's. */
static void
test_port(void)
{
	NatIceNs *ns;
	NatTun *tun;
	NatTunPort *port;
	g_autofree char *busy = NULL, *busy6 = NULL;
	guint16 q;
	int v4, v6;

	if (!fresh())
		return;
	ns = ways_new(WAY_RULES);
	tun = nat_tun_new(ns);
	port = nat_tun_port_new(tun, NULL, NULL);
	q = nat_tun_port_number(port);
	nat_tun_port_free(port);
	busy = g_strdup_printf("0.0.0.0:%d", q + 1);
	busy6 = g_strdup_printf("[::1]:%d", q + 2);
	v4 = net_udp(busy);
	v6 = net_udp(busy6);
	port = nat_tun_port_new(tun, NULL, NULL);
	g_assert_cmpuint(nat_tun_port_number(port), ==, q + 3);
	nat_tun_port_free(port);
	close(v4);
	close(v6);
	nat_tun_free(tun);
	nat_ice_ns_free(ns);
}

static void
warned(const char *ruleset)
{
	NatIceHome *home;

	if (!fresh())
		return;
	net_run("nft %s", ruleset);
	home = new_home();
	n_warnings = 0;
	add(home, AF_INET);
	expect_warning("firewall drops what leaves by nat-ice0: let it accept oifname");
	add(home, AF_INET);
	g_assert_cmpuint(n_warnings, ==, 1);
	nat_ice_home_free(home);
}

static void
test_firewall(void)
{
	warned("add table ip f; add chain ip f o '{ type filter hook output priority 0; "
	       "policy drop; }'");
}

static void
test_masquerade(void)
{
	warned("add table ip n; add chain ip n p '{ type nat hook postrouting priority 100; }'; "
	       "add rule ip n p masquerade");
}

/* IPv4 does not suffer from an IPv6 that new interfaces are not to have. */
static void
test_no_ipv6(void)
{
	const WgEndpoint addrs[] = {net_ep("2001:db8::1"), net_ep("192.0.2.1")};
	g_autoptr(GError) error = NULL;
	WgEndpoint inside;
	NatIceNs *ns;

	if (!fresh())
		return;
	net_run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
	ns = ways_new(WAY_RULES);
	n_warnings = 0;
	nat_ice_ns_set_addresses(ns, addrs, G_N_ELEMENTS(addrs), &error);
	expect_warning("IPv6 is off for new interfaces");
	g_assert_no_error(error);
	g_assert_false(nat_ice_ns_to_inside(ns, &addrs[0], &inside));
	g_assert_true(nat_ice_ns_to_inside(ns, &addrs[1], &inside));
	nat_ice_ns_free(ns);
}

int
main(int argc, char **argv)
{
	int failed;

	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(on_log, NULL, NULL);
	g_test_add_func("/ice-home/leaves-nothing", test_leaves_nothing);
	g_test_add_func("/ice-home/removed", test_removed);
	g_test_add_func("/ice-home/renewed", test_renewed);
	g_test_add_func("/ice-home/deleted", test_deleted);
	g_test_add_func("/ice-home/taken", test_taken);
	g_test_add_func("/ice-home/all-taken", test_all_taken);
	g_test_add_func("/ice-home/two-agents", test_two_agents);
	g_test_add_func("/ice-home/killed", test_killed);
	g_test_add_func("/ice-home/port", test_port);
	g_test_add_func("/ice-home/firewall", test_firewall);
	g_test_add_func("/ice-home/masquerade", test_masquerade);
	g_test_add_func("/ice-home/no-ipv6", test_no_ipv6);
	failed = g_test_run();
	g_free(warning);
	return failed;
}
