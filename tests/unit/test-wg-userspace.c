/* SPDX-License-Identifier: MIT */
/*
 * The library and the wgctl command against wireguard-go and against servers that misbehave, in
 * network and mount namespaces of our own: nothing is left behind, whatever happens.
 */
#include "wgctl/wg-ctl.h"
#include "wgctl/wg-uapi.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_US (20 * G_USEC_PER_SEC)
#define POLL_US 5000

typedef struct {
	const char *why_not; /* the reason why nothing can be tested here, or NULL */
	char *wgctl;	     /* path of the command */
} Suite;

typedef struct {
	char *name;
	GPid pid;
	WgCtl *ctl;
	WgKey private_key, public_key;
	guint16 port;
} Tunnel;

typedef struct {
	char *out, *err;
	int status;
} Output;

static void
output_clear(Output *output)
{
	g_free(output->out);
	g_free(output->err);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Output, output_clear)

/* One string, words parted by single spaces. */
static Output
run(const char *command)
{
	g_auto(GStrv) argv = g_strsplit(command, " ", -1);
	g_autoptr(GError) error = NULL;
	Output output = {0};
	int wait_status;

	g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output.out, &output.err,
		     &wait_status, &error);
	g_assert_no_error(error);
	g_assert_true(WIFEXITED(wait_status));
	output.status = WEXITSTATUS(wait_status);
	return output;
}

static Output
run_wgctl(const Suite *suite, const char *arguments)
{
	g_autofree char *command = g_strdup_printf("%s %s", suite->wgctl, arguments);

	return run(command);
}

static void
wgctl_ok(const Suite *suite, const char *arguments)
{
	g_auto(Output) output = run_wgctl(suite, arguments);

	if (output.status != 0)
		g_error("wgctl %s: %s", arguments, output.err);
}

static void
die_with_parent(gpointer data)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void
wait_until_served(Tunnel *tunnel)
{
	gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

	while (!wg_uapi_is_served(tunnel->name)) {
		g_assert_cmpint(waitpid(tunnel->pid, NULL, WNOHANG), ==, 0);
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_usleep(POLL_US);
	}
}

static void
spawn_wireguard(Tunnel *tunnel)
{
	char *argv[] = {(char *)"wireguard-go", (char *)"-f", tunnel->name, NULL};
	g_autofree char *up = g_strdup_printf("ip link set %s up", tunnel->name);
	g_auto(Output) output = {0};
	g_autoptr(GError) error = NULL;

	g_spawn_async(NULL, argv, NULL,
		      G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
			      G_SPAWN_STDERR_TO_DEV_NULL,
		      die_with_parent, NULL, &tunnel->pid, &error);
	g_assert_no_error(error);
	wait_until_served(tunnel);
	output = run(up);
	g_assert_cmpint(output.status, ==, 0);
}

static void
stop_wireguard(Tunnel *tunnel)
{
	kill(tunnel->pid, SIGTERM);
	g_assert_cmpint(waitpid(tunnel->pid, NULL, 0), ==, tunnel->pid);
}

static Tunnel *
tunnel_new(char suffix)
{
	Tunnel *tunnel = g_new0(Tunnel, 1);
	g_autoptr(GError) error = NULL;

	tunnel->name = g_strdup_printf("wgctl-%d%c", getpid(), suffix);
	tunnel->ctl = wg_ctl_new(tunnel->name);
	tunnel->port = 41820 + suffix;
	wg_key_generate_private(&tunnel->private_key);
	wg_key_public_from_private(&tunnel->private_key, &tunnel->public_key);
	spawn_wireguard(tunnel);
	wg_ctl_set_device(tunnel->ctl, &tunnel->private_key, &tunnel->port, NULL, &error);
	g_assert_no_error(error);
	return tunnel;
}

static void
tunnel_free(Tunnel *tunnel)
{
	stop_wireguard(tunnel);
	wg_ctl_free(tunnel->ctl);
	g_free(tunnel->name);
	g_free(tunnel);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tunnel, tunnel_free)

static WgDevice *
read_device(Tunnel *tunnel)
{
	g_autoptr(GError) error = NULL;
	WgDevice *dev = wg_ctl_read(tunnel->ctl, &error);

	g_assert_no_error(error);
	return dev;
}

static void
apply(Tunnel *tunnel, const WgPeerChange *change)
{
	g_autoptr(GError) error = NULL;

	wg_ctl_apply(tunnel->ctl, change, 1, &error);
	g_assert_no_error(error);
}

static gboolean
is_skipped(const Suite *suite)
{
	if (suite->why_not)
		g_test_skip(suite->why_not);
	return suite->why_not != NULL;
}

/* The dump of wg(8) is the measure of ours. */
static void
check_dump(const Suite *suite, const Tunnel *tunnel)
{
	g_autofree char *ours = g_strdup_printf("show %s dump", tunnel->name);
	g_autofree char *theirs = g_strdup_printf("wg show %s dump", tunnel->name);
	g_auto(Output) a = run_wgctl(suite, ours), b = run(theirs);

	g_assert_cmpint(a.status, ==, 0);
	g_assert_cmpint(b.status, ==, 0);
	g_assert_cmpstr(a.out, ==, b.out);
}

/* Into the tmpfs of our mount namespace, which goes with us. */
#define KEY_PATH WG_UAPI_DIRECTORY "/key"

static void
write_key(void)
{
	char text[WG_KEY_STRLEN];
	WgKey key;

	wg_key_generate_private(&key);
	wg_key_format(&key, text);
	g_assert_true(
		g_file_set_contents_full(KEY_PATH, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void
test_dump(gconstpointer data)
{
	static const char *const peer_settings[] = {
		"create",
		"endpoint 192.0.2.1:5 keepalive 25",
		"endpoint [2001:db8::1]:65535 keepalive off",
		"endpoint [fe80::1%lo]:7 allowed-ips 10.1.2.3/8,fd00::1/64,192.0.2.1",
		"rearm keepalive 7",
		"replace",
		"replace endpoint none",
		"allowed-ips ::/0",
		"remove",
	};
	g_autoptr(Tunnel) tunnel = NULL;
	g_autofree char *set_device = NULL, *set_psk = NULL;
	char key[WG_KEY_STRLEN];

	if (is_skipped(data))
		return;
	tunnel = tunnel_new('a');
	check_dump(data, tunnel);
	write_key();
	set_device = g_strdup_printf(
		"set %s private-key " KEY_PATH " listen-port 41821 fwmark 0xca6c", tunnel->name);
	wgctl_ok(data, set_device);
	check_dump(data, tunnel);
	wg_key_format(&tunnel->public_key, key); /* of a key that the device no longer has */
	set_psk = g_strdup_printf("set %s %s create preshared-key " KEY_PATH, tunnel->name, key);
	wgctl_ok(data, set_psk);
	check_dump(data, tunnel);
	for (gsize i = 0; i < G_N_ELEMENTS(peer_settings); i++) {
		g_autofree char *set =
			g_strdup_printf("set %s %s %s", tunnel->name, key, peer_settings[i]);

		wgctl_ok(data, set);
		check_dump(data, tunnel);
	}
	unlink(KEY_PATH);
}

static void
test_list(gconstpointer data)
{
	g_autoptr(Tunnel) a = NULL, b = NULL;
	g_autofree char *expected = NULL;

	if (is_skipped(data))
		return;
	b = tunnel_new('b');
	a = tunnel_new('a');
	expected = g_strdup_printf("%s\n%s\n", a->name, b->name);
	/* A socket without an interface here, as of another network namespace. */
	g_assert_true(g_file_set_contents(WG_UAPI_DIRECTORY "/elsewhere0.sock", "", 0, NULL));
	{
		g_auto(Output) output = run_wgctl(data, "list");

		g_assert_cmpint(output.status, ==, 0);
		g_assert_cmpstr(output.out, ==, expected);
	}
	unlink(WG_UAPI_DIRECTORY "/elsewhere0.sock");
}

static void
meet(Tunnel *tunnel, const Tunnel *other, WgChangeFlags flags)
{
	WgPeerChange change = {.public_key = other->public_key, .flags = flags, .keepalive = 25};
	g_autofree char *endpoint = g_strdup_printf("127.0.0.1:%u", other->port);

	g_assert_true(wg_endpoint_parse(endpoint, &change.endpoint));
	apply(tunnel, &change);
}

static WgPeer *
wait_for_handshake(Tunnel *tunnel)
{
	gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

	for (;;) {
		g_autoptr(WgDevice) dev = read_device(tunnel);
		const WgPeer *peer = g_ptr_array_index(dev->peers, 0);

		if (peer->last_handshake_s != 0 && peer->rx_bytes != 0)
			return wg_peer_copy(peer);
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_usleep(POLL_US);
	}
}

static gint64
handshake_us(const WgPeer *peer)
{
	return peer->last_handshake_s * G_USEC_PER_SEC + peer->last_handshake_ns / 1000;
}

/* The other end takes a second initiation within 50 ms (the kernel: 20 ms) for a flood, drops it,
 * and the next one comes after 5 s only. */
static void
wait_for_age(const WgPeer *peer)
{
	while (g_get_real_time() - handshake_us(peer) < 100 * 1000)
		g_usleep(POLL_US);
}

static void
test_handshake_rearm_replace(gconstpointer data)
{
	g_autoptr(Tunnel) a = NULL, b = NULL;
	g_autoptr(WgPeer) peer = NULL, later = NULL;
	gint64 deadline, before, took = 0;

	if (is_skipped(data))
		return;
	a = tunnel_new('a');
	b = tunnel_new('b');
	meet(b, a, WG_CHANGE_CREATE);
	meet(a, b, WG_CHANGE_CREATE | WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE);
	peer = wait_for_handshake(a);

	/* REARM sends at once on the idle session; the keepalive's own time would be 25 s. */
	meet(a, b, WG_CHANGE_REARM);
	deadline = g_get_monotonic_time() + DEADLINE_US;
	for (;;) {
		g_clear_pointer(&later, wg_peer_free);
		later = wait_for_handshake(a);
		if (later->tx_bytes > peer->tx_bytes)
			break;
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_usleep(POLL_US);
	}
	g_assert_cmpint(later->last_handshake_s, ==, peer->last_handshake_s);
	g_assert_cmpuint(later->keepalive, ==, 25);

	/* REPLACE forgets the session, and makes a new one without waiting: as a rule, for an
	 * initiation may be lost, and the next one is sent after 5 s. */
	before = handshake_us(later);
	for (int i = 0; i < 3; i++) {
		wait_for_age(i == 0 ? later : peer);
		meet(a, b, WG_CHANGE_REPLACE);
		g_clear_pointer(&peer, wg_peer_free);
		peer = wait_for_handshake(a);
		g_assert_cmpint(handshake_us(peer), >, before);
		took = handshake_us(peer) - before;
		if (took < 4 * G_USEC_PER_SEC)
			break;
		before = handshake_us(peer);
	}
	g_assert_cmpint(took, <, 4 * G_USEC_PER_SEC);
	g_assert_true(wg_endpoint_equal(&peer->endpoint, &later->endpoint));
	g_assert_cmpuint(peer->keepalive, ==, 25);
}

static void
test_gone_and_back(gconstpointer data)
{
	g_autoptr(Tunnel) tunnel = NULL;
	g_autoptr(GError) error = NULL;

	if (is_skipped(data))
		return;
	tunnel = tunnel_new('a');
	stop_wireguard(tunnel);
	g_assert_null(wg_ctl_read(tunnel->ctl, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_NO_DEVICE);
	spawn_wireguard(tunnel);
	wg_device_free(read_device(tunnel));
}

static void
test_no_peer(gconstpointer data)
{
	g_autoptr(Tunnel) tunnel = NULL;
	g_autoptr(WgDevice) dev = NULL;
	g_autoptr(GError) error = NULL;
	WgPeerChange change = {.public_key = {{1}}, .flags = WG_CHANGE_KEEPALIVE, .keepalive = 1};

	if (is_skipped(data))
		return;
	tunnel = tunnel_new('a');
	g_assert_false(wg_ctl_apply(tunnel->ctl, &change, 1, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_NO_PEER);
	dev = read_device(tunnel);
	g_assert_cmpuint(dev->peers->len, ==, 0);
}

static void
test_many_peers(gconstpointer data)
{
	enum { PEERS = 500, READS = 20 };
	g_autoptr(Tunnel) tunnel = NULL;
	g_autofree WgPeerChange *changes = g_new0(WgPeerChange, PEERS);
	g_autoptr(GError) error = NULL;
	gint64 start;

	if (is_skipped(data))
		return;
	tunnel = tunnel_new('a');
	for (guint i = 0; i < PEERS; i++) {
		changes[i].public_key.b[0] = i;
		changes[i].public_key.b[1] = i >> 8;
		changes[i].public_key.b[2] = 1;
		changes[i].flags = WG_CHANGE_CREATE;
	}
	g_assert_true(wg_ctl_apply(tunnel->ctl, changes, PEERS, &error));
	g_assert_no_error(error);
	start = g_get_monotonic_time();
	for (guint i = 0; i < READS; i++) {
		g_autoptr(WgDevice) dev = read_device(tunnel);

		g_assert_cmpuint(dev->peers->len, ==, PEERS);
	}
	g_test_message("a read of %d peers: %d us", PEERS,
		       (int)((g_get_monotonic_time() - start) / READS));
}

/* A server for the interface "lo" that answers one request with what it is told. */
typedef struct {
	int listener;
	const char *answer;
	gsize piece; /* bytes per send */
	GThread *thread;
} Fake;

#define FAKE_PATH WG_UAPI_DIRECTORY "/lo.sock"

static gpointer
fake_serve(gpointer data)
{
	Fake *fake = data;
	gsize len = strlen(fake->answer), sent = 0;
	int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
	char request[256];

	g_assert_cmpint(recv(fd, request, sizeof request, 0), >, 0);
	while (sent < len) {
		gsize n = MIN(fake->piece, len - sent);

		g_assert_cmpint(send(fd, fake->answer + sent, n, MSG_NOSIGNAL), ==, (gssize)n);
		sent += n;
	}
	close(fd);
	return NULL;
}

static void
fake_start(Fake *fake)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = FAKE_PATH};

	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fake->listener, (struct sockaddr *)&addr, sizeof addr), ==, 0);
	g_assert_cmpint(listen(fake->listener, 4), ==, 0);
	fake->thread = g_thread_new("fake", fake_serve, fake);
}

static void
fake_stop(Fake *fake)
{
	g_thread_join(fake->thread);
	close(fake->listener);
	unlink(FAKE_PATH);
}

static void
check_fake(const char *answer, gsize piece, int expected_code)
{
	Fake fake = {.answer = answer, .piece = piece};
	g_autoptr(WgCtl) ctl = wg_ctl_new("lo");
	g_autoptr(WgDevice) dev = NULL;
	g_autoptr(GError) error = NULL;

	fake_start(&fake);
	dev = wg_ctl_read(ctl, &error);
	fake_stop(&fake);
	if (expected_code >= 0) {
		g_assert_null(dev);
		g_assert_error(error, WG_ERROR, expected_code);
	} else {
		g_assert_no_error(error);
		g_assert_cmpuint(dev->listen_port, ==, 7);
	}
}

static void
test_odd_servers(gconstpointer data)
{
	if (is_skipped(data))
		return;
	check_fake("listen_port=7\nerrno=0\n\n", 1, -1);       /* byte by byte */
	check_fake("listen_port=7\nerrno=0\n", 100, -1);       /* end of stream for the end */
	check_fake("listen_port=7\n", 100, WG_ERROR_PROTOCOL); /* cut */
	check_fake("", 100, WG_ERROR_PROTOCOL);
	check_fake("HTTP/1.1 400 Bad Request\r\n\r\n", 100, WG_ERROR_PROTOCOL);
	check_fake("errno=-1\n\n", 100, WG_ERROR_FAILED);
}

/* A socket that a program left behind when it was killed. */
static void
test_stale_socket(gconstpointer data)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = FAKE_PATH};
	g_autoptr(WgCtl) ctl = wg_ctl_new("lo");
	g_autoptr(GError) error = NULL;
	int fd;

	if (is_skipped(data))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
	close(fd);
	g_assert_null(wg_ctl_read(ctl, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_NOT_WIREGUARD);
	unlink(FAKE_PATH);
}

static void
check_refused(const Suite *suite, const char *arguments, int status, const char *named)
{
	g_auto(Output) output = run_wgctl(suite, arguments);

	if (output.status != status || !strstr(output.err, named) || output.out[0] != '\0' ||
	    strchr(output.err, '\n') != output.err + strlen(output.err) - 1)
		g_error("wgctl %s: status %d, '%s', not one line naming %s", arguments,
			output.status, output.err, named);
}

static void
test_bad_input(gconstpointer data)
{
#define KEY "JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTkY="
	static const struct {
		const char *arguments;
		int status;
		const char *named;
	} cases[] = {
		{"frobnicate", 2, "'frobnicate'"},
		{"list all", 2, "wgctl list"},
		{"show", 2, "wgctl show"},
		{"show lo all", 2, "wgctl show"},
		{"show nosuch0", 1, "'nosuch0'"},
		{"show a/b", 1, "'a/b'"},
		{"show ../../tmp/x", 1, "'../../tmp/x'"},
		{"show muchtoolongforaninterface", 1, "muchtoolong"},
		{"show lo", 1, "lo is no WireGuard"},
		{"set", 2, "wgctl set"},
		{"set lo", 2, "nothing to set"},
		{"set lo nonsense", 2, "'nonsense'"},
		{"set lo listen-port", 2, "'listen-port'"},
		{"set lo listen-port 65536", 2, "'65536'"},
		{"set lo fwmark 0xfffffffff", 2, "'0xfffffffff'"},
		{"set lo private-key /nonexistent/key", 1, "/nonexistent/key"},
		{"set lo private-key /proc/version", 1, "/proc/version"},
		{"set lo " KEY, 2, "nothing to set"},
		{"set lo " KEY " endpoint", 2, "'endpoint'"},
		{"set lo " KEY " endpoint example.org:5", 2, "'example.org:5'"},
		{"set lo " KEY " endpoint 192.0.2.1:0", 2, "'192.0.2.1:0'"},
		{"set lo " KEY " keepalive 70000", 2, "'70000'"},
		{"set lo " KEY " keepalive -1", 2, "'-1'"},
		{"set lo " KEY " allowed-ips 10.0.0.0/8,x", 2, "'x'"},
		{"set lo " KEY " remove create", 2, "remove"},
		{"set lo " KEY " listen-port 5", 2, "'listen-port'"},
		{"set lo " KEY " keepalive 5", 1, "lo is no WireGuard"},
	};

	if (is_skipped(data))
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		check_refused(data, cases[i].arguments, cases[i].status, cases[i].named);
}

static gboolean
has_program(const char *name)
{
	g_autofree char *path = g_find_program_in_path(name);

	return path != NULL;
}

/* Our own network, and our own /var/run/wireguard. Returns why that can't be. */
static const char *
enter_namespaces(void)
{
	if (geteuid() != 0)
		return "needs root, for network namespaces and wireguard-go";
	if (!has_program("wireguard-go") || !has_program("wg") || !has_program("ip"))
		return "needs wireguard-go, wireguard-tools and iproute2";
	if (access("/dev/net/tun", R_OK | W_OK) != 0)
		return "needs /dev/net/tun";
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
		return "may not make namespaces here (CAP_SYS_ADMIN)";
	g_mkdir_with_parents(WG_UAPI_DIRECTORY, 0700);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", WG_UAPI_DIRECTORY, "tmpfs", 0, NULL) != 0)
		return "may not mount here (CAP_SYS_ADMIN)";
	return NULL;
}

static char *
find_wgctl(void)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *dir = g_path_get_dirname(self);

	return g_build_filename(dir, "..", "..", "wgctl", "wgctl", NULL);
}

int
main(int argc, char **argv)
{
	Suite suite = {.why_not = enter_namespaces(), .wgctl = find_wgctl()};
	int status;

	g_test_init(&argc, &argv, NULL);
	if (!suite.why_not) {
		g_auto(Output) output = run("ip link set lo up");

		g_assert_cmpint(output.status, ==, 0);
		if (access(suite.wgctl, X_OK) != 0)
			suite.why_not = "needs the wgctl command: build it first";
	}
	g_test_add_data_func("/wg/userspace/dump", &suite, test_dump);
	g_test_add_data_func("/wg/userspace/list", &suite, test_list);
	g_test_add_data_func("/wg/userspace/rearm-and-replace", &suite,
			     test_handshake_rearm_replace);
	g_test_add_data_func("/wg/userspace/gone-and-back", &suite, test_gone_and_back);
	g_test_add_data_func("/wg/userspace/no-peer", &suite, test_no_peer);
	g_test_add_data_func("/wg/userspace/many-peers", &suite, test_many_peers);
	g_test_add_data_func("/wg/userspace/odd-servers", &suite, test_odd_servers);
	g_test_add_data_func("/wg/userspace/stale-socket", &suite, test_stale_socket);
	g_test_add_data_func("/wg/userspace/bad-input", &suite, test_bad_input);
	status = g_test_run();
	g_free(suite.wgctl);
	return status;
}
