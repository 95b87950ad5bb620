/* SPDX-License-Identifier: MIT */
/* All that waits: for a name's addresses, a handshake, an answer. */
#include "agent/innernet/inn-install-private.h"

#include <glib-unix.h>
#include <signal.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/innernet/inn-http.h"
#include "agent/innernet/inn-link.h"
#include "agent/net/nat-resolve.h"

#define POLL_MS 50
#define KEEPALIVE_S 25	   /* innernet's */
#define SESSION_LIVE_S 120 /* a younger handshake is not made anew (REKEY_AFTER_TIME) */

/* Waiting. A signal ends every wait, and then the installation. */

static gboolean
interrupt(gpointer user_data)
{
	InnInstall *install = user_data;

	install->interrupted = TRUE;
	g_main_loop_quit(install->loop);
	return G_SOURCE_CONTINUE;
}

static gboolean
wake(gpointer user_data)
{
	g_main_loop_quit(user_data);
	return G_SOURCE_CONTINUE;
}

static void
run_loop(InnInstall *install)
{
	if (!install->interrupted)
		g_main_loop_run(install->loop);
}

void
inn_install_pause(InnInstall *install, guint ms)
{
	guint timer = g_timeout_add(ms, wake, install->loop);

	run_loop(install);
	g_source_remove(timer);
}

void
inn_install_net_begin(InnInstall *install)
{
	install->addrs = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	install->loop = g_main_loop_new(NULL, FALSE);
	install->signals[0] = g_unix_signal_add(SIGINT, interrupt, install);
	install->signals[1] = g_unix_signal_add(SIGTERM, interrupt, install);
}

void
inn_install_net_end(InnInstall *install)
{
	g_source_remove(install->signals[0]);
	g_source_remove(install->signals[1]);
	g_main_loop_unref(install->loop);
	g_array_unref(install->addrs);
}

/* The server's addresses. */

typedef struct {
	InnInstall *install;
	GError *error;
} Resolve;

static void
resolved(const WgEndpoint *addrs, gsize n, gboolean stored, const GError *error, gpointer user_data)
{
	Resolve *resolve = user_data;

	g_array_append_vals(resolve->install->addrs, addrs, (guint)n);
	if (error)
		resolve->error = g_error_copy(error);
	g_main_loop_quit(resolve->install->loop);
}

gboolean
inn_install_resolve(InnInstall *install, GError **error)
{
	const InnConf *invite = install->invite;
	g_autoptr(NatResolve) names = nat_resolve_new(NULL, &invite->server_key);
	Resolve resolve = {install, NULL};
	NatLookup *lookup = nat_resolve_lookup(names, invite->server_host, invite->server_port,
					       resolved, &resolve);

	while (install->addrs->len == 0 && !resolve.error && !install->interrupted)
		run_loop(install);
	nat_lookup_free(lookup);
	if (resolve.error)
		inn_install_fail(error, G_IO_ERROR_HOST_NOT_FOUND,
				 "the server's name %s has no address: %s; correct the name or the "
				 "resolver, "
				 "and run this again",
				 invite->server_host, resolve.error->message);
	g_clear_error(&resolve.error);
	return install->addrs->len > 0 || install->interrupted;
}

/* The tunnel. */

static const WgKey *
device_key(const InnInstall *install)
{
	return install->redeem.own ? &install->files->own->private_key
				   : &install->invite->private_key;
}

gboolean
inn_install_link_up(InnInstall *install, GError **error)
{
	const InnConf *invite = install->invite;
	InnLinkParams params = {.address = invite->address,
				.prefix = invite->prefix,
				.mtu = INN_LINK_MTU,
				.private_key = *device_key(install),
				.listen_port = invite->listen_port};
	gboolean ok = inn_link_up(install->ifname, &params, NULL, error);

	wg_key_clear(&params.private_key);
	return ok;
}

/* Without its present entry, whose burned slot (REKEY_TIMEOUT) and old session would be in the
 * way. */
static gboolean
remove_server(InnInstall *install, const WgDevice *dev, GError **error)
{
	WgPeerChange change = {.public_key = install->invite->server_key,
			       .flags = WG_CHANGE_REMOVE};

	return !wg_device_find(dev, &change.public_key) ||
	       wg_ctl_apply(install->ctl, &change, 1, error);
}

/* Endpoint and keepalive in one message: WireGuard begins at once (DESIGN §3). */
static gboolean
add_server(InnInstall *install, const WgEndpoint *endpoint, GError **error)
{
	const WgEndpoint *internal = &install->invite->server_internal;
	WgAllowedIp ip = {.family = wg_endpoint_family(internal)};
	WgPeerChange change = {.public_key = install->invite->server_key,
			       .flags = WG_CHANGE_CREATE | WG_CHANGE_ENDPOINT |
					WG_CHANGE_KEEPALIVE | WG_CHANGE_ALLOWED_IPS,
			       .endpoint = *endpoint,
			       .keepalive = KEEPALIVE_S,
			       .allowed_ips = &ip,
			       .n_allowed_ips = 1};
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(internal, &len);

	memcpy(ip.addr, bytes, len);
	ip.cidr = (guint8)(len * 8);
	return wg_ctl_apply(install->ctl, &change, 1, error);
}

static gboolean
set_key(InnInstall *install, const WgDevice *dev, GError **error)
{
	return wg_key_equal(&dev->private_key, device_key(install)) ||
	       wg_ctl_set_device(install->ctl, device_key(install), NULL, NULL, error);
}

static gboolean
is_live(const InnInstall *install, const WgDevice *dev)
{
	const WgPeer *server = wg_device_find(dev, &install->invite->server_key);
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;

	return wg_key_equal(&dev->private_key, device_key(install)) && server &&
	       server->last_handshake_s > now - SESSION_LIVE_S && server->last_handshake_s <= now;
}

/* FALSE with no error where none came in time. */
static gboolean
await_handshake(InnInstall *install, GError **error)
{
	gint64 end = g_get_monotonic_time() + INN_HANDSHAKE_S * G_TIME_SPAN_SECOND;

	while (g_get_monotonic_time() < end && !install->interrupted) {
		g_autoptr(WgDevice) dev = wg_ctl_read(install->ctl, error);
		const WgPeer *server;

		if (!dev)
			return FALSE;
		server = wg_device_find(dev, &install->invite->server_key);
		if (server && server->last_handshake_s > 0)
			return TRUE;
		inn_install_pause(install, POLL_MS);
	}
	return FALSE;
}

static gboolean
try_address(InnInstall *install, guint i, GError **error)
{
	WgEndpoint endpoint = g_array_index(install->addrs, WgEndpoint, i);
	g_autoptr(WgDevice) dev = wg_ctl_read(install->ctl, error);
	char buf[WG_ENDPOINT_STRLEN];

	if (!dev || !remove_server(install, dev, error) || !set_key(install, dev, error) ||
	    !add_server(install, &endpoint, error))
		return FALSE;
	inn_install_say(install, "asking %s for a handshake, by %s key",
			wg_endpoint_format(&endpoint, buf),
			install->redeem.own ? "our own" : "the invitation's");
	if (!await_handshake(install, error))
		return FALSE;
	g_array_remove_index(install->addrs, i);
	g_array_prepend_val(install->addrs, endpoint);
	return TRUE;
}

/* Over all addresses. A session that is there serves once: where it leads nowhere, a new one is
 * asked for. */
gboolean
inn_install_connect(InnInstall *install, gboolean *reached, GError **error)
{
	g_autoptr(WgDevice) dev = wg_ctl_read(install->ctl, error);
	GError *cause = NULL;

	if (!dev)
		return FALSE;
	*reached = install->redeem.lost == 0 && is_live(install, dev);
	for (guint i = 0; i < install->addrs->len && !*reached && !cause && !install->interrupted;
	     i++)
		*reached = try_address(install, i, &cause);
	if (!cause)
		return TRUE;
	g_propagate_error(error, cause);
	return FALSE;
}

/* Calls. */

typedef struct {
	InnInstall *install;
	gboolean done;
	guint status;
	GBytes *body;
} Call;

static void
answered(guint status, GBytes *body, const GError *error, gpointer user_data)
{
	Call *call = user_data;

	call->done = TRUE;
	call->status = status;
	call->body = g_bytes_ref(body);
	g_free(call->install->cause);
	call->install->cause = error ? nat_log_escape(error->message, -1) : NULL;
	g_main_loop_quit(call->install->loop);
}

/* A connection of its own for each: another key is another session. body may be NULL. */
guint
inn_install_call(InnInstall *install, const char *method, const char *path, const char *json,
		 GBytes **body)
{
	const InnConf *invite = install->invite;
	g_autoptr(InnHttp) http = inn_http_new(&invite->server_internal, &invite->server_key);
	Call call = {.install = install};

	inn_http_call(http, method, path, json, answered, &call);
	while (!call.done && !install->interrupted)
		run_loop(install);
	if (body)
		*body = call.body ? g_bytes_ref(call.body) : g_bytes_new(NULL, 0);
	g_clear_pointer(&call.body, g_bytes_unref);
	return call.status;
}
