/* SPDX-License-Identifier: MIT */
#include "signaling/sig-server.h"

#include <gio/gio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "signaling/sig-admit.h"
#include "signaling/sig-handover.h"
#include "signaling/sig-metrics.h"
#include "signaling/sig-ports.h"
#include "signaling/sig-socket.h"
#include "signaling/sig-transport.h"

#define SPARE_FILES 128 /* besides connections: sockets, pipes, epoll, the journal */
#define DRAIN_GRACE 3	/* s for the last frames to leave */
#define DRAIN_ANSWER 10 /* s in all for who was let in and has not been answered yet */
#define DRAIN_PER_S 500 /* clients that may come back in a second */
#define EXPIRES_SOON (7 * 86400)

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

struct SigServer {
	const SigConfig *config;
	uv_loop_t loop;
	uv_timer_t second;
	uv_signal_t signals[G_N_ELEMENTS(signal_numbers)];
	SigHub *hub;
	SigTls *tls; /* NULL: plain */
	SigAdmit *admit;
	SigPorts *ports;
	SigTransport *transport;
	SigHandover *handover;
	gint64 started_s;
	guint draining;	      /* ticks left, 0: not draining */
	gboolean handed_over; /* another process serves, and its pages are what is asked for */
	guint answering;      /* more of them, while somebody has not been answered */
	guint watchdog;	      /* ticks from one sign of life to the next, 0: nobody waits for it */
	guint silent;	      /* ticks since the last one */
};

static void
tick_clock(gpointer user_data)
{
	SigServer *server = user_data;

	server->hub->now = g_get_monotonic_time();
	server->hub->clock = g_get_real_time() / G_USEC_PER_SEC;
}

/* ---- who may in ---- */

static gboolean
admit(const WgKey *key, const WgEndpoint *address, gboolean from_here, const SigScope **scope,
      const char **why, gpointer user_data)
{
	SigServer *server = user_data;

	return sig_admit_check(server->admit, key, address, from_here, scope, why);
}

static void
readmit(SigConn *conn, gpointer user_data)
{
	sig_conn_readmit(conn);
}

static void
on_admission_changed(gpointer user_data)
{
	SigServer *server = user_data;

	if (server->transport) /* not before it serves */
		sig_transport_foreach(server->transport, readmit, NULL);
}

/* ---- the operator's pages ---- */

static char *
metrics_page(SigServer *server)
{
	SigMetricsFacts facts = {
		.connections = sig_transport_count(server->transport),
		.no_descriptor = sig_ports_turned_away(server->ports),
		.stun = *sig_ports_stun_counts(server->ports),
		.started_s = server->started_s,
		.tls_expires_s = server->tls ? sig_tls_expires(server->tls) : 0,
		.allowed_keys = sig_admit_n_keys(server->admit),
		.draining = server->draining > 0,
	};

	return sig_metrics_page(server->hub, &facts);
}

static char *
on_page(const char *path, gboolean *ok, gpointer user_data)
{
	SigServer *server = user_data;

	*ok = TRUE;
	if (g_str_equal(path, "/metrics"))
		return metrics_page(server);
	if (!g_str_equal(path, "/healthz"))
		return NULL;
	*ok = server->draining == 0 || server->handed_over;
	return g_strdup(*ok ? "ok\n" : "draining\n");
}

/* ---- connections ---- */

static void
on_accepted(int fd, const WgEndpoint *peer, gpointer user_data)
{
	SigServer *server = user_data;

	if (peer)
		sig_transport_adopt(server->transport, fd, peer);
	else
		sig_transport_adopt_page(server->transport, fd);
}

/* Who asks whether the service is well must not be cut off while another process serves. */
static gboolean
pages_are_open(const SigServer *server)
{
	return server->handed_over && server->transport &&
	       sig_transport_count_pages(server->transport) > 0;
}

static void
on_empty(gpointer user_data)
{
	SigServer *server = user_data;

	if (server->draining > 0 && !pages_are_open(server))
		uv_stop(&server->loop);
}

static void
on_timer(SigTimer *timer, gpointer user_data)
{
	SigConn *conn = sig_conn_from_timer(timer);

	if (sig_conn_expire(conn))
		sig_transport_kill(conn);
}

static void
on_turn_timer(SigTimer *timer, gpointer user_data)
{
	sig_conn_renew_turn(sig_conn_from_turn_timer(timer));
}

/* Not while it drains: that is bounded, and the service may be another process by then. */
static void
tell_watchdog(SigServer *server)
{
	if (server->watchdog == 0 || server->draining > 0 || ++server->silent < server->watchdog)
		return;
	server->silent = 0;
	sd_notify(0, "WATCHDOG=1");
}

static void
find_unanswered(SigConn *conn, gpointer found)
{
	*(gboolean *)found |= sig_conn_is_unanswered(conn);
}

/* Whoever was let in is answered, though a slow machine takes its time for TLS and the request;
 * whoever was not goes to the process that comes. Those who mean to keep silent delay it by no
 * more than DRAIN_ANSWER. */
static void
tick_drain(SigServer *server)
{
	gboolean unanswered = FALSE;

	if (server->draining == 0 || --server->draining > 0)
		return;
	sig_transport_foreach(server->transport, find_unanswered, &unanswered);
	if (unanswered && server->answering > 0) {
		server->answering--;
		server->draining = 1;
		return;
	}
	uv_stop(&server->loop);
}

static void
on_second(uv_timer_t *timer)
{
	SigServer *server = timer->data;

	tick_clock(server);
	sig_wheel_tick(server->hub->wheel, on_timer, NULL);
	sig_wheel_tick(server->hub->turn_wheel, on_turn_timer, NULL);
	sig_addresses_tick(server->hub->addresses, server->hub->now);
	sig_ports_tick(server->ports);
	sig_admit_tick(server->admit);
	sig_handover_tick(server->handover);
	tell_watchdog(server);
	tick_drain(server);
}

/* ---- the end ---- */

static void
drain(SigServer *server)
{
	guint n = sig_transport_count(server->transport);
	guint within = MIN(1 + n / DRAIN_PER_S, server->hub->limits.drain);

	sig_ports_stop_listening(server->ports);
	server->draining = DRAIN_GRACE;
	server->answering = DRAIN_ANSWER - DRAIN_GRACE;
	sig_transport_drain(server->transport, within);
	if (n == 0 && !pages_are_open(server))
		uv_stop(&server->loop);
}

static void
end(SigServer *server, const char *why)
{
	if (server->draining > 0) {
		uv_stop(&server->loop);
		return;
	}
	g_message("%s: ending, %u connections are told to come back", why,
		  sig_transport_count(server->transport));
	sd_notify(0, "STOPPING=1");
	drain(server);
}

static void
on_handover(gboolean ok, int pid, gpointer user_data)
{
	SigServer *server = user_data;

	if (!ok) {
		g_warning("the new server did not start; this one goes on");
		return;
	}
	/* the service is that process from now on, so nothing is said of stopping */
	sd_notifyf(0, "MAINPID=%d", pid);
	g_message("process %d serves now: %u connections are told to come back to it", pid,
		  sig_transport_count(server->transport));
	server->handed_over = TRUE;
	sig_ports_stop_pages(server->ports);
	drain(server);
}

static void
hand_over(SigServer *server)
{
	g_autoptr(GArray) sockets = sig_ports_sockets(server->ports);
	g_autoptr(GError) error = NULL;

	if (!sig_handover_begin(server->handover, sockets, &error))
		g_warning("cannot start a new server: %s; this one goes on", error->message);
}

/* ---- TLS ---- */

static void
use_names(SigServer *server)
{
	if (!server->config->names || !server->config->names[0])
		sig_auth_set_names(server->hub->auth, sig_tls_names(server->tls));
}

static void
remark_tls(const SigTls *tls, const SigConfig *config)
{
	gint64 left = sig_tls_expires(tls) - g_get_real_time() / G_USEC_PER_SEC;

	if (left <= 0)
		g_warning("%s: has expired: agents will not come here; renew it, then SIGHUP",
			  config->tls_cert);
	else if (left < EXPIRES_SOON)
		g_warning("%s: expires in %" G_GINT64_FORMAT " hours: renew it, then SIGHUP",
			  config->tls_cert, left / 3600);
	if (sig_tls_key_is_public(tls))
		g_warning("%s: every user of this machine may read it: chmod o= it",
			  config->tls_key);
}

static gboolean
load_tls(SigServer *server, GError **error)
{
	const SigConfig *config = server->config;

	if (!config->tls_cert)
		return TRUE;
	server->tls = sig_tls_load(config->tls_cert, config->tls_key, error);
	if (!server->tls)
		return FALSE;
	remark_tls(server->tls, config);
	use_names(server);
	return TRUE;
}

static void
reload_tls(SigServer *server)
{
	const SigConfig *config = server->config;
	g_autoptr(GError) error = NULL;
	g_autoptr(SigTls) tls = NULL;

	if (!server->tls)
		return;
	tls = sig_tls_load(config->tls_cert, config->tls_key, &error);
	if (!tls || !sig_transport_set_tls(server->transport, tls, &error)) {
		g_warning("%s; the certificate as it was stays in use", error->message);
		return;
	}
	sig_tls_free(server->tls);
	server->tls = g_steal_pointer(&tls);
	remark_tls(server->tls, config);
	use_names(server);
	g_message("%s: read anew", config->tls_cert);
}

static void
reload(SigServer *server)
{
	reload_tls(server);
	sig_admit_reload(server->admit);
}

/* ---- life ---- */

static void
on_signal(uv_signal_t *handle, int number)
{
	SigServer *server = handle->data;

	if (number == SIGHUP)
		reload(server);
	else if (number != SIGUSR2)
		end(server, strsignal(number));
	else if (server->draining == 0)
		hand_over(server);
}

static void
start_timers(SigServer *server)
{
	uint64_t watchdog_us;

	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		server->watchdog = (guint)CLAMP(watchdog_us / G_USEC_PER_SEC / 3, 1, 3600);
	uv_timer_init(&server->loop, &server->second);
	server->second.data = server;
	uv_timer_start(&server->second, on_second, 1000, 1000);
	for (guint i = 0; i < G_N_ELEMENTS(signal_numbers); i++) {
		uv_signal_init(&server->loop, &server->signals[i]);
		server->signals[i].data = server;
		uv_signal_start(&server->signals[i], on_signal, signal_numbers[i]);
	}
}

/* lws sizes its tables by the limit of open files: raise it first. */
static void
make_room(SigServer *server)
{
	guint wanted = server->hub->limits.connections + SPARE_FILES;
	guint files = sig_socket_raise_files(wanted);

	if (files < wanted) {
		guint room = files > 2 * SPARE_FILES ? files - SPARE_FILES : files / 2;

		g_message("room for %u connections only: raise LimitNOFILE (ulimit -n) to %u, or "
			  "lower [limits] connections",
			  room, wanted);
		server->hub->limits.connections = room;
	}
}

static void
make_hub(SigServer *server, const SigTurn *turn)
{
	const SigConfig *config = server->config;

	server->hub = sig_hub_new(&config->limits, (const char *const *)config->names, NULL);
	server->hub->turn = turn;
	server->hub->log_addresses = config->log_addresses;
	server->hub->admit = admit;
	server->hub->admit_data = server;
}

static gboolean
open_ports(SigServer *server, GError **error)
{
	const guint16 *stun;

	server->ports = sig_ports_new(&server->loop, server->config, on_accepted, server, error);
	if (!server->ports)
		return FALSE;
	stun = sig_ports_stun(server->ports, &server->hub->n_stun);
	memcpy(server->hub->stun, stun, sizeof server->hub->stun);
	if (sig_inherit_close_rest() > 0)
		g_warning("more sockets were inherited than --listen, --stun and --metrics name: "
			  "the others were closed");
	return TRUE;
}

static gboolean
open_transport(SigServer *server, GError **error)
{
	static const SigTransportFuncs funcs = {tick_clock, on_empty, on_page};

	server->transport =
		sig_transport_new(&server->loop, server->hub, server->tls, &funcs, server, error);
	return server->transport != NULL;
}

SigServer *
sig_server_new(const SigConfig *config, const SigTurn *turn, const char *const *argv,
	       GError **error)
{
	g_autoptr(SigServer) server = g_new0(SigServer, 1);

	signal(SIGPIPE, SIG_IGN);
	server->config = config;
	server->started_s = g_get_real_time() / G_USEC_PER_SEC;
	uv_loop_init(&server->loop);
	start_timers(server);
	make_hub(server, turn);
	make_room(server);
	server->handover = sig_handover_new(&server->loop, argv, on_handover, server);
	server->admit = sig_admit_new(&server->loop, config, on_admission_changed, server, error);
	if (!server->admit || !load_tls(server, error) || !open_ports(server, error) ||
	    !open_transport(server, error))
		return NULL;
	return g_steal_pointer(&server);
}

static void
log_serving(SigServer *server)
{
	gboolean public;
	g_autofree char *text = sig_ports_describe(server->ports, server->tls != NULL, &public);
	g_autofree char *who = sig_admit_describe(server->admit);

	if (public && !server->tls)
		g_warning(
			"serving without TLS on a public address: who is on the path sees "
			"who talks to whom and may drop it; give --tls-cert and --tls-key, or put "
			"it behind TLS");
	if (!sig_auth_has_names(server->hub->auth))
		g_warning("no --name: logins are not bound to this server's name, so another "
			  "server could pass them on");
	g_message("serving %s; for %s", text, who);
}

/* The loop has ended and its handlers with it: a second SIGTERM must not spoil the exit status. */
static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (guint i = 0; i < G_N_ELEMENTS(signal_numbers); i++)
		sigaddset(&set, signal_numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

void
sig_server_run(SigServer *server)
{
	const SigStats *stats = &server->hub->stats;

	log_serving(server);
	sig_handover_say_ready();
	sd_notify(0, "READY=1");
	uv_run(&server->loop, UV_RUN_DEFAULT);
	block_signals();
	g_message("ended: %" G_GUINT64_FORMAT " connections, %" G_GUINT64_FORMAT
		  " logins, %" G_GUINT64_FORMAT " messages routed, %" G_GUINT64_FORMAT
		  " not deliverable (%" G_GUINT64_FORMAT " too fast, %" G_GUINT64_FORMAT
		  " from a fast address, %" G_GUINT64_FORMAT
		  " to a key with too many, %" G_GUINT64_FORMAT
		  " to a full queue), %" G_GUINT64_FORMAT " connections refused, %" G_GUINT64_FORMAT
		  " turned away (%" G_GUINT64_FORMAT " from an address with too many)",
		  stats->accepted, stats->logins, stats->routed, stats->unavailable,
		  stats->rate_limited, stats->address_limited, stats->destination_limited,
		  stats->queue_full, stats->refused,
		  stats->turned_away + sig_ports_turned_away(server->ports),
		  stats->connect_limited);
}

static void
close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void
sig_server_free(SigServer *server)
{
	close_handle((uv_handle_t *)&server->second);
	for (guint i = 0; i < G_N_ELEMENTS(signal_numbers); i++)
		close_handle((uv_handle_t *)&server->signals[i]);
	g_clear_pointer(&server->handover, sig_handover_free);
	g_clear_pointer(&server->ports, sig_ports_free);
	g_clear_pointer(&server->transport, sig_transport_free);
	g_clear_pointer(&server->admit, sig_admit_free);
	for (guint i = 0; i < 100 && uv_run(&server->loop, UV_RUN_NOWAIT); i++)
		;
	uv_loop_close(&server->loop);
	g_clear_pointer(&server->tls, sig_tls_free);
	g_clear_pointer(&server->hub, sig_hub_free);
	g_free(server);
}
