/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: the file is scanned by NatKeyFile with known() as the list of what may be in
 * it, so everything after that only meets known keys. Then each setting is taken from the first
 * place that has it: command line, environment, [interface], [agent], default.
 */
#include "agent/nat-config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/nat-keyfile.h"
#include "agent/nat-log.h"

#define INTERFACE "interface "
#define PEER "peer "
#define NAME_MAX_CHARS 64

typedef struct {
	NatKeyFile *file;
	const char *signal_url;
	const char *const *stun;
} Sources;

static const char *
known(const char *group, const char *key)
{
	if (strcmp(group, "agent") == 0) {
		if (!key || strcmp(key, "control") == 0 || strcmp(key, "state_dir") == 0 ||
		    strcmp(key, "signal") == 0 || strcmp(key, "stun") == 0)
			return NULL;
		return "its keys are control, state_dir, signal, stun";
	}
	if (g_str_has_prefix(group, INTERFACE)) {
		if (!key || strcmp(key, "signal") == 0 || strcmp(key, "stun") == 0)
			return NULL;
		return "its keys are signal, stun";
	}
	if (g_str_has_prefix(group, PEER)) {
		if (!key || strcmp(key, "public_key") == 0)
			return NULL;
		return "its key is public_key";
	}
	return "the groups are [agent], [interface IF] and [peer NAME]";
}

static void
interface_free(gpointer data)
{
	NatConfigInterface *iface = data;

	g_free(iface->name);
	g_free(iface->signal_url);
	g_strfreev(iface->stun);
	g_free(iface);
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
	g_free(config->state_dir);
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

static gboolean
check_stun_list(const char *const *stun, GError **error)
{
	for (guint i = 0; stun && stun[i]; i++)
		if (!nat_config_split_stun(stun[i], NULL, NULL, error))
			return FALSE;
	return TRUE;
}

/* The file's signal and stun of one group, checked where they stand. */
static gboolean
read_group(NatKeyFile *file, const char *group, char **url, GStrv *stun, GError **error)
{
	if (!nat_key_file_string(file, group, "signal", url, error) ||
	    !nat_key_file_list(file, group, "stun", stun, error))
		return FALSE;
	if (*url && !nat_config_check_url(*url, error))
		return nat_key_file_blame(file, group, "signal", error);
	if (!check_stun_list((const char *const *)*stun, error))
		return nat_key_file_blame(file, group, "stun", error);
	return TRUE;
}

/* Sets what is still missing in iface. */
static gboolean
fill_from_group(NatConfigInterface *iface, NatKeyFile *file, const char *group, GError **error)
{
	g_autofree char *url = NULL;
	g_auto(GStrv) stun = NULL;

	if (!read_group(file, group, &url, &stun, error))
		return FALSE;
	if (!iface->signal_url)
		iface->signal_url = g_steal_pointer(&url);
	if (!iface->stun)
		iface->stun = g_steal_pointer(&stun);
	return TRUE;
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
	iface->signal_url = g_strdup(from->signal_url);
	iface->stun = g_strdupv((GStrv)from->stun);
	if (!fill_from_group(iface, from->file, group, error) ||
	    !fill_from_group(iface, from->file, "agent", error))
		return FALSE;
	if (iface->signal_url)
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
		g_autofree char *url = NULL;
		g_auto(GStrv) stun = NULL;

		if (g_str_has_prefix(groups[i], PEER)) {
			if (!add_peer(config, file, groups[i], error))
				return FALSE;
			continue;
		}
		if (!read_group(file, groups[i], &url, &stun, error))
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

static char *
default_state_dir(void)
{
	const char *dirs = g_getenv("STATE_DIRECTORY"); /* systemd.exec(5): several, by ':' */

	if (!dirs || *dirs != '/')
		return g_strdup(NAT_CONFIG_DEFAULT_STATE_DIR);
	return g_strndup(dirs, strcspn(dirs, ":"));
}

static gboolean
set_paths(NatConfig *config, NatKeyFile *file, const char *control, GError **error)
{
	const char *env = g_getenv("NAT_AGENT_CONTROL");
	g_autofree char *from_file = NULL;

	if (!nat_key_file_string(file, "agent", "control", &from_file, error) ||
	    !nat_key_file_string(file, "agent", "state_dir", &config->state_dir, error))
		return FALSE;
	if (from_file && !nat_config_check_control(from_file, error))
		return nat_key_file_blame(file, "agent", "control", error);
	if (config->state_dir && *config->state_dir != '/') {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "not an absolute path: begin with '/'");
		return nat_key_file_blame(file, "agent", "state_dir", error);
	}
	if (!config->state_dir)
		config->state_dir = default_state_dir();
	if (!control && !(env && *env) && from_file)
		control = from_file;
	config->control_path = g_strdup(control ? control : nat_config_default_control());
	if (!nat_config_check_control(config->control_path, error)) {
		g_prefix_error(error, "%s: ", control ? "--control" : "NAT_AGENT_CONTROL");
		return FALSE;
	}
	return TRUE;
}

static gboolean
check_flags(const char *signal_url, const char *const *stun, GError **error)
{
	if (signal_url && !nat_config_check_url(signal_url, error)) {
		g_prefix_error(error, "--signal: ");
		return FALSE;
	}
	if (!check_stun_list(stun, error)) {
		g_prefix_error(error, "--stun: ");
		return FALSE;
	}
	return TRUE;
}

static NatConfig *
build(const Sources *from, const char *const *interfaces, const char *control, GError **error)
{
	g_autoptr(NatConfig) config = g_new0(NatConfig, 1);
	g_auto(GStrv) owned = nat_key_file_groups(from->file);
	const char *const *groups = (const char *const *)owned;
	gboolean ok;

	config->interfaces = g_ptr_array_new_with_free_func(interface_free);
	config->peers = g_ptr_array_new_with_free_func(peer_free);
	if (!check_flags(from->signal_url, from->stun, error) ||
	    !set_paths(config, from->file, control, error) ||
	    !check_groups(config, from->file, groups, error))
		return NULL;
	if (interfaces && interfaces[0])
		ok = add_named_interfaces(config, from, interfaces, error);
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
nat_config_parse(const char *text, gsize len, const char *name, const char *const *interfaces,
		 const char *signal_url, const char *const *stun, const char *control,
		 GError **error)
{
	g_autoptr(NatKeyFile) file = nat_key_file_new(text, len, name, known, error);
	Sources from = {
		.file = file,
		.signal_url = signal_url,
		.stun = stun && stun[0] ? stun : NULL,
	};

	return file ? build(&from, interfaces, control, error) : NULL;
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
nat_config_load(const char *file, const char *const *interfaces, const char *signal_url,
		const char *const *stun, const char *control, GError **error)
{
	g_autofree char *text = NULL;
	gsize len = 0;

	if (!file)
		return nat_config_parse("", 0, "(none)", interfaces, signal_url, stun, control,
					error);
	text = read_text(file, &len, error);
	if (!text)
		return NULL;
	return nat_config_parse(text, len, file, interfaces, signal_url, stun, control, error);
}
