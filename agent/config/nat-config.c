/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: the file is scanned by NatKeyFile with nat_config_group_known() as the list
 * of what may be in it, so everything after that only meets known keys. Then each setting is taken
 * from the first place that has it: command line, environment, [interface], [agent], default.
 */
#include "agent/config/nat-config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/config/nat-config-group.h"

#define INTERFACE NAT_CONFIG_GROUP_INTERFACE
#define PEER NAT_CONFIG_GROUP_PEER
#define NAME_MAX_CHARS 64

typedef struct {
	NatKeyFile *file;
	NatConfigFlags flags;
} Sources;

void
nat_config_interface_free(NatConfigInterface *iface)
{
	if (!iface)
		return;
	g_free(iface->name);
	g_free(iface->signal_url);
	g_strfreev(iface->stun);
	g_strfreev(iface->turn);
	g_free(iface->innernet_conf);
	g_free(iface->innernet_store);
	g_free(iface);
}

static void
interface_free(gpointer data)
{
	nat_config_interface_free(data);
}

gboolean
nat_config_has_interface(const NatConfig *config, const char *name)
{
	for (guint i = 0; i < config->interfaces->len; i++) {
		const NatConfigInterface *iface = g_ptr_array_index(config->interfaces, i);

		if (strcmp(iface->name, name) == 0)
			return TRUE;
	}
	return FALSE;
}

NatConfigInterface *
nat_config_interface_copy(const NatConfigInterface *iface)
{
	NatConfigInterface *copy = g_new(NatConfigInterface, 1);

	*copy = *iface;
	copy->name = g_strdup(iface->name);
	copy->signal_url = g_strdup(iface->signal_url);
	copy->stun = g_strdupv(iface->stun);
	copy->turn = g_strdupv(iface->turn);
	copy->innernet_conf = g_strdup(iface->innernet_conf);
	copy->innernet_store = g_strdup(iface->innernet_store);
	return copy;
}

static gboolean
strv_equal(GStrv a, GStrv b)
{
	if (!a || !b)
		return a == b;
	return g_strv_equal((const char *const *)a, (const char *const *)b);
}

gboolean
nat_config_interface_equal(const NatConfigInterface *a, const NatConfigInterface *b)
{
	return strcmp(a->name, b->name) == 0 && g_strcmp0(a->signal_url, b->signal_url) == 0 &&
	       strv_equal(a->stun, b->stun) && strv_equal(a->turn, b->turn) && a->mtu == b->mtu &&
	       a->port_mapping == b->port_mapping && a->many_ports == b->many_ports &&
	       a->innernet == b->innernet && g_strcmp0(a->innernet_conf, b->innernet_conf) == 0 &&
	       g_strcmp0(a->innernet_store, b->innernet_store) == 0;
}

const char *
nat_config_fixed_difference(const NatConfig *a, const NatConfig *b)
{
	if (strcmp(a->control_path, b->control_path) != 0 ||
	    g_strcmp0(a->control_group, b->control_group) != 0)
		return "control or control_group";
	if (strcmp(a->state_dir, b->state_dir) != 0)
		return "state_dir";
	if (!wg_endpoint_equal(&a->metrics, &b->metrics))
		return "metrics";
	if (strcmp(a->innernet_config_dir, b->innernet_config_dir) != 0 ||
	    strcmp(a->innernet_data_dir, b->innernet_data_dir) != 0 ||
	    g_strcmp0(a->hosts_file, b->hosts_file) != 0)
		return "innernet_config_dir, innernet_data_dir or hosts_file";
	return NULL;
}

static void
peer_free(gpointer data)
{
	NatConfigPeer *peer = data;

	g_free(peer->name);
	g_free(peer);
}

void
nat_config_free(NatConfig *config)
{
	if (!config)
		return;
	g_free(config->control_path);
	g_free(config->control_group);
	g_free(config->state_dir);
	g_free(config->innernet_config_dir);
	g_free(config->innernet_data_dir);
	g_free(config->hosts_file);
	g_ptr_array_unref(config->interfaces);
	g_ptr_array_unref(config->peers);
	g_free(config);
}

const char *
nat_config_peer_name(const NatConfig *config, const WgKey *key)
{
	for (guint i = 0; i < config->peers->len; i++) {
		const NatConfigPeer *peer = g_ptr_array_index(config->peers, i);

		if (wg_key_equal(&peer->public_key, key))
			return peer->name;
	}
	return NULL;
}

/* Sets what is still missing in iface. */
static gboolean
fill_from_group(NatConfigInterface *iface, NatConfigSaid *said, NatKeyFile *file, const char *name,
		GError **error)
{
	g_auto(NatConfigGroup) group = {0};

	if (!nat_config_group_read(file, name, &group, error))
		return FALSE;
	nat_config_group_fill(&group, iface, said);
	return TRUE;
}

/* Where the file says nothing, innernet's own file of the interface does. */
static void
set_innernet(const NatConfig *config, NatConfigInterface *iface)
{
	g_autofree char *base = g_strconcat(iface->name, ".conf", NULL);
	g_autofree char *store = g_strconcat(iface->name, ".json", NULL);
	g_autofree char *path = g_build_filename(config->innernet_config_dir, base, NULL);

	if (iface->innernet == NAT_INNERNET_UNSAID)
		iface->innernet = g_file_test(path, G_FILE_TEST_EXISTS) ? NAT_INNERNET_BESIDE
									: NAT_INNERNET_OFF;
	if (iface->innernet == NAT_INNERNET_OFF)
		return;
	iface->innernet_conf = g_steal_pointer(&path);
	iface->innernet_store = g_build_filename(config->innernet_data_dir, store, NULL);
}

/* An empty list of a flag is one that was not given. */
static GStrv
copy_list(const char *const *list)
{
	return list && list[0] ? g_strdupv((GStrv)list) : NULL;
}

static gboolean
has_interface(const NatConfig *config, const char *name)
{
	for (guint i = 0; i < config->interfaces->len; i++) {
		const NatConfigInterface *iface = g_ptr_array_index(config->interfaces, i);

		if (strcmp(iface->name, name) == 0)
			return TRUE;
	}
	return FALSE;
}

static gboolean
add_interface(NatConfig *config, const char *name, const Sources *from, GError **error)
{
	g_autofree char *group = g_strconcat(INTERFACE, name, NULL);
	NatConfigInterface *iface;
	NatConfigSaid said = {.port_mapping = from->flags.no_port_mapping,
			      .many_ports = from->flags.no_many_ports};

	if (!nat_config_check_interface(name, error))
		return FALSE;
	if (has_interface(config, name)) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "\"%s\" is given twice: keep one", name);
		return FALSE;
	}
	iface = g_new0(NatConfigInterface, 1);
	g_ptr_array_add(config->interfaces, iface);
	iface->name = g_strdup(name);
	iface->signal_url = g_strdup(from->flags.signal_url);
	iface->stun = copy_list(from->flags.stun);
	iface->turn = copy_list(from->flags.turn);
	iface->mtu = NAT_MTU_ADVISE;
	iface->port_mapping = !from->flags.no_port_mapping;
	iface->many_ports = !from->flags.no_many_ports;
	iface->innernet = NAT_INNERNET_UNSAID;
	if (!fill_from_group(iface, &said, from->file, group, error) ||
	    !fill_from_group(iface, &said, from->file, "agent", error))
		return FALSE;
	set_innernet(config, iface);
	/* of an innernet network: the one beside its server, if there is one */
	if (iface->signal_url || iface->innernet != NAT_INNERNET_OFF)
		return TRUE;
	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
		    "\"%s\" has no signaling server: give --signal URL, or signal=URL in the file",
		    name);
	return FALSE;
}

static gboolean
add_peer(NatConfig *config, NatKeyFile *file, const char *group, GError **error)
{
	const char *name = group + strlen(PEER);
	g_autofree char *plain = nat_log_escape(name, -1), *text = NULL;
	NatConfigPeer peer = {0};
	const char *other;

	if (!*name || strcmp(plain, name) != 0 || g_utf8_strlen(name, -1) > NAME_MAX_CHARS) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "a peer's name has 1 to %d printable characters", NAME_MAX_CHARS);
		return nat_key_file_blame(file, group, NULL, error);
	}
	if (!nat_key_file_string(file, group, "public_key", &text, error))
		return FALSE;
	if (!text) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "it needs public_key=KEY, as wg show prints it");
		return nat_key_file_blame(file, group, NULL, error);
	}
	if (!wg_key_parse(text, &peer.public_key)) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "not a key: it has 44 characters of base64, as wg show prints it");
		return nat_key_file_blame(file, group, "public_key", error);
	}
	other = nat_config_peer_name(config, &peer.public_key);
	if (other) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "this key is already named \"%s\": keep one", other);
		return nat_key_file_blame(file, group, "public_key", error);
	}
	peer.name = g_strdup(name);
	g_ptr_array_add(config->peers, g_memdup2(&peer, sizeof peer));
	return TRUE;
}

/* Every group is checked, also those of interfaces that the command line leaves out: a mistake in
 * the file is told whatever the flags are. */
static gboolean
check_groups(NatConfig *config, NatKeyFile *file, const char *const *groups, GError **error)
{
	for (guint i = 0; groups[i]; i++) {
		g_auto(NatConfigGroup) group = {0};

		if (g_str_has_prefix(groups[i], PEER)) {
			if (!add_peer(config, file, groups[i], error))
				return FALSE;
			continue;
		}
		if (!nat_config_group_read(file, groups[i], &group, error))
			return FALSE;
		if (g_str_has_prefix(groups[i], INTERFACE) &&
		    !nat_config_check_interface(groups[i] + strlen(INTERFACE), error))
			return nat_key_file_blame(file, groups[i], NULL, error);
	}
	return TRUE;
}

static gboolean
add_file_interfaces(NatConfig *config, const Sources *from, const char *const *groups,
		    GError **error)
{
	for (guint i = 0; groups[i]; i++)
		if (g_str_has_prefix(groups[i], INTERFACE) &&
		    !add_interface(config, groups[i] + strlen(INTERFACE), from, error))
			return nat_key_file_blame(from->file, groups[i], NULL, error);
	return TRUE;
}

static gboolean
add_named_interfaces(NatConfig *config, const Sources *from, const char *const *names,
		     GError **error)
{
	for (guint i = 0; names[i]; i++) {
		if (!add_interface(config, names[i], from, error)) {
			g_prefix_error(error, "--interface: ");
			return FALSE;
		}
	}
	return TRUE;
}

char *
nat_config_default_state_dir(void)
{
	const char *dirs = g_getenv("STATE_DIRECTORY"); /* systemd.exec(5): several, by ':' */

	if (!dirs || *dirs != '/')
		return g_strdup(NAT_CONFIG_DEFAULT_STATE_DIR);
	return g_strndup(dirs, strcspn(dirs, ":"));
}

/* A path of [agent]. */
static gboolean
read_absolute(NatKeyFile *file, const char *key, const char *fallback, char **out, GError **error)
{
	if (!nat_key_file_string(file, "agent", key, out, error))
		return FALSE;
	if (*out && **out != '/') {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "not an absolute path: begin with '/'");
		return nat_key_file_blame(file, "agent", key, error);
	}
	if (!*out)
		*out = g_strdup(fallback);
	return TRUE;
}

static gboolean
set_paths(NatConfig *config, NatKeyFile *file, const char *control, GError **error)
{
	const char *env = g_getenv("NAT_AGENT_CONTROL");
	g_autofree char *from_file = NULL, *state_dir = nat_config_default_state_dir();

	if (!nat_key_file_string(file, "agent", "control", &from_file, error))
		return FALSE;
	if (from_file && !nat_config_check_control(from_file, error))
		return nat_key_file_blame(file, "agent", "control", error);
	if (!nat_key_file_string(file, "agent", "control_group", &config->control_group, error) ||
	    !read_absolute(file, "state_dir", state_dir, &config->state_dir, error))
		return FALSE;
	if (!control && !(env && *env) && from_file)
		control = from_file;
	config->control_path = g_strdup(control ? control : nat_config_default_control());
	if (!nat_config_check_control(config->control_path, error)) {
		g_prefix_error(error, "%s: ", control ? "--control" : "NAT_AGENT_CONTROL");
		return FALSE;
	}
	return TRUE;
}

/* hosts_file= is none, and not the default. */
static gboolean
set_hosts_file(NatConfig *config, NatKeyFile *file, GError **error)
{
	g_autofree char *text = NULL;

	if (!nat_key_file_string(file, "agent", "hosts_file", &text, error))
		return FALSE;
	return (text && !*text) || read_absolute(file, "hosts_file", NAT_CONFIG_DEFAULT_HOSTS_FILE,
						 &config->hosts_file, error);
}

static gboolean
set_innernet_paths(NatConfig *config, NatKeyFile *file, GError **error)
{
	return read_absolute(file, "innernet_config_dir", NAT_CONFIG_DEFAULT_INNERNET_DIR,
			     &config->innernet_config_dir, error) &&
	       read_absolute(file, "innernet_data_dir", NAT_CONFIG_DEFAULT_INNERNET_DATA,
			     &config->innernet_data_dir, error) &&
	       set_hosts_file(config, file, error);
}

static gboolean
set_standby(NatConfig *config, NatKeyFile *file, GError **error)
{
	g_autofree char *text = NULL;

	config->standby_max = NAT_CONFIG_DEFAULT_STANDBY;
	if (!nat_key_file_string(file, "agent", "standby", &text, error))
		return FALSE;
	if (text && !nat_config_parse_standby(text, &config->standby_max, error))
		return nat_key_file_blame(file, "agent", "standby", error);
	return TRUE;
}

static gboolean
set_metrics(NatConfig *config, NatKeyFile *file, const char *flag, GError **error)
{
	g_autofree char *text = NULL;

	if (!nat_key_file_string(file, "agent", "metrics", &text, error))
		return FALSE;
	if (text && !nat_config_parse_metrics(text, &config->metrics, error))
		return nat_key_file_blame(file, "agent", "metrics", error);
	if (!flag || nat_config_parse_metrics(flag, &config->metrics, error))
		return TRUE;
	g_prefix_error(error, "--metrics: ");
	return FALSE;
}

gboolean
nat_config_check_flags(const NatConfigFlags *flags, GError **error)
{
	if (flags->signal_url && !nat_config_check_url(flags->signal_url, error)) {
		g_prefix_error(error, "--signal: ");
		return FALSE;
	}
	if (!nat_config_check_stun_list(flags->stun, error)) {
		g_prefix_error(error, "--stun: ");
		return FALSE;
	}
	if (!nat_config_check_turn_list(flags->turn, error)) {
		g_prefix_error(error, "--turn: ");
		return FALSE;
	}
	return TRUE;
}

static NatConfig *
build(const Sources *from, GError **error)
{
	g_autoptr(NatConfig) config = g_new0(NatConfig, 1);
	g_auto(GStrv) owned = nat_key_file_groups(from->file);
	const char *const *groups = (const char *const *)owned, *const * names;
	gboolean ok;

	config->interfaces = g_ptr_array_new_with_free_func(interface_free);
	config->peers = g_ptr_array_new_with_free_func(peer_free);
	if (!nat_config_check_flags(&from->flags, error) ||
	    !set_paths(config, from->file, from->flags.control, error) ||
	    !set_standby(config, from->file, error) ||
	    !set_metrics(config, from->file, from->flags.metrics, error) ||
	    !set_innernet_paths(config, from->file, error) ||
	    !check_groups(config, from->file, groups, error))
		return NULL;
	names = from->flags.interfaces;
	if (names && names[0])
		ok = add_named_interfaces(config, from, names, error);
	else
		ok = add_file_interfaces(config, from, groups, error);
	if (!ok)
		return NULL;
	if (config->interfaces->len == 0) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			    "no interface is given: add --interface IF, or a group [interface IF] "
			    "to the file");
		return NULL;
	}
	return g_steal_pointer(&config);
}

NatConfig *
nat_config_parse(const char *text, gsize len, const char *name, const NatConfigFlags *flags,
		 GError **error)
{
	g_autoptr(NatKeyFile) file =
		nat_key_file_new(text, len, name, nat_config_group_known, error);
	Sources from = {.file = file};

	if (flags)
		from.flags = *flags;
	return file ? build(&from, error) : NULL;
}

/* One byte more than a file may have, so that NatKeyFile sees what is too long; devices end there
 * too. */
static char *
read_text(const char *path, gsize *len, GError **error)
{
	g_autofree char *text = g_malloc(NAT_KEY_FILE_MAX + 2);
	FILE *file = fopen(path, "re");
	int saved = errno;

	if (file) {
		errno = 0;
		*len = fread(text, 1, NAT_KEY_FILE_MAX + 1, file);
		saved = ferror(file) ? errno : 0;
		fclose(file);
	}
	if (!file || saved) {
		g_autofree char *plain = nat_log_escape(path, -1);

		g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(saved), "-c %s: %s",
			    plain, g_strerror(saved));
		return NULL;
	}
	return g_steal_pointer(&text);
}

NatConfig *
nat_config_load(const char *file, const NatConfigFlags *flags, GError **error)
{
	g_autofree char *text = NULL;
	gsize len = 0;

	if (!file)
		return nat_config_parse("", 0, "(none)", flags, error);
	text = read_text(file, &len, error);
	if (!text)
		return NULL;
	return nat_config_parse(text, len, file, flags, error);
}
