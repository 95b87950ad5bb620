/* SPDX-License-Identifier: MIT */
/*
 * One interface as it follows a real (userspace) WireGuard device, without a signaling server: what
 * status says after keys, ports, peers and the device itself come and go. In network and mount
 * namespaces of its own.
 */
#include "agent/interface/nat-interface.h"
#include "tests/unit/net-util.h"
#include "tests/unit/scratch.h"
#include "wgctl/wg-ctl.h"
#include "wgctl/wg-uapi.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define DEV "natif0"
#define FOLLOW_MS 10000 /* 2 s are promised; a busy machine may take longer */

typedef struct {
	gboolean up;
	char *dir;
	GPid pid; /* of wireguard-go; 0: gone */
	WgCtl *ctl;
	WgKey private_key, public_key;
	guint16 port;
	NatIceNs *ns;
	NatTun *tun;
	NatFib *fib;
	NatConfig config;
	NatConfigInterface iface_config;
	NatInterfaceEnv env;
	NatInterface *iface;
} Fixture;

static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	return G_LOG_WRITER_HANDLED;
}

static gboolean
use_addresses(const WgEndpoint *addrs, gsize n, gpointer user_data)
{
	return TRUE;
}

static void
die_with_parent(gpointer data)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void
spawn_device(Fixture *f)
{
	char *argv[] = {(char *)"wireguard-go", (char *)"-f", (char *)DEV, NULL};
	gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	g_autoptr(GError) error = NULL;

	g_spawn_async(NULL, argv, NULL,
		      G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
			      G_SPAWN_STDERR_TO_DEV_NULL,
		      die_with_parent, NULL, &f->pid, &error);
	g_assert_no_error(error);
	while (!wg_uapi_is_served(DEV)) {
		g_assert_cmpint(waitpid(f->pid, NULL, WNOHANG), ==, 0);
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_usleep(5000);
	}
	net_run("ip link set " DEV " up");
	wg_ctl_set_device(f->ctl, &f->private_key, &f->port, NULL, &error);
	g_assert_no_error(error);
}

static void
kill_device(Fixture *f)
{
	if (f->pid == 0)
		return;
	kill(f->pid, SIGKILL);
	g_assert_cmpint(waitpid(f->pid, NULL, 0), ==, f->pid);
	f->pid = 0;
}

static gboolean
own_namespaces(void)
{
	if (!net_fresh())
		return FALSE;
	net_run("ip link set lo up");
	g_mkdir_with_parents(WG_UAPI_DIRECTORY, 0755);
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", WG_UAPI_DIRECTORY, "tmpfs", 0, "mode=0700") == 0;
}

static NatInterface *
start(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	NatInterface *iface = nat_interface_new(&f->env, &f->iface_config, &error);

	g_assert_no_error(error);
	return iface;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	g_autofree char *program = g_find_program_in_path("wireguard-go");
	g_autoptr(GError) error = NULL;

	if (program == NULL) {
		g_test_skip("needs wireguard-go");
		return;
	}
	f->up = own_namespaces();
	if (!f->up)
		return;
	f->dir = g_dir_make_tmp("nat-interface-XXXXXX", NULL);
	f->ctl = wg_ctl_new(DEV);
	f->port = 51820;
	wg_key_generate_private(&f->private_key);
	wg_key_public_from_private(&f->private_key, &f->public_key);
	spawn_device(f);
	f->ns = nat_ice_ns_new(&error);
	g_assert_no_error(error);
	f->tun = nat_tun_new(f->ns);
	f->fib = nat_fib_new(&error);
	g_assert_no_error(error);
	f->config.state_dir = f->dir;
	f->config.peers = g_ptr_array_new();
	f->iface_config.name = (char *)DEV;
	f->iface_config.signal_url = (char *)"ws://127.0.0.1:9/"; /* nobody */
	f->env = (NatInterfaceEnv){
		.ns = f->ns,
		.tun = f->tun,
		.fib = f->fib,
		.config = &f->config,
		.use_addresses = use_addresses,
	};
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_interface_free(f->iface);
	nat_fib_free(f->fib);
	nat_tun_free(f->tun);
	nat_ice_ns_free(f->ns);
	g_ptr_array_unref(f->config.peers);
	kill_device(f);
	wg_ctl_free(f->ctl);
	scratch_remove(f->dir);
	g_assert_cmpint(umount(WG_UAPI_DIRECTORY), ==, 0);
}

/* ---- what status says ---- */

static NatStatusInterface *
row_of(const NatStatus *status)
{
	return g_ptr_array_index(status->interfaces, 0);
}

typedef gboolean (*Says)(const NatStatusInterface *row, gconstpointer data);

static void
wait_until(Fixture *f, Says says, gconstpointer data)
{
	gint64 end = g_get_monotonic_time() + FOLLOW_MS * G_TIME_SPAN_MILLISECOND;

	for (;;) {
		g_autoptr(NatStatus) status = nat_status_new();

		nat_interface_status(f->iface, status, FALSE, NULL);
		if (says(row_of(status), data))
			return;
		if (g_get_monotonic_time() > end)
			g_error("status never says so; problem: %s", row_of(status)->problem);
		g_main_context_iteration(NULL, TRUE);
	}
}

static gboolean
says_problem(const NatStatusInterface *row, gconstpointer word)
{
	return row->problem != NULL && strstr(row->problem, word) != NULL;
}

static gboolean
says_fine(const NatStatusInterface *row, gconstpointer data)
{
	return row->problem == NULL;
}

static gboolean
says_port(const NatStatusInterface *row, gconstpointer port)
{
	return row->listen_port == GPOINTER_TO_UINT(port) && row->problem == NULL;
}

static gboolean
says_n_peers(const NatStatusInterface *row, gconstpointer n)
{
	return row->peers->len == GPOINTER_TO_UINT(n);
}

static gboolean
says_key(const NatStatusInterface *row, gconstpointer key)
{
	return wg_key_equal(&row->public_key, key) && row->problem == NULL;
}

static gboolean
says_nothing_served(const NatStatusInterface *row, gconstpointer data)
{
	return row->signal_state == NULL && row->peers->len == 0;
}

static void
change_peer(Fixture *f, const WgKey *key, WgChangeFlags flags)
{
	WgPeerChange change = {.public_key = *key, .flags = flags};
	g_autoptr(GError) error = NULL;

	wg_ctl_apply(f->ctl, &change, 1, &error);
	g_assert_no_error(error);
}

static void
set_key(Fixture *f, const WgKey *private_key)
{
	g_autoptr(GError) error = NULL;

	wg_ctl_set_device(f->ctl, private_key, NULL, NULL, &error);
	g_assert_no_error(error);
}

/* ---- situations ---- */

static void
test_peers_come_and_go(Fixture *f, gconstpointer data)
{
	WgKey keys[3];

	if (!f->up)
		return;
	f->iface = start(f);
	for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
		WgKey priv;

		wg_key_generate_private(&priv);
		wg_key_public_from_private(&priv, &keys[i]);
		change_peer(f, &keys[i], WG_CHANGE_CREATE);
	}
	wait_until(f, says_n_peers, GUINT_TO_POINTER(3));
	change_peer(f, &keys[1], WG_CHANGE_REMOVE);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(2));
	/* one for another in the same second: as many as before */
	change_peer(f, &keys[0], WG_CHANGE_REMOVE);
	change_peer(f, &keys[1], WG_CHANGE_CREATE);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(2));
	change_peer(f, &keys[1], WG_CHANGE_REMOVE);
	change_peer(f, &keys[2], WG_CHANGE_REMOVE);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(0));
}

static void
test_new_port(Fixture *f, gconstpointer data)
{
	guint16 port = 41821;
	g_autoptr(GError) error = NULL;

	if (!f->up)
		return;
	f->iface = start(f);
	wait_until(f, says_port, GUINT_TO_POINTER(51820));
	wg_ctl_set_device(f->ctl, NULL, &port, NULL, &error);
	g_assert_no_error(error);
	wait_until(f, says_port, GUINT_TO_POINTER(41821));
}

static void
test_new_key(Fixture *f, gconstpointer data)
{
	WgKey priv, pub, peer;

	if (!f->up)
		return;
	f->iface = start(f);
	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &peer);
	change_peer(f, &peer, WG_CHANGE_CREATE);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(1));
	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &pub);
	set_key(f, &priv);
	wait_until(f, says_key, &pub);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(1));
}

static guint64
looks(Fixture *f)
{
	g_autoptr(NatStatus) status = nat_status_new();

	nat_interface_status(f->iface, status, FALSE, NULL);
	return row_of(status)->stats.counts[NAT_STAT_NETWORK_CHANGES];
}

static void
expect_looks(Fixture *f, const char *what, const NatNetChange *change, gboolean wanted)
{
	guint64 before = looks(f);

	nat_interface_network_changed(f->iface, change);
	if (looks(f) != before + wanted)
		g_error("%s: %s", what, wanted ? "not looked at" : "looked at");
}

/* A host of containers has links, addresses and routes coming and going all day. */
static void
test_concerns(Fixture *f, gconstpointer data)
{
	NatNetChange change = {0};
	WgPeerChange set = {.flags = WG_CHANGE_CREATE | WG_CHANGE_ENDPOINT};
	g_autoptr(GError) error = NULL;
	WgKey priv;
	int uplink;

	if (!f->up)
		return;
	net_run("ip link add up0 type veth peer name up1");
	net_run("ip link set up1 up");
	net_run("ip link set up0 up");
	net_run("ip addr add 192.0.2.2/24 dev up0");
	net_run("ip route add default via 192.0.2.1");
	uplink = (int)if_nametoindex("up0");
	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &set.public_key);
	g_assert_true(wg_endpoint_parse("203.0.113.9:51820", &set.endpoint));
	wg_ctl_apply(f->ctl, &set, 1, &error);
	g_assert_no_error(error);
	f->iface = start(f);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(1));
	expect_looks(f, "the first word", &change, TRUE);
	expect_looks(f, "nothing", &change, FALSE);

	net_run("ip link add br9 type veth peer name br8");
	net_run("ip link set br9 up");
	net_run("ip addr add 172.18.0.1/16 dev br9");
	net_run("ip route add 10.244.7.0/24 via 172.18.0.2 onlink dev br9");
	change.links = (const int[]){(int)if_nametoindex("br9")};
	change.n_links = 1;
	expect_looks(f, "a container's link, address and route", &change, FALSE);
	change.links = &uplink;
	expect_looks(f, "the uplink's carrier", &change, TRUE);
	change.n_links = 0;
	expect_looks(f, "nothing again", &change, FALSE);
	net_run("ip route add 203.0.113.0/24 via 172.18.0.2 onlink dev br9");
	expect_looks(f, "a way to a peer", &change, TRUE);
	net_run("ip route replace default via 192.0.2.3");
	expect_looks(f, "another router", &change, TRUE);
	net_run("ip rule add to 203.0.113.9 lookup 77");
	net_run("ip route add default via 192.0.2.1 table 77");
	expect_looks(f, "a rule", &change, TRUE);
	expect_looks(f, "nothing any more", &change, FALSE);
	change.lost = TRUE;
	expect_looks(f, "events that are lost", &change, TRUE);
	expect_looks(f, "a sleep", NULL, TRUE);
	net_run("ip link del br9"); /* and with it the route to the peer; the rule stays */
	change.lost = FALSE;
	expect_looks(f, "a container that goes", &change, FALSE);
}

/* Without a key there is no identity: nobody may be met under the old one, or under none. */
static void
test_key_taken_away(Fixture *f, gconstpointer data)
{
	WgKey none = {{0}}, priv, peer;

	if (!f->up)
		return;
	f->iface = start(f);
	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &peer);
	change_peer(f, &peer, WG_CHANGE_CREATE);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(1));
	set_key(f, &none);
	wait_until(f, says_problem, "no private key");
	wait_until(f, says_nothing_served, NULL);
	set_key(f, &f->private_key);
	wait_until(f, says_key, &f->public_key);
	wait_until(f, says_n_peers, GUINT_TO_POINTER(1));
}

static void
test_device_vanishes_and_returns(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->iface = start(f);
	wait_until(f, says_fine, NULL);
	kill_device(f);
	wait_until(f, says_problem, DEV);
	spawn_device(f);
	wait_until(f, says_fine, NULL);
	wait_until(f, says_key, &f->public_key);
}

static void
expect_refused(Fixture *f, const char *word)
{
	g_autoptr(GError) error = NULL;
	NatInterface *iface = nat_interface_new(&f->env, &f->iface_config, &error);

	g_assert_null(iface);
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, word));
	g_assert_null(strchr(error->message, '\n'));
}

static void
test_no_such_device(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->iface_config.name = (char *)"absent0";
	expect_refused(f, "absent0");
	f->iface_config.name = (char *)"lo";
	expect_refused(f, "lo");
}

#define ADD(name, func) g_test_add("/interface/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(on_log, NULL, NULL);
	ADD("peers-come-and-go", test_peers_come_and_go);
	ADD("new-port", test_new_port);
	ADD("new-key", test_new_key);
	ADD("key-taken-away", test_key_taken_away);
	ADD("device-vanishes-and-returns", test_device_vanishes_and_returns);
	ADD("concerns", test_concerns);
	ADD("no-such-device", test_no_such_device);
	return g_test_run();
}
