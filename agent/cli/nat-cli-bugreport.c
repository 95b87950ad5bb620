/* SPDX-License-Identifier: MIT */
/*
 * nat-agent bugreport: one file with all that explains a problem, and nothing that is secret. What
 * cannot be had (no agent, no tool, no permission) is said in its place.
 */
#include "agent/cli/nat-cli.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"
#include "agent/config/nat-config.h"
#include "agent/control/nat-control.h"
#include "agent/control/nat-service.h"
#include "agent/status/nat-bugreport.h"
#include "agent/status/nat-events.h"
#include "wgctl/wg-ctl.h"

#define TIMEOUT_MS 5000
#define TOOL_MS 5000
#define SECTION_BYTES (256 * 1024)
/* Peers in detail: those that are not well first. */
#define DETAIL_PEERS 32
#define FILE_BYTES (256 * 1024)
#define DEFAULT_FILE "/etc/nat-agent/nat-agent.conf"
#define INSTANCE_FILE "/etc/nat-agent/%s.conf"

/* ---- what the agent says ---- */

/* interface, peer: NULL: any. */
static JsonNode *
ask(const NatCli *cli, const char *method, const char *interface, const char *peer, GError **error)
{
	JsonObject *parameters = json_object_new();
	g_autoptr(JsonNode) node = nat_json_node_take(parameters);
	g_autofree char *control = nat_cli_control(cli);

	if (peer) {
		json_object_set_string_member(parameters, "interface", interface);
		json_object_set_string_member(parameters, "peer", peer);
		json_object_set_boolean_member(parameters, "detail", TRUE);
	}
	return nat_control_call(control, method, node, TIMEOUT_MS, error);
}

static NatStatus *
read_status(JsonNode *reply, GError **error)
{
	JsonNode *node = json_object_get_member(json_node_get_object(reply), "status");

	if (node && JSON_NODE_HOLDS_OBJECT(node))
		return nat_status_from_json(node, error);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "what answers is not nat-agent");
	return NULL;
}

static void
append_peer(const NatCli *cli, const char *interface, const NatStatusPeer *peer, GString *out)
{
	char key[WG_KEY_STRLEN];
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) reply = ask(cli, NAT_SERVICE_STATUS, interface,
					wg_key_format(&peer->public_key, key), &error);
	g_autoptr(NatStatus) status = reply ? read_status(reply, &error) : NULL;
	g_autofree char *text =
		status ? nat_status_to_text(status, interface, key, FALSE, 100) : NULL;

	g_string_append_printf(out, "%s\n", text ? text : error->message);
}

/* One call a peer: all of a large network in one answer would hold the agent up. */
static void
add_details(const NatCli *cli, NatBugreport *report, const NatStatus *status)
{
	g_autoptr(GString) out = g_string_new(NULL);
	guint left = DETAIL_PEERS;

	for (guint well = 0; well < 2; well++) {
		for (guint i = 0; i < status->interfaces->len; i++) {
			const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

			for (guint j = 0; j < iface->peers->len && left > 0; j++) {
				const NatStatusPeer *peer = g_ptr_array_index(iface->peers, j);
				gboolean direct = peer->state == NAT_PEER_CONNECTED && !peer->relay;

				if (direct != (well == 1))
					continue;
				append_peer(cli, iface->name, peer, out);
				left--;
			}
		}
	}
	if (left == 0)
		g_string_append_printf(out, "(no more than %u peers)\n", DETAIL_PEERS);
	nat_bugreport_add(report, "peers in detail", out->str);
}

/* The interfaces that the agent serves, for the sections that follow. */
static void
add_status(const NatCli *cli, NatBugreport *report, GPtrArray *interfaces, GPtrArray *words)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) reply = ask(cli, NAT_SERVICE_STATUS, NULL, NULL, &error);
	g_autoptr(NatStatus) status = reply ? read_status(reply, &error) : NULL;
	g_autofree char *text = NULL, *json = NULL, *shown = NULL;

	if (!status) {
		nat_bugreport_add(report, "status", error->message);
		return;
	}
	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		g_ptr_array_add(interfaces, g_strdup(iface->name));
		g_ptr_array_add(words, g_strdup(iface->name));
		g_ptr_array_add(words, g_strdup_printf("%u", iface->listen_port));
	}
	text = nat_status_to_text(status, NULL, NULL, FALSE, 100);
	json = nat_json_print(json_object_get_member(json_node_get_object(reply), "status"), TRUE);
	shown = nat_bugreport_cut(json, SECTION_BYTES);
	nat_bugreport_add(report, "status", text);
	nat_bugreport_add(report, "status as JSON", shown);
	add_details(cli, report, status);
}

static void
add_events(const NatCli *cli, NatBugreport *report)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) reply = ask(cli, NAT_SERVICE_EVENTS, NULL, NULL, &error);
	g_autoptr(GString) text = g_string_new(NULL);
	JsonArray *list = NULL;

	if (!reply || !nat_json_get_array(json_node_get_object(reply), "events", &list, &error)) {
		nat_bugreport_add(report, "events", error->message);
		return;
	}
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		JsonNode *node = json_array_get_element(list, i);
		g_autoptr(NatEvent) event = NULL;
		g_autofree char *line = NULL;

		if (JSON_NODE_HOLDS_OBJECT(node))
			event = nat_event_from_json(json_node_get_object(node), 0, NULL);
		if (!event)
			continue;
		line = nat_event_to_text(event, TRUE);
		g_string_append_printf(text, "%s\n", line);
	}
	nat_bugreport_add(report, "events", text->str);
}

/* ---- what the host says ---- */

static void
add_versions(NatBugreport *report)
{
	g_autofree char *release = NULL, *text = NULL, *pretty = NULL;
	struct utsname name;

	if (uname(&name) < 0)
		memset(&name, 0, sizeof name);
	pretty = g_get_os_info(G_OS_INFO_KEY_PRETTY_NAME);
	text = g_strdup_printf("nat-agent %s\nkernel %s %s\n%s\nGLib %u.%u.%u\n", NAT_VERSION,
			       name.release, name.machine, pretty ? pretty : "unknown system",
			       glib_major_version, glib_minor_version, glib_micro_version);
	nat_bugreport_add(report, "versions", text);
}

/* That of nat-agent@IF.service, where it is asked for by its interface and has one. */
static char *
config_path(const NatCli *cli)
{
	g_autofree char *instance = NULL;

	if (cli->file)
		return g_strdup(cli->file);
	if (!cli->interfaces || strchr(cli->interfaces[0], '/'))
		return g_strdup(DEFAULT_FILE);
	instance = g_strdup_printf(INSTANCE_FILE, cli->interfaces[0]);
	return access(instance, F_OK) == 0 ? g_steal_pointer(&instance) : g_strdup(DEFAULT_FILE);
}

static void
add_config(const NatCli *cli, NatBugreport *report)
{
	g_autofree char *path = config_path(cli), *text = NULL, *shown = NULL, *title = NULL;
	g_autoptr(GError) error = NULL;
	gsize len;

	title = g_strdup_printf("configuration, no secrets: %s", path);
	if (!g_file_get_contents(path, &text, &len, &error)) {
		nat_bugreport_add(report, title, error->message);
		return;
	}
	if (len > FILE_BYTES)
		text[FILE_BYTES] = '\0';
	shown = nat_bugreport_without_secrets(text);
	nat_bugreport_add(report, title, shown);
}

static gboolean
on_timeout(gpointer user_data)
{
	g_subprocess_force_exit(user_data);
	return G_SOURCE_CONTINUE;
}

static void
on_finished(GObject *process, GAsyncResult *result, gpointer user_data)
{
	char **out = user_data;
	char *text = NULL;

	g_subprocess_communicate_utf8_finish(G_SUBPROCESS(process), result, &text, NULL, NULL);
	*out = text ? text : g_strdup("(no text)");
}

/* The output of a tool that only reads, or why there is none. */
static char *
run_tool(const char *const *argv)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
		G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocess) process = NULL;
	char *out = NULL;
	guint timeout;

	g_subprocess_launcher_setenv(launcher, "LC_ALL", "C.UTF-8", TRUE);
	process = g_subprocess_launcher_spawnv(launcher, argv, &error);
	if (!process)
		return g_strdup(error->message);
	timeout = g_timeout_add(TOOL_MS, on_timeout, process);
	g_subprocess_communicate_utf8_async(process, NULL, NULL, on_finished, &out);
	while (!out)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(timeout);
	return out;
}

static void
add_tools(NatBugreport *report, const char *const *words)
{
	static const struct {
		const char *title;
		const char *argv[8];
	} TOOLS[] = {
		{"links", {"ip", "-details", "-statistics", "link"}},
		{"addresses", {"ip", "address"}},
		{"rules for IPv4", {"ip", "-4", "rule"}},
		{"rules for IPv6", {"ip", "-6", "rule"}},
		{"routes for IPv4", {"ip", "-4", "route", "show", "table", "all"}},
		{"routes for IPv6", {"ip", "-6", "route", "show", "table", "all"}},
		{"UDP sockets", {"ss", "-Hulnp"}},
	};
	static const char *const NFT[] = {"nft", "list", "ruleset", NULL};
	g_autofree char *ruleset = run_tool(NFT), *rules = nat_bugreport_rules(ruleset, words);
	g_autofree char *shown_rules = nat_bugreport_cut(rules, SECTION_BYTES);

	for (guint i = 0; i < G_N_ELEMENTS(TOOLS); i++) {
		g_autofree char *text = run_tool(TOOLS[i].argv);
		g_autofree char *shown = nat_bugreport_cut(text, SECTION_BYTES);

		nat_bugreport_add(report, TOOLS[i].title, shown);
	}
	nat_bugreport_add(report, "firewall rules that matter", shown_rules);
}

static void
add_wg_peer(GString *text, const WgPeer *peer)
{
	char key[WG_KEY_STRLEN], endpoint[WG_ENDPOINT_STRLEN];

	g_string_append_printf(
		text,
		"  peer %s  endpoint %s  keepalive %u  handshake %s  rx %" G_GUINT64_FORMAT
		"  tx %" G_GUINT64_FORMAT "%s\n",
		wg_key_format(&peer->public_key, key),
		wg_endpoint_is_set(&peer->endpoint) ? wg_endpoint_format(&peer->endpoint, endpoint)
						    : "none",
		peer->keepalive, peer->last_handshake_s ? "yes" : "never", peer->rx_bytes,
		peer->tx_bytes,
		wg_key_is_zero(&peer->preshared_key) ? "" : "  with a preshared key");
	for (guint i = 0; i < peer->allowed_ips->len; i++) {
		g_autofree char *ip =
			wg_allowed_ip_format(&g_array_index(peer->allowed_ips, WgAllowedIp, i));

		g_string_append_printf(text, "    allowed %s\n", ip);
	}
}

static void
add_wireguard(NatBugreport *report, const char *interface)
{
	g_autofree char *title = g_strdup_printf("WireGuard device %s", interface);
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	WgCtl *ctl = wg_ctl_new(interface);
	WgDevice *device = wg_ctl_read(ctl, &error);
	char key[WG_KEY_STRLEN];

	if (device) {
		g_string_append_printf(text, "%s  public key %s  port %u  fwmark 0x%x\n",
				       wg_backend_to_string(device->backend),
				       wg_key_format(&device->public_key, key), device->listen_port,
				       device->fwmark);
		for (guint i = 0; i < device->peers->len; i++)
			add_wg_peer(text, g_ptr_array_index(device->peers, i));
		wg_device_free(device);
	} else {
		g_string_append_printf(text, "%s\n", error->message);
	}
	wg_ctl_free(ctl);
	nat_bugreport_add(report, title, text->str);
}

/* ---- the file ---- */

static char *
default_path(void)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *stamp = g_date_time_format(now, "%Y%m%d-%H%M%S");

	return g_strdup_printf("nat-agent-bugreport-%s.txt", stamp);
}

/* Never over a file that is there, nor through a link: this may be root in a shared directory. */
static gboolean
write_new(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	gboolean ok = file != NULL && fputs(text, file) != EOF;

	if (file != NULL)
		ok = fclose(file) == 0 && ok;
	if (!ok)
		g_printerr("nat-agent: cannot write %s: %s; name another file with --output\n",
			   path, g_strerror(errno));
	return ok;
}

int
nat_cli_bugreport(const NatCli *cli)
{
	g_autoptr(NatBugreport) report = nat_bugreport_new();
	g_autoptr(GPtrArray) interfaces = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *text = NULL, *contents = NULL, *path = NULL;

	add_versions(report);
	add_status(cli, report, interfaces, words);
	add_events(cli, report);
	add_config(cli, report);
	for (guint i = 0; i < interfaces->len; i++)
		add_wireguard(report, g_ptr_array_index(interfaces, i));
	g_ptr_array_add(words, NULL);
	add_tools(report, (const char *const *)words->pdata);
	text = nat_bugreport_text(report);
	if (g_strcmp0(cli->output, "-") == 0)
		return nat_cli_put(text) ? NAT_EXIT_OK : NAT_EXIT_FAILED;
	path = cli->output ? g_strdup(cli->output) : default_path();
	if (!write_new(path, text))
		return NAT_EXIT_FAILED;
	contents = nat_bugreport_contents(report);
	g_print("%s contains:\n%s"
		"Addresses, names and public keys of this host and its peers are in it; private "
		"keys, preshared\nkeys and relays' secrets are not. Read it before you send it.\n",
		path, contents);
	return NAT_EXIT_OK;
}
