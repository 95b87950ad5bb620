/* SPDX-License-Identifier: MIT */
/*
 * nat-agent run: everything that can be refused is refused before the daemon opens anything: the
 * configuration, the privileges, the interfaces' locks, the control socket. Then READY=1, and the
 * main loop until SIGTERM or SIGINT; SIGHUP reads the configuration again.
 */
#include "agent/cli/nat-cli.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "agent/base/nat-lock.h"
#include "agent/base/nat-log.h"
#include "agent/base/nat-privs.h"
#include "agent/base/nat-watchdog.h"
#include "agent/config/nat-config.h"
#include "agent/control/nat-control.h"
#include "agent/control/nat-daemon-service.h"
#include "agent/control/nat-service.h"
#include "agent/interface/nat-daemon.h"
#include "agent/status/nat-metrics-server.h"
#include "agent/status/nat-metrics.h"

typedef struct {
	const NatCli *cli;
	NatConfig *config; /* in force */
	GPtrArray *
		configs; /* of NatConfig: that one, and those before, which are still referred to */
	GHashTable *locks; /* interface → NatLock */
	NatControl *control;
	NatMetricsServer *metrics; /* NULL: not asked for */
	gint64 started_us;
	NatDaemon *daemon;
	GMainLoop *loop;
	guint signals[3];
	NatDaemonService methods;
	NatService *service;
} Run;

static NatConfig *
load_config(const NatCli *cli, GError **error)
{
	NatConfigFlags flags = {
		.interfaces = (const char *const *)cli->interfaces,
		.signal_url = cli->signal_url,
		.stun = (const char *const *)cli->stun,
		.turn = (const char *const *)cli->turn,
		.control = cli->control,
		.metrics = cli->metrics,
		.no_port_mapping = cli->no_port_mapping,
		.no_many_ports = cli->no_many_ports,
	};

	return nat_config_load(cli->file, &flags, error);
}

static gboolean
take_locks(Run *run, const NatConfig *config, GError **error)
{
	for (guint i = 0; i < config->interfaces->len; i++) {
		const NatConfigInterface *iface = g_ptr_array_index(config->interfaces, i);
		NatLock *lock;

		if (g_hash_table_contains(run->locks, iface->name))
			continue;
		lock = nat_lock_acquire(iface->name, error);
		if (!lock)
			return FALSE;
		g_hash_table_insert(run->locks, g_strdup(iface->name), lock);
	}
	return TRUE;
}

/* Of interfaces that are not served (any more). */
static void
drop_locks(Run *run)
{
	GHashTableIter iter;
	gpointer name;

	g_hash_table_iter_init(&iter, run->locks);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		if (!nat_config_has_interface(run->config, name))
			g_hash_table_iter_remove(&iter);
}

/* What a running agent cannot change, or another one serves, is refused before anything happens. */
static gboolean
may_reload(Run *run, const NatConfig *config, GError **error)
{
	const char *fixed = nat_config_fixed_difference(run->config, config);

	if (!fixed)
		return take_locks(run, config, error);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
		    "%s can't be changed while the agent runs: restart it", fixed);
	return FALSE;
}

static gboolean
reload(GError **error, gpointer user_data)
{
	Run *run = user_data;
	g_autoptr(NatConfig) config = load_config(run->cli, error);
	gboolean ok = FALSE;

	if (!config)
		return FALSE;
	if (may_reload(run, config, error))
		ok = nat_daemon_reload(run->daemon, config, error);
	if (nat_daemon_uses(run->daemon, config)) {
		run->config = config;
		g_ptr_array_add(run->configs, g_steal_pointer(&config));
		g_message("the configuration was read again");
	}
	drop_locks(run);
	return ok;
}

static gboolean
on_hup(gpointer user_data)
{
	g_autoptr(GError) error = NULL;

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());
	if (reload(&error, user_data)) {
		sd_notify(0, "READY=1\nSTATUS=");
	} else {
		g_warning("configuration: %s", error->message);
		sd_notifyf(0, "READY=1\nSTATUS=configuration: %s", error->message);
	}
	return G_SOURCE_CONTINUE;
}

static char *
daemon_metrics(gpointer user_data)
{
	const Run *run = user_data;
	g_autoptr(NatStatus) status = nat_daemon_status(run->daemon, FALSE, NULL);
	NatMetricsFacts facts = {
		.uptime_s = (double)(g_get_monotonic_time() - run->started_us) / G_USEC_PER_SEC,
		.control_clients = nat_control_clients(run->control),
	};

	return nat_metrics_text(status, &facts);
}

static gboolean
open_metrics(Run *run, GError **error)
{
	const WgEndpoint *address = &run->config->metrics;
	char text[WG_ENDPOINT_STRLEN];

	if (!wg_endpoint_is_set(address))
		return TRUE;
	run->metrics = nat_metrics_server_new(address, daemon_metrics, run, error);
	if (!run->metrics)
		return FALSE;
	wg_endpoint_format(address, text);
	if (!wg_endpoint_is_loopback(address))
		g_warning("metrics: whoever reaches %s reads the peers' keys, names and states: "
			  "keep strangers away, or use 127.0.0.1",
			  text);
	g_message("metrics on http://%s/metrics", text);
	return TRUE;
}

static gboolean
start(Run *run, GError **error)
{
	if (!nat_privs_check(error) || !take_locks(run, run->config, error))
		return FALSE;
	run->methods =
		(NatDaemonService){.reload = reload, .metrics = daemon_metrics, .user_data = run};
	run->service = nat_service_new(&NAT_DAEMON_SERVICE, &run->methods);
	run->control = nat_control_new(run->config->control_path, run->config->control_group,
				       nat_service_call, run->service, error);
	if (!run->control || !open_metrics(run, error))
		return FALSE;
	/* no call is answered before the main loop runs, when the daemon is there */
	run->daemon = nat_daemon_new(run->config, nat_privs_keep_network, error);
	run->methods.daemon = run->daemon;
	return run->daemon != NULL;
}

static gboolean
quit(gpointer user_data)
{
	const Run *run = user_data;

	sd_notify(0, "STOPPING=1");
	g_main_loop_quit(run->loop);
	return G_SOURCE_CONTINUE;
}

static void
serve(Run *run)
{
	g_autoptr(NatWatchdog) watchdog =
		nat_watchdog_new_for_service(nat_daemon_ice_context(run->daemon));

	sd_notify(0, "READY=1");
	g_message("serving, control socket %s", run->config->control_path);
	g_main_loop_run(run->loop);
	g_message("ending; tunnels stay up");
}

/* A search costs two descriptors, and the default limit is made for select(2), which nothing here
 * uses. */
static void
raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Signals that come while the daemon starts wait, and are answered when it runs: it ends in good
 * order. GLib's way to hear of them is a thread of its own, which must not be there before
 * capabilities are given up. */
static int
run_until_signal(Run *run)
{
	g_autoptr(GError) error = NULL;
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
	if (!start(run, &error)) {
		g_printerr("nat-agent: %s\n", error->message);
		return NAT_EXIT_FAILED;
	}
	/* They stay until the daemon is gone: without them another signal would end it halfway. */
	run->signals[0] = g_unix_signal_add(SIGTERM, quit, run);
	run->signals[1] = g_unix_signal_add(SIGINT, quit, run);
	run->signals[2] = g_unix_signal_add(SIGHUP, on_hup, run);
	pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
	serve(run);
	return NAT_EXIT_OK;
}

int
nat_cli_run(const NatCli *cli)
{
	g_autoptr(GError) error = NULL;
	Run run = {.cli = cli, .config = load_config(cli, &error)};
	int code;

	if (!run.config) {
		g_printerr("nat-agent: %s\n", error->message);
		return NAT_EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	nat_log_init();
	raise_fd_limit();
	run.started_us = g_get_monotonic_time();
	run.configs = g_ptr_array_new_with_free_func((GDestroyNotify)nat_config_free);
	g_ptr_array_add(run.configs, run.config);
	run.locks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
					  (GDestroyNotify)nat_lock_free);
	run.loop = g_main_loop_new(NULL, FALSE);
	code = run_until_signal(&run);
	/* the sockets first: nobody may ask a daemon that is gone */
	g_clear_pointer(&run.metrics, nat_metrics_server_free);
	g_clear_pointer(&run.control, nat_control_free);
	g_clear_pointer(&run.service, nat_service_free);
	g_clear_pointer(&run.daemon, nat_daemon_free);
	for (guint i = 0; i < G_N_ELEMENTS(run.signals); i++)
		g_clear_handle_id(&run.signals[i], g_source_remove);
	g_main_loop_unref(run.loop);
	g_hash_table_unref(run.locks);
	g_ptr_array_unref(run.configs);
	return code;
}
