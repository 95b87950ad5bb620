/* SPDX-License-Identifier: MIT */
#include "agent/config/nat-config.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define URL "ws://signal.example:8080"
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "HxwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEAHh8="

static NatConfig *
parse(const char *text, const char *interface, const char *url, GError **error)
{
	const char *const interfaces[] = {interface, NULL};
	NatConfigFlags given = {.interfaces = interfaces, .signal_url = url};

	return nat_config_parse(text, strlen(text), "t.conf", &given, error);
}

static void
refused(const char *text, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) config = parse(text, NULL, NULL, &error);

	g_assert_null(config);
	g_assert_cmpstr(error->message, ==, expected);
}

static const NatConfigInterface *
nth(const NatConfig *config, guint i)
{
	g_assert_cmpuint(i, <, config->interfaces->len);
	return g_ptr_array_index(config->interfaces, i);
}

static void
flags_suffice(void)
{
	const char *const interfaces[] = {"wg0", "wg1", NULL}, *const stun[] = {"a.example", NULL};
	const char *const turn[] = {"turn:u:s@t.example", "turns:u:s@t.example", NULL};
	NatConfigFlags given = {interfaces, URL, stun, turn, "/tmp/c.sock"};
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) config = nat_config_load(NULL, &given, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(config->interfaces->len, ==, 2);
	g_assert_cmpstr(nth(config, 1)->name, ==, "wg1");
	g_assert_cmpstr(nth(config, 1)->signal_url, ==, URL);
	g_assert_cmpstr(nth(config, 1)->stun[0], ==, "a.example");
	g_assert_cmpstr(nth(config, 1)->turn[1], ==, "turns:u:s@t.example");
	g_assert_cmpint(nth(config, 1)->mtu, ==, NAT_MTU_ADVISE);
	g_assert_cmpuint(config->standby_max, ==, 16);
	g_assert_cmpstr(config->hosts_file, ==, "/etc/hosts");
	g_assert_cmpstr(config->control_path, ==, "/tmp/c.sock");
	g_assert_cmpstr(config->state_dir, ==, NAT_CONFIG_DEFAULT_STATE_DIR);
	g_assert_cmpuint(config->peers->len, ==, 0);
}

static const char FILE_TEXT[] = "# all of it\n"
				"[agent]\r\n"
				"control = /run/x/c.sock\n"
				"state_dir=/var/lib/x\n"
				"signal=wss://one.example\n"
				"stun=s.example;[2001:db8::1]:3479;\n"
				"turn=turn:u:a%3Bb@t.example; turns:u:x@[2001:db8::2]:443\n"
				"port_mapping=no\n"
				"many_ports=no\n"
				"mtu=auto\n"
				"standby=0\n"
				"metrics=127.0.0.1:9479\n"
				"hosts_file=/etc/hosts.d/peers\n"
				"\n"
				"[interface wg0]\n"
				"[interface wg1]\n"
				"signal=ws://two.example/path\n"
				"stun=\n"
				"turn=\n"
				"port_mapping = yes\n"
				"many_ports = yes\n"
				"mtu = off\n"
				"[peer café]\n"
				"public_key=" KEY_A "\n";

static void
file_suffices(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) config = parse(FILE_TEXT, NULL, NULL, &error);
	WgKey key;

	g_assert_no_error(error);
	g_assert_cmpstr(config->control_path, ==, "/run/x/c.sock");
	g_assert_cmpstr(config->state_dir, ==, "/var/lib/x");
	g_assert_cmpuint(config->interfaces->len, ==, 2);
	g_assert_cmpstr(nth(config, 0)->signal_url, ==, "wss://one.example");
	g_assert_cmpstr(nth(config, 0)->stun[1], ==, "[2001:db8::1]:3479");
	g_assert_null(nth(config, 0)->stun[2]);
	g_assert_cmpstr(nth(config, 1)->signal_url, ==, "ws://two.example/path");
	g_assert_null(nth(config, 1)->stun[0]);
	g_assert_cmpstr(nth(config, 0)->turn[0], ==, "turn:u:a%3Bb@t.example");
	g_assert_cmpstr(nth(config, 0)->turn[1], ==, "turns:u:x@[2001:db8::2]:443");
	g_assert_null(nth(config, 1)->turn[0]);
	g_assert_false(nth(config, 0)->port_mapping);
	g_assert_true(nth(config, 1)->port_mapping);
	g_assert_false(nth(config, 0)->many_ports);
	g_assert_true(nth(config, 1)->many_ports);
	g_assert_cmpint(nth(config, 0)->mtu, ==, NAT_MTU_AUTO);
	g_assert_cmpint(nth(config, 1)->mtu, ==, NAT_MTU_OFF);
	g_assert_cmpuint(config->standby_max, ==, 0);
	g_assert_cmpuint(wg_endpoint_port(&config->metrics), ==, 9479);
	g_assert_cmpstr(config->hosts_file, ==, "/etc/hosts.d/peers");
	g_assert_true(wg_key_parse(KEY_A, &key));
	g_assert_cmpstr(nat_config_peer_name(config, &key), ==, "café");
	key.b[0] ^= 1;
	g_assert_null(nat_config_peer_name(config, &key));
}

/* Nothing is something else than nothing said. */
static void
no_hosts_file(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) config = parse("[agent]\nhosts_file=\nsignal=wss://one.example\n"
					    "[interface wg0]\n",
					    NULL, NULL, &error);

	g_assert_no_error(error);
	g_assert_null(config->hosts_file);
}

static void
command_line_wins(void)
{
	const char *const interfaces[] = {"wg1", "wg2", NULL}, *const stun[] = {"c.example:9",
										NULL};
	const char *const turn[] = {"turn:u:s@c.example", NULL};
	NatConfigFlags given = {interfaces, URL, stun, turn, "/c"};
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) config =
		nat_config_parse(FILE_TEXT, strlen(FILE_TEXT), "t.conf", &given, &error);
	g_autoptr(NatConfig) from_groups = parse(FILE_TEXT, "wg1", NULL, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(config->interfaces->len, ==, 2);
	g_assert_cmpstr(nth(config, 0)->signal_url, ==, URL);
	g_assert_cmpstr(nth(config, 1)->stun[0], ==, "c.example:9");
	g_assert_cmpstr(nth(config, 0)->turn[0], ==, "turn:u:s@c.example");
	g_assert_null(nth(config, 0)->turn[1]);
	g_assert_cmpint(nth(config, 0)->mtu, ==, NAT_MTU_OFF);
	g_assert_cmpint(nth(config, 1)->mtu, ==, NAT_MTU_AUTO);
	g_assert_cmpstr(config->control_path, ==, "/c");
	/* an interface named on the command line still has its group */
	g_assert_cmpuint(from_groups->interfaces->len, ==, 1);
	g_assert_cmpstr(nth(from_groups, 0)->signal_url, ==, "ws://two.example/path");
}

static void
environment(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) config = NULL, flagged = NULL;
	const char *const interfaces[] = {"wg0", NULL};
	NatConfigFlags given = {
		.interfaces = interfaces, .signal_url = URL, .control = "/flag.sock"};

	g_setenv("NAT_AGENT_CONTROL", "/env.sock", TRUE);
	g_setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", TRUE);
	g_assert_cmpstr(nat_config_default_control(), ==, "/env.sock");
	config = parse("[agent]\ncontrol=/file.sock\n", "wg0", URL, &error);
	flagged = nat_config_load(NULL, &given, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(config->control_path, ==, "/env.sock");
	g_assert_cmpstr(config->state_dir, ==, "/var/lib/a");
	g_assert_cmpstr(flagged->control_path, ==, "/flag.sock");
	g_setenv("NAT_AGENT_CONTROL", "/dir/", TRUE);
	g_assert_null(parse("", "wg0", URL, &error));
	g_assert_cmpstr(error->message, ==,
			"NAT_AGENT_CONTROL: \"/dir/\" is not the path of a socket");
	g_unsetenv("NAT_AGENT_CONTROL");
	g_unsetenv("STATE_DIRECTORY");
	g_assert_cmpstr(nat_config_default_control(), ==, NAT_CONFIG_DEFAULT_CONTROL);
}

static void
structure(void)
{
	refused("[agent]\nsignal ws://x\n",
		"t.conf:2: \"signal ws://x\" is neither key=value, nor [group], nor # comment");
	refused("signal=ws://x\n",
		"t.conf:1: \"signal\" stands before any group: begin with [agent]");
	refused("[agent]\n\nsingal=ws://x\n",
		"t.conf:3: unknown key \"singal\" in [agent]: its keys "
		"are control, control_group, state_dir, signal, stun, turn, mtu, port_mapping, "
		"many_ports, standby, metrics, "
		"innernet_config_dir, innernet_data_dir, hosts_file");
	refused("[interface wg0]\ncontrol=/x\n", "t.conf:2: unknown key \"control\" in [interface "
						 "wg0]: its keys are signal, stun, turn, "
						 "mtu, port_mapping, many_ports, innernet");
	refused("[agnet]\n",
		"t.conf:1: unknown group [agnet]: the groups are [agent], [interface IF] "
		"and [peer NAME]");
	refused("[agent\n", "t.conf:1: \"[agent\" is not a group: write [name]");
	refused("[agent]]\n", "t.conf:1: \"[agent]]\" is not a group: write [name]");
	refused("[agent]\nsignal=ws://x\n[agent]\n",
		"t.conf:3: [agent] is given again, first in line 1: keep one");
	refused("[agent]\nsignal=ws://x\nsignal=ws://y\n",
		"t.conf:3: signal is given again, first in line 2: keep one");
	refused("[agent]\n\x1b[31m\xff=1\n", "t.conf:2: \"\\x1b[31m\\xff=1\" is not UTF-8");
	refused("",
		"no interface is given: add --interface IF, or a group [interface IF] to the file");
}

static void
values(void)
{
	refused("[agent]\nsignal=x.example\n[interface wg0]\n",
		"t.conf:2: signal: \"x.example\" has no scheme: write wss://x.example (or ws:// on "
		"a "
		"trusted network)");
	refused("[interface wg0]\n",
		"t.conf:1: [interface wg0]: \"wg0\" has no signaling server: give --signal URL, or "
		"signal=URL in the file");
	refused("[interface wg0]\nstun=a b\n", "t.conf:2: stun: \"a b\" is not a STUN server: "
					       "write HOST, HOST:PORT or [IPv6]:PORT");
	refused("[interface wg/0]\n",
		"t.conf:1: [interface wg/0]: \"wg/0\" is not an interface name: "
		"no spaces, no '/', no ':', no control characters");
	refused("[agent]\nstate_dir=lib\n",
		"t.conf:2: state_dir: not an absolute path: begin with '/'");
	refused("[agent]\nhosts_file=hosts\n",
		"t.conf:2: hosts_file: not an absolute path: begin with '/'");
	refused("[agent]\ncontrol=\n", "t.conf:2: control: \"\" is not the path of a socket");
	refused("[agent]\nstate_dir=/a\\q\n",
		"t.conf:2: state_dir: unknown escape: a backslash is written \\\\");
	refused("[peer a]\n", "t.conf:1: [peer a]: it needs public_key=KEY, as wg show prints it");
	refused("[peer a]\npublic_key=AAAA\n", "t.conf:2: public_key: not a key: it has 44 "
					       "characters of base64, as wg show prints "
					       "it");
	refused("[peer a]\npublic_key=" KEY_A "\n[peer b]\npublic_key=" KEY_A "\n",
		"t.conf:4: public_key: this key is already named \"a\": keep one");
}

/* What --metrics makes of a file that has an address already. */
static void
metrics_are(const char *flag, const char *expected)
{
	const char *const interfaces[] = {"wg0", NULL};
	NatConfigFlags flags = {.interfaces = interfaces, .signal_url = "ws://x", .metrics = flag};
	g_autoptr(GError) error = NULL;
	static const char text[] = "[agent]\nmetrics=[::1]:1\n";
	g_autoptr(NatConfig) config =
		nat_config_parse(text, strlen(text), "t.conf", &flags, &error);
	char shown[WG_ENDPOINT_STRLEN];

	g_assert_no_error(error);
	g_assert_cmpstr(wg_endpoint_format(&config->metrics, shown), ==, expected);
}

static void
metrics(void)
{
	metrics_are(NULL, "[::1]:1");
	metrics_are("9479", "127.0.0.1:9479");
	metrics_are("[2001:db8::1]:80", "[2001:db8::1]:80");
	metrics_are("none", "(none)");
	refused("[agent]\nmetrics=localhost:80\n",
		"t.conf:2: metrics: \"localhost:80\" is no address for metrics: write "
		"127.0.0.1:PORT, another numeric ADDRESS:PORT, a PORT alone, or none");
	refused("[agent]\nmetrics=0\n",
		"t.conf:2: metrics: \"0\" is no address for metrics: write 127.0.0.1:PORT, "
		"another numeric ADDRESS:PORT, a PORT alone, or none");
	refused("[agent]\nmetrics=127.0.0.1:0\n",
		"t.conf:2: metrics: \"127.0.0.1:0\" is no address for metrics: write "
		"127.0.0.1:PORT, another numeric ADDRESS:PORT, a PORT alone, or none");
}

static void
choices(void)
{
	refused("[agent]\nport_mapping=on\n",
		"t.conf:2: port_mapping: \"on\" is neither yes nor no");
	refused("[agent]\nmtu=on\n", "t.conf:2: mtu: \"on\" is none of auto, advise and off");
	refused("[interface wg0]\nmtu=\n", "t.conf:2: mtu: \"\" is none of auto, advise and off");
	refused("[agent]\nstandby=257\n",
		"t.conf:2: standby: \"257\" is not a number from 0 to 256");
	refused("[agent]\nstandby=-1\n", "t.conf:2: standby: \"-1\" is not a number from 0 to 256");
	refused("[interface wg0]\nstandby=1\n",
		"t.conf:2: unknown key \"standby\" in [interface wg0]: its keys are signal, stun, "
		"turn, mtu, port_mapping, many_ports, innernet");
}

/* Wherever a relay's URI ends up by mistake, its secret is not in the message. */
static void
secrets(void)
{
	static const char *const FILES[] = {
		"[agent]\nturn=turn:user:hunter2@\n",
		"[agent]\nturn=turn:user:hunter2@a b\n",
		"[agent]\nturn=turn:user:hunter2@a:0\n",
		"[agent]\nturn=turn:user:hunter2\n",
		"[agent]\nturn=user:hunter2@a\n",
		"[agent]\nturn=turn:user:x;hunter2@a\n",
		"[agent]\nturn=turn:user:hunter2%@a\n",
		"[agent]\nturn=turn:a;turn:user:hunter2@a?transport=sctp\n",
		"[agent]\nturn=turns:user:hunter2@a?transport=udp\n",
		"[agent]\nturn=TURN:user:hunter2\\q@a\n",
		"[agent]\nstun=turn:user:hunter2@a\n",
		"[agent]\nsignal=turn:user:hunter2@a\n",
		"[agent]\nsignal=turn://user:hunter2@a\n",
		"[agent]\nmtu=turn:user:hunter2@a\n",
		"[agent]\nturn:user:hunter2@a\n",
		"[agent]\nturn:user:hunter2@a?transport=udp\n",
		"turn:user:hunter2@a?transport=udp\n",
		"[agent]\nTurns:user:hunter2\xe9@a\n",
		"[turn:user:hunter2@a]\n",
		"[turn:user:hunter2@a\n",
		"[interface turn:user:hunter2@a]\n",
		"[agent]\nturn=turn:a\n turn:user:hunter2@b;\n",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(FILES); i++) {
		g_autoptr(GError) error = NULL;

		g_test_message("case %zu", i);
		g_assert_null(parse(FILES[i], NULL, NULL, &error));
		g_test_message("%s", error->message);
		g_assert_null(strstr(error->message, "hunter2"));
		g_assert_true(g_str_has_prefix(error->message, "t.conf:"));
	}
}

static void
turn_values(void)
{
	static const char *const GOOD[] = {"turn:a.example", "turn:u:s@192.0.2.1:80?transport=tcp",
					   "turns:u:s@[2001:db8::1]",
					   "TURN:u%40x:s%3As@a?transport=udp"};
	const char *const second[] = {"turn:a", "turn:u@a", NULL}, *const wg0[] = {"wg0", NULL};
	NatConfigFlags given = {.interfaces = wg0, .signal_url = URL, .turn = second};
	g_autoptr(GError) error = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(GOOD); i++)
		g_assert_true(nat_config_check_turn(GOOD[i], NULL));
	g_assert_false(nat_config_check_turn("", NULL));
	g_assert_null(nat_config_load(NULL, &given, &error));
	g_assert_true(g_str_has_prefix(error->message, "--turn: number 2 of the list: "));
}

/* A mistake in the file is told also where the flags make it unneeded. */
static void
unused_group(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(parse("[interface wg9]\nsignal=http://x\n", "wg0", URL, &error));
	g_assert_cmpstr(
		error->message, ==,
		"t.conf:2: signal: \"http://x\" is not a signaling URL: it begins with wss:// "
		"or ws://");
}

static void
urls(void)
{
	static const char *const GOOD[] = {"ws://a", "wss://a.example:443/x?y=z",
					   "ws://192.0.2.1:80/", "ws://[2001:db8::1]:8080"};
	static const char *const BAD[] = {
		"",	    "a.example",    "a.example:80", "http://a",	  "ws://",    "ws:///path",
		"ws://:80", "ws://a:65536", "ws://a:0",	    "ws://u:p@a", "ws://a#f", "ws://a b",
		"//a",	    "ws://[::1",    "ws://a:b",	    "WS ://a",	  "a\nb",     "\xff://a",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(GOOD); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(nat_config_check_url(GOOD[i], &error));
		g_assert_no_error(error);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autoptr(GError) error = NULL;

		g_test_message("case %zu", i);
		g_assert_false(nat_config_check_url(BAD[i], &error));
		g_assert_nonnull(error);
		g_assert_null(strchr(error->message, '\n'));
	}
}

static void
stun(void)
{
	static const struct {
		const char *text, *host;
		guint16 port;
	} GOOD[] = {
		{"a.example", "a.example", 3478},	{"a:1", "a", 1},
		{"192.0.2.1:5", "192.0.2.1", 5},	{"[2001:db8::1]:7", "2001:db8::1", 7},
		{"[2001:db8::1]", "2001:db8::1", 3478}, {"2001:db8::1", "2001:db8::1", 3478},
	};
	static const char *const BAD[] = {"",	 ":1",		 "a:",	  "a:0",    "a:65536",
					  "a:b", "a:1:2",	 "[a]:1", "[::1",   "[::1]1",
					  "a b", "stun:a",	 "-a",	  "[::1]:", "a:+1",
					  "a/b", "[192.0.2.1]:1"};

	for (gsize i = 0; i < G_N_ELEMENTS(GOOD); i++) {
		g_autofree char *host = NULL;
		guint16 port = 0;

		g_assert_true(nat_config_split_stun(GOOD[i].text, &host, &port, NULL));
		g_assert_cmpstr(host, ==, GOOD[i].host);
		g_assert_cmpuint(port, ==, GOOD[i].port);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autoptr(GError) error = NULL;

		g_test_message("case %zu", i);
		g_assert_false(nat_config_split_stun(BAD[i], NULL, NULL, &error));
		g_assert_nonnull(error);
	}
}

static void
interface_names(void)
{
	static const char *const BAD[] = {
		"", "wg/0", "wg 0", "0123456789abcdef", ".", "..", "--x", "w\x1b[m", "wé", "a:b"};
	const char *const twice[] = {"wg0", "wg0", NULL};
	NatConfigFlags given = {.interfaces = twice, .signal_url = URL};
	g_autoptr(GError) twice_error = NULL;

	g_assert_true(nat_config_check_interface("wg0", NULL));
	g_assert_true(nat_config_check_interface("0123456789abcde", NULL));
	for (gsize i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autoptr(GError) error = NULL;

		g_test_message("case %zu", i);
		g_assert_false(nat_config_check_interface(BAD[i], &error));
		g_assert_null(strchr(error->message, '\x1b'));
	}
	g_assert_null(nat_config_load(NULL, &given, &twice_error));
	g_assert_cmpstr(twice_error->message, ==, "--interface: \"wg0\" is given twice: keep one");
}

static void
flag_refused(const NatConfigFlags *given, const char *beginning)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(nat_config_load(NULL, given, &error));
	g_assert_true(g_str_has_prefix(error->message, beginning));
}

static void
flags(void)
{
	const char *const interfaces[] = {"wg0", NULL}, *const bad_stun[] = {"a", "b:x", NULL};
	g_autofree char *long_path = g_strnfill(108, 'x');
	NatConfigFlags given = {.interfaces = interfaces, .signal_url = "a.example"};

	flag_refused(&given, "--signal: \"a.example\" has no scheme: ");
	given.signal_url = NULL;
	flag_refused(&given, "--interface: \"wg0\" has no signaling server: ");
	given.signal_url = URL;
	given.stun = bad_stun;
	flag_refused(&given, "--stun: \"b:x\" is not a STUN server: ");
	given.stun = NULL;
	given.control = long_path;
	flag_refused(&given, "--control: ");
}

static void
missing_file(void)
{
	g_autoptr(GError) missing = NULL, directory = NULL;
	g_autofree char *dir = g_dir_make_tmp("nat-config-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "none.conf", NULL);
	NatConfigFlags given = {.signal_url = URL};

	g_assert_null(nat_config_load(path, &given, &missing));
	g_assert_nonnull(strstr(missing->message, path));
	g_assert_nonnull(strstr(missing->message, "No such file"));
	g_assert_null(nat_config_load(dir, &given, &directory));
	g_assert_nonnull(strstr(directory->message, dir));
	g_rmdir(dir);
}

static void
read_file(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *dir = g_dir_make_tmp("nat-config-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "a.conf", NULL);
	g_autoptr(NatConfig) good = NULL, binary = NULL, big = NULL;
	g_autofree char *long_text = g_strnfill(65537, '#');

	g_assert_true(g_file_set_contents(path, FILE_TEXT, -1, NULL));
	good = nat_config_load(path, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(good->interfaces->len, ==, 2);
	g_assert_true(g_file_set_contents(path, "\177ELF\0\0", 6, NULL));
	binary = nat_config_load(path, NULL, &error);
	g_assert_null(binary);
	g_assert_nonnull(
		strstr(error->message, "a.conf: not a configuration file: it holds a NUL"));
	g_clear_error(&error);
	g_assert_true(g_file_set_contents(path, long_text, -1, NULL));
	big = nat_config_load(path, NULL, &error);
	g_assert_null(big);
	g_assert_nonnull(strstr(error->message, "larger than 64 kB"));
	g_unlink(path);
	g_rmdir(dir);
}

/* What innernet has a file of is dealt with beside it, unless the file says otherwise. */
static void
innernet(void)
{
	g_autofree char *dir = g_dir_make_tmp("nat-config.XXXXXX", NULL);
	g_autofree char *conf = g_build_filename(dir, "wg0.conf", NULL);
	g_autofree char *agent = g_strdup_printf(
		"[agent]\ninnernet_config_dir=%s\ninnernet_data_dir=/x\n[interface wg0]\n", dir);
	g_autofree char *off = g_strconcat(agent, "innernet=off\nsignal=ws://x\n", NULL);
	g_autofree char *yes = g_strconcat(agent, "innernet=yes\n", NULL);
	g_autofree char *named = g_strconcat(agent, "signal=ws://x\n", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) config = parse(yes, NULL, NULL, &error);

	/* only when written: there is no file of it yet */
	g_assert_no_error(error);
	g_assert_cmpint(nth(config, 0)->innernet, ==, NAT_INNERNET_YES);
	g_assert_cmpstr(nth(config, 0)->innernet_conf, ==, conf);
	g_assert_cmpstr(nth(config, 0)->innernet_store, ==, "/x/wg0.json");
	g_assert_null(nth(config, 0)->signal_url);
	g_clear_pointer(&config, nat_config_free);
	g_assert_null(parse(agent, NULL, NULL, &error));
	g_assert_nonnull(strstr(error->message, "has no signaling server"));
	g_clear_error(&error);

	g_assert_true(g_file_set_contents(conf, "", -1, NULL));
	config = parse(agent, NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(nth(config, 0)->innernet, ==, NAT_INNERNET_BESIDE);
	g_clear_pointer(&config, nat_config_free);
	config = parse(named, NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(nth(config, 0)->innernet, ==, NAT_INNERNET_BESIDE);
	g_assert_cmpstr(nth(config, 0)->signal_url, ==, "ws://x");
	g_clear_pointer(&config, nat_config_free);
	config = parse(off, NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(nth(config, 0)->innernet, ==, NAT_INNERNET_OFF);
	g_assert_null(nth(config, 0)->innernet_conf);
	g_unlink(conf);
	g_rmdir(dir);
	refused("[interface wg0]\ninnernet=maybe\n",
		"t.conf:2: innernet: \"maybe\" is none of beside, yes and off");
	refused("[agent]\ninnernet=yes\n",
		"t.conf:2: unknown key \"innernet\" in [agent]: its keys are control, "
		"control_group, state_dir, "
		"signal, stun, turn, mtu, port_mapping, many_ports, standby, metrics, "
		"innernet_config_dir, "
		"innernet_data_dir, "
		"hosts_file");
	refused("[agent]\ninnernet_data_dir=x\n[interface wg0]\n",
		"t.conf:2: innernet_data_dir: not an absolute path: begin with '/'");
}

int
main(int argc, char **argv)
{
	g_unsetenv("NAT_AGENT_CONTROL");
	g_unsetenv("STATE_DIRECTORY");
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/flags-suffice", flags_suffice);
	g_test_add_func("/config/file-suffices", file_suffices);
	g_test_add_func("/config/no-hosts-file", no_hosts_file);
	g_test_add_func("/config/command-line-wins", command_line_wins);
	g_test_add_func("/config/environment", environment);
	g_test_add_func("/config/structure", structure);
	g_test_add_func("/config/values", values);
	g_test_add_func("/config/choices", choices);
	g_test_add_func("/config/metrics", metrics);
	g_test_add_func("/config/secrets", secrets);
	g_test_add_func("/config/turn", turn_values);
	g_test_add_func("/config/unused-group", unused_group);
	g_test_add_func("/config/innernet", innernet);
	g_test_add_func("/config/urls", urls);
	g_test_add_func("/config/stun", stun);
	g_test_add_func("/config/interface-names", interface_names);
	g_test_add_func("/config/flags", flags);
	g_test_add_func("/config/missing-file", missing_file);
	g_test_add_func("/config/read-file", read_file);
	return g_test_run();
}
