/* SPDX-License-Identifier: MIT */
#include "signaling/sig-ports.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "signaling/sig-socket.h"

#define ACCEPT_BATCH 64	  /* then others have their turn */
#define STUN_BUCKETS 4096 /* addresses that meet in one share it */

typedef struct {
	SigPorts *ports;
	uv_poll_t poll;
	int fd;
	SigStunSite *site; /* whose the fd is; NULL for listening */
	guint index;	   /* in the site */
} Socket;

struct SigPorts {
	uv_loop_t *loop;
	SigPortsFunc func;
	gpointer user_data;
	GPtrArray *listeners; /* of Socket */
	GPtrArray *pages;     /* of Socket: listening ones of the operator's pages */
	GPtrArray *stuns;     /* of Socket */
	GPtrArray *sites;     /* of SigStunSite */
	GArray *externals;    /* of SigStunExternal */
	SigRateLimit *stun_limit;
	SigStunCounts stun_counts;
	guint16 stun[SIG_WIRE_STUN_MAX];
	guint n_stun;
	int spare_fd;
	gboolean paused;
	gint64 warn_at; /* not before */
	guint64 turned_away;
};

/* ---- accepting ---- */

static void
warn(SigPorts *ports)
{
	gint64 now = g_get_monotonic_time();

	if (now < ports->warn_at)
		return;
	ports->warn_at = now + 60 * G_USEC_PER_SEC;
	g_warning("out of file descriptors: connections are turned away; raise LimitNOFILE or "
		  "lower [limits] connections");
}

static void
pause_all(GPtrArray *list)
{
	for (guint i = 0; i < list->len; i++)
		uv_poll_stop(&((Socket *)list->pdata[i])->poll);
}

static void
pause_listening(SigPorts *ports)
{
	pause_all(ports->listeners);
	pause_all(ports->pages);
	ports->paused = TRUE;
}

/* FALSE when there was none: the kernel reports EMFILE before it looks. */
static gboolean
turn_one_away(SigPorts *ports, int fd)
{
	int conn, err;

	if (ports->spare_fd >= 0)
		close(ports->spare_fd);
	conn = accept(fd, NULL, NULL);
	err = errno;
	if (conn >= 0)
		close(conn);
	ports->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (conn < 0 && err == EAGAIN)
		return FALSE;
	ports->turned_away++;
	warn(ports);
	if (conn < 0)
		pause_listening(ports);
	return conn >= 0;
}

static gboolean
accept_one(Socket *sock)
{
	SigPorts *ports = sock->ports;
	WgEndpoint peer = {0};
	int fd = sig_socket_accept(sock->fd, &peer);

	if (fd >= 0) {
		gboolean page = g_ptr_array_find(ports->pages, sock, NULL);

		ports->func(fd, page ? NULL : &peer, ports->user_data);
		return TRUE;
	}
	if (errno == EMFILE || errno == ENFILE)
		return turn_one_away(ports, sock->fd);
	if (errno == ENOBUFS || errno == ENOMEM)
		pause_listening(ports);
	return errno == EINTR || errno == ECONNABORTED;
}

static void
on_listener(uv_poll_t *poll, int status, int events)
{
	for (guint i = 0; i < ACCEPT_BATCH && accept_one(poll->data); i++)
		;
}

static void
resume_all(GPtrArray *list)
{
	for (guint i = 0; i < list->len; i++)
		uv_poll_start(&((Socket *)list->pdata[i])->poll, UV_READABLE, on_listener);
}

void
sig_ports_tick(SigPorts *ports)
{
	if (ports->spare_fd < 0) /* there may be room for it again */
		ports->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!ports->paused)
		return;
	resume_all(ports->listeners);
	resume_all(ports->pages);
	ports->paused = FALSE;
}

static void
on_stun(uv_poll_t *poll, int status, int events)
{
	Socket *sock = poll->data;

	sig_stun_site_serve(sock->site, sock->index, sock->ports->stun_limit,
			    &sock->ports->stun_counts, g_get_monotonic_time());
}

/* ---- opening ---- */

static void
socket_closed(uv_handle_t *handle)
{
	g_free(handle->data);
}

/* The socket is closed at once, so that another process can have its port; the handle follows. */
static void
socket_release(gpointer p)
{
	Socket *sock = p;

	uv_poll_stop(&sock->poll);
	if (!sock->site)
		close(sock->fd);
	uv_close((uv_handle_t *)&sock->poll, socket_closed);
}

static Socket *
watch(SigPorts *ports, GPtrArray *list, int fd, uv_poll_cb callback)
{
	Socket *sock = g_new0(Socket, 1);

	sock->ports = ports;
	sock->fd = fd;
	uv_poll_init(ports->loop, &sock->poll, fd);
	sock->poll.data = sock;
	uv_poll_start(&sock->poll, UV_READABLE, callback);
	g_ptr_array_add(list, sock);
	return sock;
}

/* Who opened sockets for us has said where, unless the user says it otherwise. */
static GArray *
listen_addresses(const SigConfig *config)
{
	GArray *inherited = sig_inherit_addresses(SIG_SOCKET_LISTEN);

	if (!config->listen_asked && inherited->len > 0)
		return inherited;
	g_array_unref(inherited);
	return g_array_ref(config->listen);
}

static gboolean
open_listeners(SigPorts *ports, const SigConfig *config, GError **error)
{
	g_autoptr(GArray) addresses = listen_addresses(config);

	for (guint i = 0; i < addresses->len; i++) {
		const WgEndpoint *address = &g_array_index(addresses, WgEndpoint, i);
		g_autoptr(GError) local = NULL;
		int fd = sig_socket_listen(SIG_SOCKET_LISTEN, address, &local);

		if (fd >= 0) {
			watch(ports, ports->listeners, fd, on_listener);
		} else if (config->listen_asked || i == 0) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		} else {
			g_message("%s", local->message); /* a host without IPv6 */
		}
	}
	return TRUE;
}

static gboolean
open_pages(SigPorts *ports, const SigConfig *config, GError **error)
{
	g_autoptr(GError) local = NULL;
	int fd;

	if (!wg_endpoint_is_set(&config->metrics))
		return TRUE;
	fd = sig_socket_listen(SIG_SOCKET_METRICS, &config->metrics, &local);
	if (fd >= 0) {
		watch(ports, ports->pages, fd, on_listener);
		return TRUE;
	}
	if (config->metrics_asked) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	g_message("no metrics: %s (or say --metrics none)", local->message);
	return TRUE;
}

static void
announce(SigPorts *ports, guint16 port)
{
	for (guint i = 0; i < ports->n_stun; i++)
		if (ports->stun[i] == port)
			return;
	if (ports->n_stun < SIG_WIRE_STUN_MAX)
		ports->stun[ports->n_stun++] = port;
}

/* Two addresses were asked for, which another program's port or a NAT may spoil. */
static void
check_pair(const SigPorts *ports, const SigStunSite *site, const SigStunPair *pair)
{
	const WgEndpoint *const addresses[] = {&pair->first, &pair->second};
	guint16 next, port = sig_stun_site_port(site, &next);

	if (!sig_stun_site_is_pair(site)) {
		g_warning("STUN: UDP port %u is not free at both addresses, so clients can't find "
			  "out how their NAT filters (RFC 5780): free it, or choose another --stun "
			  "port",
			  port + 1u);
		return;
	}
	for (guint i = 0; i < G_N_ELEMENTS(addresses); i++) {
		WgEndpoint seen = sig_stun_external_of(ports->externals, addresses[i]);
		char text[WG_ENDPOINT_STRLEN];

		if (wg_endpoint_is_private(&seen) && wg_endpoint_same_address(&seen, addresses[i]))
			g_message("STUN: clients are told of the private address %s; if they come "
				  "from outside, give --stun-external %s=PUBLIC",
				  wg_endpoint_format_address(&seen, text), text);
	}
}

static gboolean
open_site(SigPorts *ports, const SigStunPair *pair, GError **error)
{
	SigStunSite *site = sig_stun_site_new(pair, ports->externals, error);
	guint16 port, next;

	if (!site)
		return FALSE;
	g_ptr_array_add(ports->sites, site);
	for (guint i = 0; i < SIG_STUN_SITE_SOCKETS; i++) {
		int fd = sig_stun_site_fd(site, i);

		if (fd >= 0) {
			Socket *sock = watch(ports, ports->stuns, fd, on_stun);

			sock->site = site;
			sock->index = i;
		}
	}
	port = sig_stun_site_port(site, &next);
	announce(ports, port);
	if (next != 0)
		announce(ports, next);
	if (wg_endpoint_is_set(&pair->second))
		check_pair(ports, site, pair);
	return TRUE;
}

/* The default's addresses are no pairs: nobody has said that clients reach them both. */
static GArray *
pairs_of(const SigConfig *config)
{
	GArray *alone;

	if (config->stun_asked)
		return sig_stun_pairs(config->stun);
	alone = g_array_new(FALSE, TRUE, sizeof(SigStunPair));
	for (guint i = 0; i < config->stun->len; i++) {
		SigStunPair pair = {.first = g_array_index(config->stun, WgEndpoint, i)};

		g_array_append_val(alone, pair);
	}
	return alone;
}

static gboolean
open_stuns(SigPorts *ports, const SigConfig *config, GError **error)
{
	g_autoptr(GArray) pairs = pairs_of(config);

	for (guint i = 0; i < pairs->len; i++) {
		g_autoptr(GError) local = NULL;

		if (open_site(ports, &g_array_index(pairs, SigStunPair, i), &local))
			continue;
		if (config->stun_asked) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		}
		g_warning("%s; agents need another STUN server (or say --stun none)",
			  local->message);
	}
	return TRUE;
}

SigPorts *
sig_ports_new(uv_loop_t *loop, const SigConfig *config, SigPortsFunc func, gpointer user_data,
	      GError **error)
{
	g_autoptr(SigPorts) ports = g_new0(SigPorts, 1);

	ports->loop = loop;
	ports->func = func;
	ports->user_data = user_data;
	ports->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ports->listeners = g_ptr_array_new_with_free_func(socket_release);
	ports->pages = g_ptr_array_new_with_free_func(socket_release);
	ports->stuns = g_ptr_array_new_with_free_func(socket_release);
	ports->sites = g_ptr_array_new_with_free_func((GDestroyNotify)sig_stun_site_free);
	ports->externals = g_array_ref(config->stun_external);
	ports->stun_limit = sig_rate_limit_new(STUN_BUCKETS, config->limits.stun_rate,
					       config->limits.stun_burst);
	if (!open_listeners(ports, config, error) || !open_stuns(ports, config, error) ||
	    !open_pages(ports, config, error))
		return NULL;
	return g_steal_pointer(&ports);
}

void
sig_ports_stop_listening(SigPorts *ports)
{
	g_ptr_array_set_size(ports->listeners, 0);
}

void
sig_ports_stop_pages(SigPorts *ports)
{
	g_ptr_array_set_size(ports->pages, 0);
}

void
sig_ports_free(SigPorts *ports)
{
	g_ptr_array_unref(ports->listeners);
	g_ptr_array_unref(ports->pages);
	g_ptr_array_unref(ports->stuns);
	g_ptr_array_unref(ports->sites);
	g_array_unref(ports->externals);
	sig_rate_limit_free(ports->stun_limit);
	if (ports->spare_fd >= 0)
		close(ports->spare_fd);
	g_free(ports);
}

/* ---- what there is ---- */

const guint16 *
sig_ports_stun(const SigPorts *ports, guint *n)
{
	*n = ports->n_stun;
	return ports->stun;
}

const SigStunCounts *
sig_ports_stun_counts(const SigPorts *ports)
{
	return &ports->stun_counts;
}

guint64
sig_ports_turned_away(const SigPorts *ports)
{
	return ports->turned_away;
}

static void
add_sockets(GArray *out, const GPtrArray *list, SigSocketKind kind)
{
	for (guint i = 0; i < list->len; i++) {
		SigHandoverSocket sock = {.fd = ((Socket *)list->pdata[i])->fd, .kind = kind};

		g_array_append_val(out, sock);
	}
}

GArray *
sig_ports_sockets(const SigPorts *ports)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(SigHandoverSocket));

	add_sockets(out, ports->listeners, SIG_SOCKET_LISTEN);
	add_sockets(out, ports->pages, SIG_SOCKET_METRICS);
	add_sockets(out, ports->stuns, SIG_SOCKET_STUN);
	return out;
}

static void
describe_pages(const SigPorts *ports, GString *line)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint address;

	if (ports->pages->len == 0)
		return;
	sig_socket_address(((Socket *)ports->pages->pdata[0])->fd, &address);
	g_string_append_printf(line, "; metrics on http://%s/metrics",
			       wg_endpoint_format(&address, text));
}

static gboolean
has_pair(const SigPorts *ports)
{
	for (guint i = 0; i < ports->sites->len; i++)
		if (sig_stun_site_is_pair(ports->sites->pdata[i]))
			return TRUE;
	return FALSE;
}

char *
sig_ports_describe(const SigPorts *ports, gboolean tls, gboolean *public_out)
{
	GString *line = g_string_new(NULL);

	*public_out = FALSE;
	for (guint i = 0; i < ports->listeners->len; i++) {
		const Socket *sock = ports->listeners->pdata[i];
		char text[WG_ENDPOINT_STRLEN];
		WgEndpoint address;

		sig_socket_address(sock->fd, &address);
		*public_out |= sig_socket_is_public(&address);
		g_string_append_printf(line, "%s%s://%s", i ? ", " : "", tls ? "wss" : "ws",
				       wg_endpoint_format(&address, text));
	}
	g_string_append(line, ports->n_stun ? "; STUN on UDP" : "; no STUN");
	for (guint i = 0; i < ports->n_stun; i++)
		g_string_append_printf(line, "%s%u", i ? ", " : " ", ports->stun[i]);
	if (has_pair(ports))
		g_string_append(line, ", two addresses (RFC 5780)");
	describe_pages(ports, line);
	return g_string_free(line, FALSE);
}
