/* SPDX-License-Identifier: MIT */
/*
 * InnLink in network, mount and process namespaces of its own: the userspace WireGuard that it
 * starts outlives it, but not the namespace, whatever ends this program. Where the kernel has
 * WireGuard (tests/vm), the same on that.
 */
#include "agent/innernet/inn-link.h"
#include "agent/innernet/inn-reach.h"
#include "agent/innernet/inn-routes.h"
#include "tests/unit/fake-resolver.h"
#include "tests/unit/net-util.h"
#include "wgctl/wg-ctl.h"
#include "wgctl/wg-link.h"
#include "wgctl/wg-uapi.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define IF "evilcorp"
#define SOCKET WG_UAPI_DIRECTORY "/" IF ".sock"
#define PATIENCE_MS 30000

static const char *why_not; /* the reason why nothing can be tested here, or NULL */
static gboolean kernel;	    /* it has WireGuard */

static InnLinkParams
params_of(const char *address, guint8 prefix, guint16 port)
{
	InnLinkParams params = {
		.address = net_ep(address),
		.prefix = prefix,
		.mtu = INN_LINK_MTU,
		.private_key = {{0x40, 1, 2, 3}},
		.listen_port = port,
	};

	params.private_key.b[31] = 0x40;
	return params;
}

static gboolean
up(const InnLinkParams *params)
{
	g_autoptr(GError) error = NULL;
	gboolean made = FALSE;

	inn_link_up(IF, params, &made, &error);
	g_assert_no_error(error);
	return made;
}

static void
down(void)
{
	g_autoptr(GError) error = NULL;

	inn_link_down(IF, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(if_nametoindex(IF), ==, 0);
	g_assert_cmpint(access(SOCKET, F_OK), !=, 0);
}

/* One line that names what it is about. */
static void
refused(const char *ifname, const InnLinkParams *params, const char *named)
{
	g_autoptr(GError) error = NULL;
	gboolean made = TRUE;

	g_assert_false(inn_link_up(ifname, params, &made, &error));
	g_assert_nonnull(error);
	g_assert_false(made);
	g_test_message("%s", error->message);
	if (!strstr(error->message, named) || strchr(error->message, '\n'))
		g_error("'%s' is not one line that names '%s'", error->message, named);
}

static char *
output_of(const char *command)
{
	char *out = NULL;
	int status = 0;

	g_assert_true(g_spawn_command_line_sync(command, &out, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	return out;
}

static void
check_shows(const char *command, const char *part)
{
	g_autofree char *out = output_of(command);

	if (!strstr(out, part))
		g_error("%s: no '%s' in:\n%s", command, part, out);
}

static WgDevice *
read_device(void)
{
	g_autoptr(WgCtl) ctl = wg_ctl_new(IF);
	g_autoptr(GError) error = NULL;
	WgDevice *dev = wg_ctl_read(ctl, &error);

	g_assert_no_error(error);
	return dev;
}

static void
check_device(const InnLinkParams *params, guint16 port)
{
	g_autoptr(WgDevice) dev = read_device();

	g_assert_true(wg_key_equal(&dev->private_key, &params->private_key));
	if (port)
		g_assert_cmpuint(dev->listen_port, ==, port);
	else
		g_assert_cmpuint(dev->listen_port, !=, 0);
	g_assert_cmpint(dev->backend, ==, kernel ? WG_BACKEND_KERNEL : WG_BACKEND_USERSPACE);
}

/* All that a person would look at. */
static void
check_up(const InnLinkParams *params, guint16 port)
{
	check_device(params, port);
	check_shows("ip -o link show dev " IF, "mtu 1280");
	check_shows("ip -o link show dev " IF, ",UP");
	check_shows("ip -o addr show dev " IF, "inet 10.66.1.1/16 ");
	check_shows("ip route show", "10.66.0.0/16 dev " IF);
}

static gboolean
is_skipped(void)
{
	if (why_not)
		g_test_skip(why_not);
	return why_not != NULL;
}

/* Not every kernel has dummies. */
static void
add_other_interfaces(void)
{
	net_run("ip link add d0 type veth peer name d1");
	net_run("ip link set d0 up");
	net_run("ip link set d1 up");
}

/* As if it had been killed right after the device was there. */
static void
make_bare(void)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

	net_run(kernel ? "ip link add " IF " type wireguard" : "wireguard-go " IF);
	while (!kernel && !wg_uapi_is_served(IF)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_usleep(5000);
	}
}

/* ---- up, again, and down ---- */

static void
test_up_and_down(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41001);
	unsigned index;

	if (is_skipped())
		return;
	down();
	g_assert_true(up(&params));
	check_up(&params, 41001);
	index = if_nametoindex(IF);
	g_assert_false(up(&params));
	check_up(&params, 41001);
	g_assert_cmpuint(if_nametoindex(IF), ==, index);
	down();
	down();
	g_assert_true(up(&params)); /* at once: the one before has ended */
	check_up(&params, 41001);
	down();
}

static void
test_any_port(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 0);

	if (is_skipped())
		return;
	up(&params);
	check_up(&params, 0);
	down();
}

static void
test_ipv6(void)
{
	InnLinkParams params = params_of("fd66:1::1:1", 48, 41002);

	if (is_skipped())
		return;
	add_other_interfaces();
	net_run("ip addr add fd77::1/64 dev d0 nodad");
	up(&params);
	check_device(&params, 41002);
	check_shows("ip -o addr show dev " IF, "inet6 fd66:1::1:1/48 ");
	check_shows("ip -6 route show", "fd66:1::/48 dev " IF);
	g_assert_false(up(&params));
	net_run("ip -6 route del fd66:1::/48 dev " IF);
	g_assert_false(up(&params));
	check_shows("ip -6 route show", "fd66:1::/48 dev " IF);
	down();
	net_run("ip link del d0");
}

static void
test_network_of_one(void)
{
	InnLinkParams params = params_of("10.66.1.1", 32, 41003);

	if (is_skipped())
		return;
	up(&params);
	g_assert_false(up(&params));
	check_shows("ip -o addr show dev " IF, "inet 10.66.1.1/32 ");
	down();
}

/* ---- what an interrupted call, or somebody else, left ---- */

static void
test_half_done(void)
{
	static const char *const UNDONE[] = {
		"ip addr flush dev " IF,
		"ip link set " IF " down",
		"ip link set " IF " mtu 1420",
		"ip route del 10.66.0.0/16",
	};
	InnLinkParams params = params_of("10.66.1.1", 16, 41004);

	if (is_skipped())
		return;
	make_bare();
	g_assert_false(up(&params));
	check_up(&params, 41004);
	for (gsize i = 0; i < G_N_ELEMENTS(UNDONE); i++) {
		net_run("%s", UNDONE[i]);
		g_assert_false(up(&params));
		check_up(&params, 41004);
	}
	down();
}

static void
test_kept(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41005);
	InnLinkParams other = params_of("10.66.1.1", 16, 41006);
	WgPeerChange change = {.public_key = {{1}}, .flags = WG_CHANGE_CREATE};
	g_autoptr(WgCtl) ctl = wg_ctl_new(IF);
	g_autoptr(WgDevice) dev = NULL;

	if (is_skipped())
		return;
	up(&params);
	g_assert_true(wg_ctl_apply(ctl, &change, 1, NULL));
	net_run("ip addr add 10.99.0.1/24 dev " IF);
	net_run("ip link set " IF " mtu 1200");
	up(&other);
	check_device(&params, 41005); /* its port is known to others */
	check_shows("ip -o link show dev " IF, "mtu 1200");
	check_shows("ip -o addr show dev " IF, "10.99.0.1");
	/* a key is the file's */
	other.private_key.b[5] = 5;
	up(&other);
	check_device(&other, 41005);
	dev = read_device();
	g_assert_nonnull(wg_device_find(dev, &change.public_key));
	down();
}

static void
test_port_taken(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41007);
	int fd;

	if (is_skipped())
		return;
	fd = net_udp("0.0.0.0:41007");
	refused(IF, &params, "41007");
	g_assert_cmpuint(if_nametoindex(IF), ==, 0);
	close(fd);
	up(&params);
	check_up(&params, 41007);
	down();
}

static void
test_other_kind(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41008);
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = IF};
	g_autoptr(GError) error = NULL;
	int fd;

	if (is_skipped())
		return;
	net_run("ip link add " IF " type veth peer name d0");
	refused(IF, &params, "veth");
	check_shows("ip -o link show dev " IF, "state DOWN");
	g_assert_false(inn_link_down(IF, &error));
	g_assert_nonnull(error);
	g_assert_cmpuint(if_nametoindex(IF), !=, 0);
	net_run("ip link del " IF);
	/* another program's TUN device */
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	g_assert_cmpint(ioctl(fd, TUNSETIFF, &ifr), ==, 0);
	refused(IF, &params, "tun");
	g_assert_false(inn_link_down(IF, NULL));
	close(fd);
	g_assert_cmpuint(if_nametoindex(IF), ==, 0);
}

static void
test_bad_params(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 0);

	if (is_skipped())
		return;
	refused("a/b", &params, "a/b");
	refused("muchtoolongforaname", &params, "muchtoolongforaname");
	refused("", &params, "''");
	refused("x\ny", &params, "x");
	params.prefix = 33;
	refused(IF, &params, "/33");
	params.prefix = 0;
	refused(IF, &params, "/0");
	params = params_of("10.66.1.1", 16, 0);
	params.mtu = 100;
	refused(IF, &params, "100");
	params = params_of("10.66.1.1", 16, 0);
	memset(&params.private_key, 0, sizeof params.private_key);
	refused(IF, &params, "private key");
	g_assert_true(inn_link_down("a/b", NULL));
	g_assert_cmpuint(if_nametoindex(IF), ==, 0);
}

/* ---- networks that overlap ---- */

typedef struct {
	const char *set, *unset;
	const char *named; /* NULL: no reason to refuse */
} Overlap;

static void
check_overlaps(const InnLinkParams *params, const Overlap *overlaps, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		net_run("ip %s", overlaps[i].set);
		if (overlaps[i].named) {
			refused(IF, params, overlaps[i].named);
			refused(IF, params, IF);
			g_assert_cmpuint(if_nametoindex(IF), ==, 0);
		} else {
			g_assert_true(up(params));
			down();
		}
		net_run("ip %s", overlaps[i].unset);
	}
}

static void
test_overlap(void)
{
	static const Overlap ALL[] = {
		{"addr add 10.66.3.4/24 dev d0", "addr flush dev d0", "10.66.3."},
		{"addr add 10.66.3.4/32 dev d0", "addr flush dev d0", "10.66.3.4/32 of d0"},
		{"addr add 10.66.1.1/32 dev lo", "addr del 10.66.1.1/32 dev lo", "of lo"},
		{"route add 10.0.0.0/8 dev d0", "route del 10.0.0.0/8", "10.0.0.0/8 of d0"},
		{"route add 10.66.0.0/16 dev d0", "route del 10.66.0.0/16", "10.66.0.0/16 of d0"},
		{"route add 10.66.0.0/16 nexthop dev d0 nexthop dev d1", "route del 10.66.0.0/16",
		 "10.66.0.0/16 of d0"},
		{"route add 10.66.255.255 dev d0", "route del 10.66.255.255",
		 "10.66.255.255/32 of d0"},
		{"route add 10.67.0.0/16 dev d0", "route del 10.67.0.0/16", NULL},
		{"addr add 10.67.0.1/16 dev d0", "addr flush dev d0", NULL},
		{"route add default dev d0", "route del default", NULL},
		{"route add 0.0.0.0/1 dev d0", "route del 0.0.0.0/1", NULL},
		{"route add 10.66.0.0/16 dev d0 table 77", "route flush table 77", NULL},
		{"route add unreachable 10.0.0.0/8", "route del unreachable 10.0.0.0/8", NULL},
	};
	InnLinkParams params = params_of("10.66.1.1", 16, 0);

	if (is_skipped())
		return;
	add_other_interfaces();
	check_overlaps(&params, ALL, G_N_ELEMENTS(ALL));
	net_run("ip link del d0");
}

static void
test_overlap_ipv6(void)
{
	static const Overlap ALL[] = {
		{"addr add fd66:1:0:9::1/64 dev d0 nodad", "addr del fd66:1:0:9::1/64 dev d0",
		 "fd66:1:0:9:"},
		{"route add fd00::/8 dev d0", "route del fd00::/8 dev d0", "fd00::/8 of d0"},
		{"route add fd66:2::/48 dev d0", "route del fd66:2::/48 dev d0", NULL},
		{"-6 route add default dev d0", "-6 route del default dev d0", NULL},
		{"route add fc00::/2 dev d0", "route del fc00::/2 dev d0", NULL},
	};
	InnLinkParams params = params_of("fd66:1::1:1", 48, 0);

	if (is_skipped())
		return;
	add_other_interfaces();
	check_overlaps(&params, ALL, G_N_ELEMENTS(ALL));
	net_run("ip link del d0");
}

/* One that came while the interface was up. */
static void
test_overlap_later(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41009);
	InnLinkParams other = params_of("10.66.1.1", 16, 41009);

	if (is_skipped())
		return;
	up(&params);
	add_other_interfaces();
	net_run("ip route add 10.66.7.0/24 dev d0");
	other.private_key.b[7] = 7;
	refused(IF, &other, "10.66.7.0/24 of d0");
	check_up(&params, 41009);
	net_run("ip link del d0");
	down();
}

static void
test_network(void)
{
	static const struct {
		const char *address;
		guint8 prefix;
		const char *network;
	} CASES[] = {
		{"10.66.1.1", 16, "10.66.0.0/16"},     {"10.66.255.255", 19, "10.66.224.0/19"},
		{"10.66.1.1", 32, "10.66.1.1/32"},     {"255.255.255.255", 1, "128.0.0.0/1"},
		{"fd66:1::1:1", 48, "fd66:1::/48"},    {"fd66::ffff", 121, "fd66::ff80/121"},
		{"fd66::ffff", 128, "fd66::ffff/128"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		WgEndpoint address = net_ep(CASES[i].address);
		WgEndpoint network = inn_routes_network(&address, CASES[i].prefix);
		g_autofree char *text = inn_routes_format(&network, CASES[i].prefix);

		g_assert_cmpstr(text, ==, CASES[i].network);
	}
}

/* ---- the userspace implementation ---- */

#define VARIABLE "WG_QUICK_USERSPACE_IMPLEMENTATION"

static gboolean
is_skipped_for_kernel(void)
{
	if (!why_not && kernel)
		g_test_skip("the kernel has WireGuard");
	return is_skipped() || kernel;
}

static char *
write_script(const char *dir, const char *text)
{
	char *path = g_build_filename(dir, "script", NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_chmod(path, 0755);
	return path;
}

static void
test_programs(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41010);

	if (is_skipped_for_kernel())
		return;
	g_setenv(VARIABLE, "/nonexistent/program", TRUE);
	refused(IF, &params, "/nonexistent/program");
	g_setenv(VARIABLE, "false", TRUE);
	refused(IF, &params, "false " IF " failed");
	g_setenv(VARIABLE, "true", TRUE);
	refused(IF, &params, "true " IF " serves no interface");
	g_unsetenv(VARIABLE);
	up(&params);
	down();
}

/* One that stays in the foreground, and one that hangs: it is ended. */
static void
test_foreground(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41011);
	g_autofree char *dir = NULL, *script = NULL, *pid_path = NULL, *pid = NULL;

	if (is_skipped_for_kernel())
		return;
	dir = g_dir_make_tmp("inn-link-XXXXXX", NULL);
	script = write_script(dir, "#!/bin/sh\nexec wireguard-go -f \"$1\"\n");
	g_setenv(VARIABLE, script, TRUE);
	g_assert_true(up(&params));
	check_up(&params, 41011);
	down();
	g_free(script);
	script = write_script(dir, "#!/bin/sh\necho $$ >\"$0.pid\"\nexec sleep 1000\n");
	refused(IF, &params, "serves no interface");
	g_unsetenv(VARIABLE);
	pid_path = g_strconcat(script, ".pid", NULL);
	g_assert_true(g_file_get_contents(pid_path, &pid, NULL, NULL));
	g_assert_cmpint(kill((pid_t)atoi(pid), 0), !=, 0);
	g_unlink(pid_path);
	g_unlink(script);
	g_rmdir(dir);
}

/* The process that called is gone, with its session, and the tunnel stays. */
static void
test_outlives(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41012);
	pid_t pid;
	int status;

	if (is_skipped())
		return;
	pid = fork();
	if (pid == 0) {
		setsid();
		_exit(inn_link_up(IF, &params, NULL, NULL) ? 0 : 1);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	kill(-pid, SIGHUP);
	check_up(&params, 41012);
	g_assert_false(up(&params));
	down();
}

/* A socket whose program was killed is in nobody's way. */
static void
test_stale_socket(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41013);
	int fd;

	if (is_skipped_for_kernel())
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fd,
			     (struct sockaddr *)&(struct sockaddr_un){.sun_family = AF_UNIX,
								      .sun_path = SOCKET},
			     sizeof(struct sockaddr_un)),
			==, 0);
	close(fd);
	g_assert_true(up(&params));
	check_up(&params, 41013);
	down();
}

/* ---- the way to the server, over what was brought up ---- */

#define SERVER "server0"

typedef struct {
	WgCtl *ctl;
	WgKey server;
	guint writes;
} Way;

static gboolean
write_way(const WgPeerChange *change, gpointer user_data)
{
	Way *way = user_data;
	g_autoptr(GError) error = NULL;

	way->writes++;
	wg_ctl_apply(way->ctl, change, 1, &error);
	g_assert_no_error(error);
	return TRUE;
}

static void
server_up(WgKey *server, const WgKey *client)
{
	InnLinkParams params = params_of("10.77.0.1", 16, 41020);
	WgPeerChange change = {.public_key = *client, .flags = WG_CHANGE_CREATE};
	g_autoptr(WgCtl) ctl = wg_ctl_new(SERVER);
	g_autoptr(GError) error = NULL;

	params.private_key.b[9] = 9;
	wg_key_public_from_private(&params.private_key, server);
	inn_link_up(SERVER, &params, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(wg_ctl_apply(ctl, &change, 1, &error));
}

/* Until there is a session, or the deadline. */
static void
reach_server(InnReach *reach, Way *way)
{
	gint64 now, end = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

	while ((now = g_get_monotonic_time()) < end) {
		g_autoptr(WgDevice) dev = read_device();
		const WgPeer *peer = wg_device_find(dev, &way->server);

		inn_reach_observe(reach, peer, now);
		if (peer && peer->last_handshake_s != 0 && !inn_reach_urgent(reach))
			return;
		while (g_main_context_iteration(NULL, FALSE))
			;
		g_usleep(20000);
	}
	g_error("the server was not reached");
}

/* The first address leads nowhere: WireGuard has used its initiation on that when the second one
 * has its turn. Then nothing is written any more. */
static void
test_reach(void)
{
	InnLinkParams params = params_of("10.66.1.1", 16, 41021);
	InnConf conf = {.server_host = (char *)"vpn.example", .server_port = 41020};
	g_autoptr(InnReach) reach = NULL;
	InnReachFuncs funcs = {.write = write_way};
	g_autoptr(WgDevice) dev = NULL;
	FakeResolver *fake;
	gint64 began;
	Way way = {0};

	if (is_skipped())
		return;
	fake = fake_resolver_install();
	fake_resolver_set(fake, "127.0.0.99 127.0.0.1");
	up(&params);
	dev = read_device();
	net_run("ip route add blackhole 127.0.0.99/32 table local");
	server_up(&way.server, &dev->public_key);
	way.ctl = wg_ctl_new(IF);
	conf.server_key = way.server;
	conf.server_internal = net_ep("10.66.0.1:80");
	reach = inn_reach_new(IF, &conf, NULL, &dev->public_key, &funcs, &way);
	began = g_get_monotonic_time();
	reach_server(reach, &way);
	g_test_message("reached after %d ms",
		       (int)((g_get_monotonic_time() - began) / G_TIME_SPAN_MILLISECOND));
	/* the peer, and two addresses; more, if the second has not answered in its turn */
	g_assert_cmpuint(way.writes, >=, 3);
	g_assert_cmpuint(way.writes, <=, 9);
	inn_reach_call_failed(reach, g_get_monotonic_time());
	inn_reach_network_changed(reach, g_get_monotonic_time());
	reach_server(reach, &way);
	g_assert_cmpuint(way.writes, <=, 9);
	check_shows("ip -o addr show dev " IF, "10.66.1.1/16");
	g_clear_pointer(&reach, inn_reach_free);
	wg_ctl_free(way.ctl);
	fake_resolver_free(fake);
	g_assert_true(inn_link_down(SERVER, NULL));
	down();
}

/* ---- namespaces ---- */

static gboolean
has_program(const char *name)
{
	g_autofree char *path = g_find_program_in_path(name);

	return path != NULL;
}

static const char *
enter_namespaces(void)
{
	if (geteuid() != 0)
		return "needs root, for network namespaces and wireguard-go";
	if (!has_program("wireguard-go") || !has_program("ip"))
		return "needs wireguard-go and iproute2";
	if (access("/dev/net/tun", R_OK | W_OK) != 0)
		return "needs /dev/net/tun";
	if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) != 0)
		return "may not make namespaces here (CAP_SYS_ADMIN)";
	g_mkdir_with_parents(WG_UAPI_DIRECTORY, 0700);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", WG_UAPI_DIRECTORY, "tmpfs", 0, NULL) != 0)
		return "may not mount here (CAP_SYS_ADMIN)";
	return NULL;
}

/* Waits for the child and ends as it did. */
static void
become_parent(pid_t child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) != child)
		if (pid < 0 && errno != EINTR)
			_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* The first process of a namespace takes the others with it, but is deaf to its own signals: so
 * the tests run in the second. */
static void
enter_processes(void)
{
	pid_t pid = fork();

	if (pid > 0)
		become_parent(pid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid = fork();
	if (pid > 0)
		become_parent(pid);
	/* /proc must tell of the processes there are here */
	if (mount("proc", "/proc", "proc", 0, NULL) != 0)
		why_not = "may not mount here (CAP_SYS_ADMIN)";
}

static gboolean
kernel_has_wireguard(void)
{
	if (!net_try("ip link add probe type wireguard"))
		return FALSE;
	net_run("ip link del probe");
	return TRUE;
}

int
main(int argc, char **argv)
{
	why_not = enter_namespaces();
	if (!why_not)
		enter_processes();
	g_test_init(&argc, &argv, NULL);
	if (!why_not) {
		net_run("ip link set lo up");
		kernel = kernel_has_wireguard();
	}
	g_test_add_func("/inn-link/network", test_network);
	g_test_add_func("/inn-link/up-and-down", test_up_and_down);
	g_test_add_func("/inn-link/any-port", test_any_port);
	g_test_add_func("/inn-link/ipv6", test_ipv6);
	g_test_add_func("/inn-link/network-of-one", test_network_of_one);
	g_test_add_func("/inn-link/half-done", test_half_done);
	g_test_add_func("/inn-link/kept", test_kept);
	g_test_add_func("/inn-link/port-taken", test_port_taken);
	g_test_add_func("/inn-link/other-kind", test_other_kind);
	g_test_add_func("/inn-link/bad-params", test_bad_params);
	g_test_add_func("/inn-link/overlap", test_overlap);
	g_test_add_func("/inn-link/overlap-ipv6", test_overlap_ipv6);
	g_test_add_func("/inn-link/overlap-later", test_overlap_later);
	g_test_add_func("/inn-link/programs", test_programs);
	g_test_add_func("/inn-link/foreground", test_foreground);
	g_test_add_func("/inn-link/outlives", test_outlives);
	g_test_add_func("/inn-link/stale-socket", test_stale_socket);
	g_test_add_func("/inn-link/reach", test_reach);
	return g_test_run();
}
