/* SPDX-License-Identifier: MIT */
#include "agent/ice/nat-ice-home.h"
#include "agent/net/nat-netmon.h"
#include "tests/unit/net-util.h"

#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define DEBOUNCE 20

typedef struct {
	NatNetmon *mon;
	gboolean told;
	guint n;
	gboolean free_inside;
	gboolean lost,
		nm0; /* what was said since the last look: events lost; a word of this link */
} Fixture;

static void
on_change(const NatNetChange *change, gpointer user_data)
{
	Fixture *f = user_data;

	f->told = TRUE;
	f->n++;
	f->lost |= change->lost;
	for (guint i = 0; i < change->n_links; i++)
		f->nm0 |= change->links[i] == (int)if_nametoindex("nm0");
	if (f->free_inside)
		g_clear_pointer(&f->mon, nat_netmon_free);
}

/* The kernel tells of a carrier when it likes, on a busy machine a second later. */
static void
wait_running(const char *name)
{
	gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};

	g_strlcpy(ifr.ifr_name, name, sizeof ifr.ifr_name);
	while (ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_RUNNING)) {
		if (g_get_monotonic_time() > end)
			g_error("%s does not run", name);
		g_usleep(1000);
	}
	close(fd);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	net_run("ip link add nm0 type veth peer name nm1");
	/* no link-local addresses: their duplicate address detection ends whenever it likes */
	net_run("ip link set nm0 addrgenmode none");
	net_run("ip link set nm1 addrgenmode none");
	net_run("ip link set nm1 up");
	net_run("ip link set nm0 up");
	wait_running("nm0");
	wait_running("nm1");
	f->mon = nat_netmon_new(DEBOUNCE, on_change, f, &error);
	g_assert_no_error(error);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_netmon_free(f->mon);
}

/* Calls come until the kernel has nothing more to say for a while. */
static void
settle(Fixture *f)
{
	do
		f->told = FALSE;
	while (net_wait(&f->told, DEBOUNCE * 50));
}

static void
expect(Fixture *f, const char *command)
{
	f->told = FALSE;
	net_run("%s", command);
	if (!net_wait(&f->told, 30000))
		g_error("not told: %s", command);
	settle(f);
}

static void
expect_silence(Fixture *f, const char *command)
{
	f->told = FALSE;
	net_run("%s", command);
	if (net_wait(&f->told, DEBOUNCE * 10))
		g_error("told: %s", command);
}

static void
test_kinds(Fixture *f, gconstpointer data)
{
	static const char *const COMMANDS[] = {
		"ip addr add 192.0.2.1/24 dev nm0",
		"ip addr add 2001:db8::1/64 dev nm0 nodad",
		"ip addr add 192.0.2.7/32 dev nm0",
		"ip route add 203.0.113.0/24 via 192.0.2.2",
		"ip route replace 203.0.113.0/24 via 192.0.2.3",
		"ip route del 203.0.113.0/24",
		"ip -6 route add 2001:db8:9::/48 via 2001:db8::2",
		"ip rule add fwmark 7 table 7",
		"ip -6 rule add fwmark 7 table 7",
		"ip rule del fwmark 7 table 7",
		"ip -6 addr change 2001:db8::1/64 dev nm0 preferred_lft 0",
		"ip addr del 192.0.2.7/32 dev nm0",
		"ip link set nm0 down",
		"ip link set nm0 up",
		"ip link set nm1 down", /* only the carrier of nm0 goes */
		"ip link del nm0",
	};

	if (!f->mon)
		return;
	settle(f);
	for (gsize i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		expect(f, COMMANDS[i]);
}

/* What says the same again is no change. */
static void
test_repeated(Fixture *f, gconstpointer data)
{
	if (!f->mon)
		return;
	settle(f);
	expect(f, "ip addr add 2001:db8::1/64 dev nm0 nodad valid_lft 1000 preferred_lft 900");
	/* the first event of a link counts, if that of its carrier was not the first */
	net_run("ip link set nm0 mtu 1400");
	settle(f);
	expect_silence(f, "ip link set nm0 mtu 1401");
	expect_silence(f, "ip -6 addr change 2001:db8::1/64 dev nm0 valid_lft 2000 preferred_lft "
			  "1900");
	expect_silence(f, "ip link set nm0 alias some-text");
}

/* What an agent without a namespace of its own does here (nat-ice-home) is no change of the
 * network. */
static void
test_own(Fixture *f, gconstpointer data)
{
	g_autoptr(NatIceHome) home = NULL;
	g_autoptr(GError) error = NULL;
	WgEndpoint address;

	if (!f->mon)
		return;
	settle(f);
	home = nat_ice_home_new(&error);
	g_assert_no_error(error);
	settle(f); /* the kernel's own routes of a new link */
	f->told = FALSE;
	nat_ice_home_add(home, AF_INET, &address, &error);
	g_assert_no_error(error);
	nat_ice_home_remove(home, &address);
	nat_ice_home_add(home, AF_INET6, &address, &error);
	g_assert_no_error(error);
	nat_ice_link_wait(nat_ice_home_link(home), &address);
	nat_ice_home_renew(home);
	if (net_wait(&f->told, DEBOUNCE * 10))
		g_error("told of what is ours");
}

/* Many events in the debounce time are one call. */
static void
test_debounce(Fixture *f, gconstpointer data)
{
	if (!f->mon)
		return;
	settle(f);
	f->n = 0;
	f->told = FALSE;
	for (int i = 1; i < 20; i++)
		net_run("ip addr add 192.0.2.%d/32 dev nm0", i);
	g_assert_true(net_wait(&f->told, 30000));
	g_assert_cmpuint(f->n, ==, 1);
	f->told = FALSE;
	g_assert_false(net_wait(&f->told, DEBOUNCE * 10));
}

/* Which links, and only those; each is told once. */
static void
test_links(Fixture *f, gconstpointer data)
{
	if (!f->mon)
		return;
	settle(f);
	f->nm0 = FALSE;
	expect(f, "ip addr add 192.0.2.1/24 dev nm0");
	expect(f, "ip route add 203.0.113.0/24 via 192.0.2.2");
	expect(f, "ip link add nm2 type veth peer name nm3");
	g_assert_false(f->nm0);
	expect(f, "ip link set nm1 down");
	g_assert_true(f->nm0);
	f->nm0 = FALSE;
	expect(f, "ip addr add 192.0.2.9/24 dev nm0");
	g_assert_false(f->nm0);
	g_assert_false(f->lost);
}

/* More events than the socket holds: the loss is a change. */
static void
test_overrun(Fixture *f, gconstpointer data)
{
	g_autoptr(GString) batch = g_string_new(NULL);
	g_autofree char *path = NULL;
	int fd;

	if (!f->mon)
		return;
	settle(f);
	for (int i = 0; i < 4000; i++)
		g_string_append_printf(batch, "route add 10.%d.%d.0/24 dev nm0\n", i / 250,
				       i % 250);
	fd = g_file_open_tmp("an-netmon-XXXXXX", &path, NULL);
	g_assert_cmpint(write(fd, batch->str, batch->len), ==, (gssize)batch->len);
	close(fd);
	net_run("ip -batch %s", path);
	unlink(path);
	f->told = FALSE;
	g_assert_true(net_wait(&f->told, 30000));
	g_assert_true(f->lost);
	settle(f);
	f->lost = FALSE;
	expect(f, "ip addr add 192.0.2.1/24 dev nm0"); /* and it hears on */
	g_assert_false(f->lost);
}

static void
test_free_inside(Fixture *f, gconstpointer data)
{
	if (!f->mon)
		return;
	f->free_inside = TRUE;
	net_run("ip addr add 192.0.2.1/24 dev nm0");
	g_assert_true(net_wait(&f->told, 30000));
	g_assert_null(f->mon);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/netmon/kinds", Fixture, NULL, set_up, test_kinds, tear_down);
	g_test_add("/netmon/repeated", Fixture, NULL, set_up, test_repeated, tear_down);
	g_test_add("/netmon/own", Fixture, NULL, set_up, test_own, tear_down);
	g_test_add("/netmon/debounce", Fixture, NULL, set_up, test_debounce, tear_down);
	g_test_add("/netmon/links", Fixture, NULL, set_up, test_links, tear_down);
	g_test_add("/netmon/overrun", Fixture, NULL, set_up, test_overrun, tear_down);
	g_test_add("/netmon/free-inside", Fixture, NULL, set_up, test_free_inside, tear_down);
	return g_test_run();
}
