/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The thread waits for both sockets and an eventfd that tells it to end. A
 * STUN message goes to the host as a closure that holds the door; punch_detour_free() shuts the
 * door, so closures that are under way then find nobody.
 */
#include "agent/punch/punch-detour.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/mux/nat-stun.h"
#include "agent/net/nat-local-socket.h"
#include "agent/relay/nat-dgram.h"

#define WAITING_MAX 64 /* STUN messages for the host; more are dropped */

typedef struct {
	_Atomic guint refs;
	_Atomic guint waiting;
	/* host thread */
	PunchDetourFunc func; /* NULL: shut */
	gpointer user_data;
} Door;

struct PunchDetour {
	WgEndpoint endpoint;
	GThread *thread;
	GMainContext *host;
	Door *door;
	int wake_fd, epoll_fd;
	NatDgram far, wg;
	NatDgramIn *in;
	NatDgramOut *out;
};

typedef struct {
	Door *door;
	gsize len;
	guint8 msg[];
} Letter;

static void
door_unref(Door *door)
{
	if (atomic_fetch_sub(&door->refs, 1) == 1)
		g_free(door);
}

/* ---- the thread ---- */

static gboolean
on_letter(gpointer data)
{
	Letter *letter = data;

	atomic_fetch_sub(&letter->door->waiting, 1);
	if (letter->door->func != NULL)
		letter->door->func(letter->msg, letter->len, letter->door->user_data);
	return G_SOURCE_REMOVE;
}

static void
letter_free(gpointer data)
{
	Letter *letter = data;

	door_unref(letter->door);
	g_free(letter);
}

static void
tell_host(PunchDetour *detour, const guint8 *msg, gsize len)
{
	Letter *letter;
	GSource *source;

	if (len > NAT_STUN_PADDED_MAX || atomic_load(&detour->door->waiting) >= WAITING_MAX)
		return;
	atomic_fetch_add(&detour->door->waiting, 1);
	atomic_fetch_add(&detour->door->refs, 1);
	letter = g_malloc(sizeof *letter + len);
	letter->door = detour->door;
	letter->len = len;
	memcpy(letter->msg, msg, len);
	/* not g_main_context_invoke(): that may call here, where nobody runs the context now */
	source = g_idle_source_new();
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, on_letter, letter, letter_free);
	g_source_attach(source, detour->host);
	g_source_unref(source);
}

static void
move(PunchDetour *detour, NatDgram *from, NatDgram *to)
{
	NatDgramSent sent = {0};
	const guint8 *data;
	gsize len;

	/* an error is a port that is shut at the moment */
	if (nat_dgram_read(from, detour->in) <= 0)
		return;
	for (guint i = 0; (data = nat_dgram_in_get(detour->in, i, &len)) != NULL; i++) {
		if (from == &detour->far && nat_stun_is_message(data, len))
			tell_host(detour, data, len);
		else
			nat_dgram_add(detour->out, to, NULL, 0, data, len, &sent);
	}
	nat_dgram_flush(detour->out, to, &sent);
}

static gpointer
run(gpointer data)
{
	PunchDetour *detour = data;

	for (;;) {
		struct epoll_event events[3];
		int n = epoll_wait(detour->epoll_fd, events, G_N_ELEMENTS(events), -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == detour->wake_fd)
				return NULL;
			if (events[i].data.fd == detour->far.fd)
				move(detour, &detour->far, &detour->wg);
			else
				move(detour, &detour->wg, &detour->far);
		}
	}
}

/* ---- the host ---- */

static gboolean
watch(PunchDetour *detour, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(detour->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static gboolean
start(PunchDetour *detour)
{
	detour->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	detour->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (detour->wake_fd < 0 || detour->epoll_fd < 0 || !watch(detour, detour->wake_fd) ||
	    !watch(detour, detour->far.fd) || !watch(detour, detour->wg.fd))
		return FALSE;
	detour->in = nat_dgram_in_new();
	detour->out = nat_dgram_out_new();
	detour->thread = g_thread_new("nat-ports", run, detour);
	return TRUE;
}

PunchDetour *
punch_detour_new(int fd, const WgEndpoint *remote, guint16 wg_port, guint32 fwmark,
		 PunchDetourFunc func, gpointer user_data, GError **error)
{
	PunchDetour *detour = g_new0(PunchDetour, 1);
	int wg = -1;

	detour->wake_fd = detour->epoll_fd = -1;
	detour->far.fd = fd;
	detour->door = g_new0(Door, 1);
	detour->door->refs = 1;
	detour->door->func = func;
	detour->door->user_data = user_data;
	detour->host = g_main_context_ref_thread_default();
	if (connect(fd, &remote->sa, wg_endpoint_socklen(remote)) == 0)
		wg = nat_loopback_socket(wg_port, fwmark, &detour->endpoint);
	detour->wg.fd = wg;
	if (wg >= 0) {
		nat_dgram_init(&detour->far, fd);
		nat_dgram_init(&detour->wg, wg);
	}
	if (wg >= 0 && start(detour))
		return detour;
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot open a bridge: %s",
		    g_strerror(errno));
	punch_detour_free(detour);
	return NULL;
}

void
punch_detour_free(PunchDetour *detour)
{
	guint64 one = 1;

	if (detour == NULL)
		return;
	if (detour->thread != NULL) {
		while (write(detour->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
			;
		g_thread_join(detour->thread);
	}
	detour->door->func = NULL;
	door_unref(detour->door);
	g_main_context_unref(detour->host);
	g_clear_pointer(&detour->in, nat_dgram_in_free);
	g_clear_pointer(&detour->out, nat_dgram_out_free);
	if (detour->epoll_fd >= 0)
		close(detour->epoll_fd);
	if (detour->wake_fd >= 0)
		close(detour->wake_fd);
	nat_dgram_close(&detour->far);
	if (detour->wg.fd >= 0)
		nat_dgram_close(&detour->wg);
	g_free(detour);
}

const WgEndpoint *
punch_detour_endpoint(const PunchDetour *detour)
{
	return &detour->endpoint;
}

gboolean
punch_detour_send(PunchDetour *detour, const guint8 *msg, gsize len)
{
	/* that an earlier one was refused is told in place of sending this one */
	for (int tries = 0; tries < 2; tries++)
		if (send(detour->far.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (gssize)len)
			return TRUE;
	return FALSE;
}

void
punch_detour_set_fwmark(PunchDetour *detour, guint32 fwmark)
{
	setsockopt(detour->far.fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark);
	setsockopt(detour->wg.fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark);
}
