/* SPDX-License-Identifier: MIT */
#include "agent/cli/nat-cli.h"

#include <string.h>

#include "agent/base/nat-privs.h"

#define ARGS(...) ((const char *const[]){"nat-agent", __VA_ARGS__, NULL})

static NatCli *
parsed(const char *const *argv)
{
	g_autoptr(GError) error = NULL;
	NatCli *cli = nat_cli_parse(argv, &error);

	g_assert_no_error(error);
	g_assert_nonnull(cli);
	return cli;
}

static void
refused(const char *const *argv, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(nat_cli_parse(argv, &error));
	g_assert_cmpstr(error->message, ==, message);
}

static void
run(void)
{
	g_autoptr(NatCli) cli =
		parsed(ARGS("run", "-c", "a.conf", "--interface", "wg0", "--interface=wg1",
			    "--signal", "ws://a", "--stun", "b", "--stun", "c:1", "--turn",
			    "turn:d", "--turn=turns:e", "--control", "/x"));
	g_autoptr(NatCli) bare = parsed(ARGS("run"));

	g_assert_cmpint(cli->command, ==, NAT_CLI_RUN);
	g_assert_cmpstr(cli->file, ==, "a.conf");
	g_assert_cmpuint(g_strv_length(cli->interfaces), ==, 2);
	g_assert_cmpstr(cli->interfaces[1], ==, "wg1");
	g_assert_cmpstr(cli->signal_url, ==, "ws://a");
	g_assert_cmpstr(cli->stun[1], ==, "c:1");
	g_assert_cmpstr(cli->turn[0], ==, "turn:d");
	g_assert_cmpstr(cli->turn[1], ==, "turns:e");
	g_assert_cmpstr(cli->control, ==, "/x");
	g_assert_null(bare->file);
	g_assert_null(bare->interfaces);
	g_assert_null(bare->control);
}

static void
status(void)
{
	g_autoptr(NatCli) cli = parsed(ARGS("status", "--json", "--watch", "--interface", "wg0",
					    "alice", "--control", "/x"));
	g_autoptr(NatCli) bare = parsed(ARGS("status"));
	g_autoptr(NatCli) dashed = parsed(ARGS("status", "--", "-odd"));

	g_assert_cmpint(cli->command, ==, NAT_CLI_STATUS);
	g_assert_true(cli->json && cli->watch);
	g_assert_cmpstr(cli->interfaces[0], ==, "wg0");
	g_assert_cmpstr(cli->peer, ==, "alice");
	g_assert_cmpstr(cli->control, ==, "/x");
	g_assert_false(bare->json || bare->watch);
	g_assert_null(bare->peer);
	g_assert_cmpstr(dashed->peer, ==, "-odd");
}

static void
teardown(void)
{
	g_autoptr(NatCli) cli = parsed(ARGS("teardown", "-c", "a.conf", "--interface", "wg0"));
	g_autoptr(NatCli) bare = parsed(ARGS("teardown"));
	g_autoptr(NatCli) run = parsed(ARGS("run", "--no-port-mapping"));

	g_assert_cmpint(cli->command, ==, NAT_CLI_TEARDOWN);
	g_assert_cmpstr(cli->file, ==, "a.conf");
	g_assert_cmpstr(cli->interfaces[0], ==, "wg0");
	g_assert_null(bare->interfaces);
	g_assert_true(run->no_port_mapping);
}

static void
innernet_install(void)
{
	g_autoptr(NatCli) cli = parsed(ARGS("innernet", "install", "--interface", "evil", "a.toml",
					    "--config-dir", "/d", "--delete-invite"));
	g_autoptr(NatCli) bare = parsed(ARGS("innernet", "install", "a.toml"));

	g_assert_cmpint(cli->command, ==, NAT_CLI_INNERNET_INSTALL);
	g_assert_cmpstr(cli->interfaces[0], ==, "evil");
	g_assert_cmpstr(cli->invite, ==, "a.toml");
	g_assert_cmpstr(cli->config_dir, ==, "/d");
	g_assert_true(cli->delete_invite);
	g_assert_null(bare->interfaces);
	g_assert_cmpstr(bare->config_dir, ==, "/etc/innernet");
	g_assert_false(bare->delete_invite);
}

static void
wrong_innernet(void)
{
	refused(ARGS("innernet"), "what of innernet? nat-agent innernet install INVITATION");
	refused(ARGS("innernet", "up"),
		"unknown command \"innernet up\": there is innernet install; for the rest, "
		"innernet's own client");
	refused(ARGS("innernet", "install"),
		"the invitation is missing: name the file that you were given");
	refused(ARGS("innernet", "install", ""),
		"the invitation is missing: name the file that you were given");
	refused(ARGS("innernet", "install", "a", "b"),
		"\"b\" is one argument too many: one invitation at a time");
	refused(ARGS("innernet", "install", "a", "--interface", "a", "--interface", "b"),
		"--interface is given twice: keep one");
	refused(ARGS("innernet", "install", "a", "--signal", "b"),
		"Unknown option --signal: see nat-agent innernet install --help");
}

static void
help(void)
{
	g_autoptr(NatCli) all = parsed(ARGS("--help"));
	g_autoptr(NatCli) of_run = parsed(ARGS("run", "--help"));
	g_autoptr(NatCli) of_status = parsed(ARGS("status", "-h"));
	g_autoptr(NatCli) of_install = parsed(ARGS("innernet", "install", "--help"));
	g_autoptr(NatCli) of_innernet = parsed(ARGS("innernet", "--help"));
	g_autoptr(NatCli) version = parsed(ARGS("--version"));

	g_assert_cmpint(all->command, ==, NAT_CLI_HELP);
	g_assert_nonnull(strstr(all->help, "nat-agent status"));
	g_assert_cmpint(of_run->command, ==, NAT_CLI_HELP);
	g_assert_nonnull(strstr(of_run->help, "- serve WireGuard interfaces"));
	g_assert_nonnull(strstr(of_run->help, "--signal=URL"));
	g_assert_nonnull(strstr(of_status->help, "3 no agent"));
	g_assert_nonnull(strstr(of_install->help, "INVITATION - become a member"));
	g_assert_nonnull(strstr(of_install->help, "--config-dir=DIR"));
	g_assert_nonnull(strstr(of_innernet->help, "nat-agent innernet install"));
	g_assert_cmpint(version->command, ==, NAT_CLI_VERSION);
}

static void
wrong_run(void)
{
	refused(ARGS("run", "--interfaec", "wg0"),
		"Unknown option --interfaec: see nat-agent run --help");
	refused(ARGS("run", "-x"), "Unknown option -x: see nat-agent run --help");
	refused(ARGS("run", "--interface"),
		"Missing argument for --interface: see nat-agent run --help");
	refused(ARGS("run", "--interface", "--signal", "ws://a"),
		"--interface wants a value, not \"--signal\"");
	refused(ARGS("run", "--signal="), "--signal wants a value, not \"\"");
	refused(ARGS("run", "--signal", "ws://a", "--signal", "ws://b"),
		"--signal is given twice: keep one");
	refused(ARGS("run", "-c", "a", "-c", "b"), "-c is given twice: keep one");
	refused(ARGS("run", "wg0"),
		"\"wg0\" is not a flag: interfaces are named with --interface IF");
	refused(ARGS("run", "--json"), "Unknown option --json: see nat-agent run --help");
	refused(ARGS("run", "--control", "/tmp/"),
		"--control: \"/tmp/\" is not the path of a socket");
}

/* A relay's secret in the wrong place is not repeated. */
static void
secrets(void)
{
	refused(ARGS("run", "turn:u:hunter2@a"),
		"\"turn:...\" is not a flag: interfaces are named with --interface IF");
	refused(ARGS("run", "--trun=turn:u:hunter2@a"),
		"Unknown option --trun=turn:...: see nat-agent run --help");
	refused(ARGS("run", "--turn", "-turns:u:hunter2@a"),
		"--turn wants a value, not \"-turns:...\"");
	refused(ARGS("turn:u:hunter2@a"), "unknown command \"turn:...\": see nat-agent --help");
}

static void
wrong_status(void)
{
	refused(ARGS("status", "a", "b"), "\"b\" is one PEER too many: give at most one");
	refused(ARGS("status", ""), "the PEER is empty: give a name, a key or how the key begins");
	refused(ARGS("status", "--interface", "a", "--interface", "b"),
		"--interface is given twice: status shows one, or all without it");
	refused(ARGS("status", "--signal", "x"),
		"Unknown option --signal: see nat-agent status --help");
	refused(ARGS("status", "--control"),
		"Missing argument for --control: see nat-agent status --help");
}

static void
wrong_command(void)
{
	static const char *const NONE[] = {"nat-agent", NULL}, *const NOT_EVEN_A_NAME[] = {NULL};

	refused(NONE, "a command is missing: run, status or another one, see nat-agent --help");
	refused(NOT_EVEN_A_NAME,
		"a command is missing: run, status or another one, see nat-agent --help");
	refused(ARGS("frobnicate"), "unknown command \"frobnicate\": see nat-agent --help");
	refused(ARGS("--frobnicate"), "unknown flag \"--frobnicate\": see nat-agent --help");
	refused(ARGS("netchekc"), "unknown command \"netchekc\": see nat-agent --help");
	refused(ARGS("\x1b[2J\n\xff"),
		"unknown command \"\\x1b[2J\\x0a\\xff\": see nat-agent --help");
	refused(ARGS("--version", "x"), "\"x\" is one argument too many");
	refused(ARGS("--help", "run"), "\"run\" is one argument too many");
}

static void
privileges(void)
{
	const guint64 all = G_MAXUINT64, no_raw = all & ~(G_GUINT64_CONSTANT(1) << 13);
	const guint64 network = 1 << 12 | 1 << 13; /* CAP_NET_ADMIN, CAP_NET_RAW */
	g_autoptr(GError) raw = NULL, none = NULL;

	g_assert_true(nat_privs_check_set(all, NULL));
	g_assert_true(nat_privs_check_set(network, NULL));
	g_assert_false(nat_privs_check_set(no_raw, &raw));
	g_assert_cmpstr(
		raw->message, ==,
		"not allowed to run without CAP_NET_RAW (STUN on WireGuard's port): run it as "
		"root, or with these capabilities (a container: --cap-add NET_ADMIN --cap-add "
		"NET_RAW "
		"--device /dev/net/tun)");
	g_assert_false(nat_privs_check_set(0, &none));
	g_assert_nonnull(strstr(none->message, "CAP_NET_ADMIN"));
	g_assert_null(strstr(none->message, "CAP_SYS_ADMIN"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/run", run);
	g_test_add_func("/cli/status", status);
	g_test_add_func("/cli/teardown", teardown);
	g_test_add_func("/cli/innernet-install", innernet_install);
	g_test_add_func("/cli/help", help);
	g_test_add_func("/cli/wrong-run", wrong_run);
	g_test_add_func("/cli/secrets", secrets);
	g_test_add_func("/cli/wrong-status", wrong_status);
	g_test_add_func("/cli/wrong-innernet", wrong_innernet);
	g_test_add_func("/cli/wrong-command", wrong_command);
	g_test_add_func("/cli/privileges", privileges);
	return g_test_run();
}
