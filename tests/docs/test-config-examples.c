/* SPDX-License-Identifier: MIT */
/*
 * The configuration files under docs/: as they are, and with every key taken out of its comment (a
 * '#' before a space is prose, any other a key or a group), they are accepted; no key is missing;
 * and what they show as a default is the default. The folder is the first argument.
 */
#include <string.h>

#include "agent/config/nat-config-group.h"
#include "signaling/sig-config.h"

static const char *dir;

static char *
read_example(const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autoptr(GError) error = NULL;
	char *text = NULL;

	g_file_get_contents(path, &text, NULL, &error);
	g_assert_no_error(error);
	return text;
}

/* All keys in use but `without` (may be NULL). */
static char *
uncommented(const char *text, const char *without)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		char *body = *line + 1;

		if (**line == '#' && *body && *body != ' ' &&
		    !(without && g_str_has_prefix(body, without) && body[strlen(without)] == '='))
			memmove(*line, body, strlen(body) + 1);
	}
	return g_strjoinv("\n", lines);
}

/* [agent]'s keys, and no other group's. */
static char *
only_agent(const char *text)
{
	const char *end = strstr(text, "\n[interface ");

	g_assert_nonnull(end);
	return g_strndup(text, (gsize)(end - text));
}

static GKeyFile *
key_file(const char *text)
{
	g_autoptr(GError) error = NULL;
	GKeyFile *file = g_key_file_new();

	g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, &error);
	g_assert_no_error(error);
	return file;
}

/* Whether a group of this name, or one that begins with it (up to the space), has the key. */
static gboolean
has_key(GKeyFile *file, const char *kind, const char *key)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
	gboolean found = FALSE;

	for (guint i = 0; groups[i]; i++)
		found |= (g_str_equal(groups[i], kind) ||
			  (g_str_has_suffix(kind, " ") && g_str_has_prefix(groups[i], kind))) &&
			 g_key_file_has_key(file, groups[i], key, NULL);
	return found;
}

static NatConfig *
agent_config(const char *text)
{
	const char *const interfaces[] = {"wg9", NULL};
	NatConfigFlags flags = {.interfaces = interfaces, .signal_url = "wss://signal.example"};
	g_autoptr(GError) error = NULL;
	NatConfig *config = nat_config_parse(text, strlen(text), "example", &flags, &error);

	g_assert_no_error(error);
	return config;
}

static void
agent_accepted(void)
{
	g_autofree char *text = read_example("nat-agent.conf.example");
	g_autofree char *all = uncommented(text, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(NatConfig) plain = nat_config_parse(text, strlen(text), "example", NULL, &error);
	g_autoptr(NatConfig) full = NULL;

	g_assert_no_error(error);
	g_assert_cmpuint(plain->interfaces->len, ==, 1);
	full = nat_config_parse(all, strlen(all), "uncommented", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(full->interfaces->len, >, 1);
}

static void
agent_complete(void)
{
	static const char *const KINDS[] = {"agent", NAT_CONFIG_GROUP_INTERFACE,
					    NAT_CONFIG_GROUP_PEER};
	g_autofree char *text = read_example("nat-agent.conf.example");
	g_autofree char *all = uncommented(text, NULL);
	g_autoptr(GKeyFile) file = key_file(all);

	for (guint i = 0; i < G_N_ELEMENTS(KINDS); i++) {
		const char *const *keys = nat_config_group_keys(KINDS[i]);
		const char *told = nat_config_group_known(KINDS[i], "?");

		for (; *keys; keys++) {
			g_test_message("[%s] %s", KINDS[i], *keys);
			g_assert_true(has_key(file, KINDS[i], *keys));
			/* what is said to whom has written an unknown key */
			g_assert_nonnull(strstr(told, *keys));
		}
	}
}

static void
agent_defaults(void)
{
	g_autofree char *text = read_example("nat-agent.conf.example");
	g_autofree char *all = uncommented(text, NULL), *agent = only_agent(all);
	g_autoptr(NatConfig) given = agent_config(agent), none = agent_config("");
	const NatConfigInterface *one = g_ptr_array_index(given->interfaces, 0);
	const NatConfigInterface *other = g_ptr_array_index(none->interfaces, 0);

	g_assert_cmpint(one->mtu, ==, other->mtu);
	g_assert_cmpuint(given->standby_max, ==, none->standby_max);
	g_assert_cmpstr(given->control_path, ==, none->control_path);
	g_assert_cmpstr(given->state_dir, ==, none->state_dir);
	g_assert_cmpstr(given->innernet_config_dir, ==, none->innernet_config_dir);
	g_assert_cmpstr(given->innernet_data_dir, ==, none->innernet_data_dir);
	g_assert_cmpstr(given->hosts_file, ==, none->hosts_file);
}

static SigConfig *
signald_config(const char *text)
{
	const SigArgs args = {0};
	g_autoptr(GError) error = NULL;
	SigConfig *config = sig_config_parse(text, strlen(text), "example", &args, &error);

	g_assert_no_error(error);
	return config;
}

/* A list of keys and an interface exclude each other. */
static void
signald_accepted(void)
{
	g_autofree char *text = read_example("nat-signald.conf.example");
	g_autofree char *with_file = uncommented(text, "allow-wg");
	g_autofree char *with_wg = uncommented(text, "allow-file");
	g_autoptr(SigConfig) plain = signald_config(text);
	g_autoptr(SigConfig) file = signald_config(with_file), wg = signald_config(with_wg);

	g_assert_true(!plain->allow_file && !plain->allow_wg);
	g_assert_true(file->allow_file && !file->allow_wg);
	g_assert_true(!wg->allow_file && wg->allow_wg);
}

static void
signald_complete(void)
{
	g_autofree char *text = read_example("nat-signald.conf.example");
	g_autofree char *all = uncommented(text, NULL);
	g_autoptr(GKeyFile) file = key_file(all);
	const char *group, *key;

	for (guint i = 0; (key = sig_config_nth_key(i, &group)); i++) {
		g_test_message("[%s] %s", group, key);
		g_assert_true(has_key(file, group, key));
	}
}

static void
same_endpoints(const GArray *a, const GArray *b)
{
	g_assert_cmpuint(a->len, ==, b->len);
	for (guint i = 0; i < a->len; i++)
		g_assert_true(wg_endpoint_equal(&g_array_index(a, WgEndpoint, i),
						&g_array_index(b, WgEndpoint, i)));
}

/* Against the file as it is: without TLS, or with it, the default port is another. */
static void
signald_defaults(void)
{
	g_autofree char *text = read_example("nat-signald.conf.example");
	g_autofree char *all = uncommented(text, "allow-wg");
	g_autoptr(SigConfig) given = signald_config(all), none = signald_config(text);

	g_assert_cmpmem(&given->limits, sizeof given->limits, &none->limits, sizeof none->limits);
	same_endpoints(given->listen, none->listen);
	g_assert_cmpuint(given->turn_ttl, ==, none->turn_ttl);
	g_assert_true(wg_endpoint_equal(&given->metrics, &none->metrics));
	g_assert_cmpint(given->log_addresses, ==, none->log_addresses);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, >, 1);
	dir = argv[1];
	/* these win over, or are, defaults */
	g_unsetenv("NAT_AGENT_CONTROL");
	g_unsetenv("STATE_DIRECTORY");
	g_test_add_func("/config-examples/agent/accepted", agent_accepted);
	g_test_add_func("/config-examples/agent/complete", agent_complete);
	g_test_add_func("/config-examples/agent/defaults", agent_defaults);
	g_test_add_func("/config-examples/signald/accepted", signald_accepted);
	g_test_add_func("/config-examples/signald/complete", signald_complete);
	g_test_add_func("/config-examples/signald/defaults", signald_defaults);
	return g_test_run();
}
