/* SPDX-License-Identifier: MIT */
/*
 * The coturn.conf we ship, in a real coturn, with the credentials that nat-signald makes: who is
 * let in, and whither a relay does not send. Its clients are coturn's own (turnutils_uclient). All
 * of it in a network namespace of its own.
 */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "signaling/sig-turn.h"
#include "tests/unit/net-util.h"
#include "tests/unit/scratch.h"

#define DEADLINE (20 * G_USEC_PER_SEC)
#define V4 "198.51.100.7"
#define V6 "2001:db8::7"
#define SECRET_LINE "#static-auth-secret=REPLACE-ME\n"
#define TTL 60

typedef struct {
	char *dir;
	GSubprocess *process;
} Relay;

static void
die_with_parent(gpointer unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* As shipped, but for the secret. */
static void
write_conf(const char *file)
{
	g_autofree char *text = NULL;
	g_autofree char *copy = NULL;
	const char *line;

	g_assert_true(g_file_get_contents(COTURN_CONF, &text, NULL, NULL));
	line = strstr(text, SECRET_LINE);
	g_assert_nonnull(line);
	copy = g_strdup_printf("%.*sstatic-auth-secret=north\n%s", (int)(line - text), text,
			       line + strlen(SECRET_LINE));
	g_assert_true(g_file_set_contents(file, copy, -1, NULL));
}

/* Whether it answers a Binding request within 100 ms. */
static gboolean
answers(void)
{
	static const guint8 request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1,  2,
					   3, 4, 5, 6, 7,    8,	   9,	 10,   11, 12};
	g_autoptr(GSocket) sock = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM,
					       G_SOCKET_PROTOCOL_UDP, NULL);
	g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string(V4, 3478);
	char answer[512];

	g_assert_true(g_socket_connect(sock, address, NULL, NULL));
	g_socket_send(sock, (const char *)request, sizeof request, NULL, NULL);
	g_socket_condition_timed_wait(sock, G_IO_IN, 100 * 1000, NULL, NULL);
	g_socket_set_blocking(sock, FALSE);
	return g_socket_receive(sock, answer, sizeof answer, NULL, NULL) > 0;
}

static void
spawn(Relay *relay)
{
	g_autofree char *conf = g_build_filename(relay->dir, "coturn.conf", NULL);
	g_autofree char *pid = g_strdup_printf("--pidfile=%s/pid", relay->dir);
	g_autofree char *db = g_strdup_printf("--userdb=%s/db", relay->dir);
	g_autofree char *log = g_strdup_printf("--log-file=%s/log", relay->dir);
	const char *const argv[] = {
		"turnserver",
		"-c",
		conf,
		"--listening-ip=" V4,
		"--relay-ip=" V4,
		"--listening-ip=" V6,
		"--relay-ip=" V6,
		"--simple-log",
		"--no-stdout-log",
		pid,
		db,
		log,
		NULL,
	};
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
		G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_autoptr(GError) error = NULL;

	write_conf(conf);
	g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
	relay->process = g_subprocess_launcher_spawnv(launcher, argv, &error);
	g_assert_no_error(error);
}

/* FALSE, and the test skipped, where it can't run. */
static gboolean
relay_start(Relay *relay)
{
	g_autofree char *server = g_find_program_in_path("turnserver");
	g_autofree char *client = g_find_program_in_path("turnutils_uclient");
	gint64 until = g_get_monotonic_time() + DEADLINE;

	if (!server || !client) {
		g_test_skip("coturn is not installed");
		return FALSE;
	}
	if (!net_fresh())
		return FALSE;
	net_run("ip link set lo up");
	net_run("ip addr add " V4 "/32 dev lo");
	net_run("ip addr add " V6 "/128 dev lo nodad");
	relay->dir = g_dir_make_tmp("coturn-XXXXXX", NULL);
	spawn(relay);
	while (!answers())
		g_assert_cmpint(g_get_monotonic_time(), <, until);
	return TRUE;
}

static void
relay_stop(Relay *relay)
{
	g_subprocess_send_signal(relay->process, SIGTERM);
	g_assert_true(g_subprocess_wait(relay->process, NULL, NULL));
	g_object_unref(relay->process);
	scratch_remove(relay->dir);
}

/* What a client with this key says that was given credentials `age` seconds ago. args: its further
 * ones. */
static char *
try_relay(guint8 who, const char *secret, gint64 age, const char *args, const char *server)
{
	static const char *const uris[] = {"turn:" V4, NULL};
	g_autoptr(SigTurn) turn = sig_turn_new(uris, secret, TTL);
	g_autofree char *text = NULL;
	g_autofree char *command = NULL;
	g_auto(SigFrame) frame = {0};
	g_autoptr(GError) error = NULL;
	WgKey key = {{who}};
	char *out = NULL;

	text = sig_turn_frame(turn, &key, g_get_real_time() / G_USEC_PER_SEC - age);
	g_assert_true(sig_wire_decode(text, strlen(text), &frame, NULL));
	command = g_strdup_printf("timeout -k 1 15 turnutils_uclient -c -n 1 -u %s -w %s %s %s",
				  frame.turn.username, frame.turn.password, args, server);
	g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, &error));
	g_test_message("%s, %" G_GINT64_FORMAT " s old, %s: %s", secret, age, args, out);
	return out;
}

/* Whatever the kernel of a loaded machine loses, of three times one is without loss. */
static void
expect_relayed(gint64 age, const char *args, const char *server)
{
	gboolean relayed = FALSE;

	for (int i = 0; i < 3 && !relayed; i++) {
		g_autofree char *out = try_relay(1, "north", age, args, server);

		relayed = strstr(out, "Total lost packets 0 ") != NULL;
	}
	g_assert_true(relayed);
}

static void
test_credentials(void)
{
	Relay relay = {0};
	g_autofree char *expired = NULL, *other = NULL;

	if (!relay_start(&relay))
		return;
	/* two allocations that send to each other */
	expect_relayed(0, "-y", V4);
	expect_relayed(TTL / 2, "-y -x", V6);
	expired = try_relay(1, "north", TTL + 2, "-y", V4);
	g_assert_nonnull(strstr(expired, "Cannot complete Allocation"));
	other = try_relay(1, "south", 0, "-y", V4);
	g_assert_nonnull(strstr(other, "Cannot complete Allocation"));
	relay_stop(&relay);
}

static void
test_denied_peers(void)
{
	static const char *const peers[] = {
		"10.9.9.9",	   "172.31.0.1", "192.168.1.1",	     "100.64.0.1",	"127.0.0.1",
		"169.254.169.254", "224.0.0.5",	 "255.255.255.255",  "0.0.0.1",		"::1",
		"::ffff:10.9.9.9", "::ffff:" V4, "64:ff9b::a09:909", "2002:a09:909::1", "fd00::1",
		"fe80::1",	   "ff02::1",
	};
	Relay relay = {0};

	if (!relay_start(&relay))
		return;
	for (guint i = 0; i < G_N_ELEMENTS(peers); i++) {
		gboolean six = strchr(peers[i], ':') != NULL;
		g_autofree char *args = g_strdup_printf("%s -e %s", six ? "-x" : "", peers[i]);
		g_autofree char *out = try_relay(i, "north", 0, args, six ? V6 : V4);

		if (!strstr(out, "403 (Forbidden IP)"))
			g_error("%s: %s", peers[i], out);
	}
	relay_stop(&relay);
}

#define USER_QUOTA 16

/* A client that is refused its peer goes away and leaves two allocations. However often a key gets
 * new credentials, they count together; another key's are its own. */
static void
test_quota(void)
{
	Relay relay = {0};
	g_autofree char *other = NULL;

	if (!relay_start(&relay))
		return;
	for (guint i = 0; i <= USER_QUOTA / 2; i++) {
		g_autofree char *out = try_relay(1, "north", i, "-e 10.9.9.9", V4);

		g_assert_nonnull(strstr(out, i < USER_QUOTA / 2
						     ? "403 (Forbidden IP)"
						     : "486 (Allocation Quota Reached)"));
	}
	other = try_relay(2, "north", 0, "-e 10.9.9.9", V4);
	g_assert_nonnull(strstr(other, "403 (Forbidden IP)"));
	relay_stop(&relay);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/coturn/credentials", test_credentials);
	g_test_add_func("/sig/coturn/denied-peers", test_denied_peers);
	g_test_add_func("/sig/coturn/quota", test_quota);
	return g_test_run();
}
