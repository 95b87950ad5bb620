/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: one GSource for the listening socket and one per client. A client's source
 * asks for input while nothing is waiting to be sent to it, and for output else: whoever does not
 * read his replies is not read from, so that a client costs at most one request buffer and one
 * reply. Replies come in the order of the calls because each is made when the one before is sent.
 * A call that is answered later stands in the way of those behind it; its client is neither read
 * from nor forgotten, and only its end is waited for meanwhile.
 */
#include "agent/control/nat-control.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/control/nat-control-socket.h"

/* Calls answered before other sources get their turn. */
#define BURST 16
#define ACCEPT_PAUSE_US (G_USEC_PER_SEC / 5)
/* Of what is sent already, so much is kept before the rest is moved. */
#define SENT_MAX (64 * 1024)

typedef struct {
	NatControl *control;
	GSource *source;
	gpointer tag;
	int fd;
	GByteArray *in, *out;
	gsize sent;	  /* of out */
	NatCall *call;	  /* in hand, not answered to the end; may be NULL */
	gboolean denied;  /* one answer, that says so */
	gboolean working; /* in work(): it will look again by itself */
	gboolean eof;	  /* no more input will come; what is here is still answered */
	gboolean closing; /* input is ignored; close when out is sent */
} Client;

struct NatControl {
	NatControlSocket *sock;
	NatControlFunc func;
	gpointer user_data;
	GSource *source;
	gpointer tag;
	GQueue clients; /* of Client, the longest idle first */
};

typedef struct {
	GSource base;
	gpointer owner;
} Source;

static GSource *
watch(GSourceFuncs *funcs, int fd, gpointer owner, const char *name, gpointer *tag)
{
	GSource *source = g_source_new(funcs, sizeof(Source));

	((Source *)source)->owner = owner;
	*tag = g_source_add_unix_fd(source, fd, G_IO_IN);
	g_source_set_static_name(source, name);
	g_source_attach(source, g_main_context_get_thread_default());
	return source;
}

/* --- one client --- */

static void
client_free(Client *client)
{
	g_queue_remove(&client->control->clients, client);
	g_clear_pointer(&client->call, nat_call_abandon);
	g_source_destroy(client->source);
	g_source_unref(client->source);
	close(client->fd);
	g_byte_array_unref(client->in);
	g_byte_array_unref(client->out);
	g_free(client);
}

static gboolean
has_output(const Client *client)
{
	return client->sent < client->out->len;
}

/* FALSE: the connection is broken. */
static gboolean
flush_output(Client *client)
{
	while (has_output(client)) {
		gssize n = send(client->fd, client->out->data + client->sent,
				client->out->len - client->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		client->sent += (gsize)n;
	}
	/* a big reply's memory goes at once: this client may stay for days */
	g_byte_array_unref(client->out);
	client->out = g_byte_array_new();
	client->sent = 0;
	return TRUE;
}

static void
queue_reply(Client *client, char *reply_take)
{
	g_autofree char *reply = reply_take;

	if (!reply)
		return;
	/* a stream of answers may never be sent to the end */
	if (client->sent > SENT_MAX) {
		g_byte_array_remove_range(client->out, 0, (guint)client->sent);
		client->sent = 0;
	}
	g_byte_array_append(client->out, (const guint8 *)reply, (guint)strlen(reply) + 1);
}

/* Polled for: output while there is some; nothing (but the end, which poll(2) tells unasked) while
 * a call is in hand; input else. */
static void
set_poll(Client *client)
{
	g_source_modify_unix_fd(client->source, client->tag,
				has_output(client)	      ? G_IO_OUT
				: client->call || client->eof ? 0
							      : G_IO_IN);
}

/* It is the last that gives way to another. */
static void
touch(Client *client)
{
	g_queue_remove(&client->control->clients, client);
	g_queue_push_tail(&client->control->clients, client);
}

static void
on_answer(char *text_take, gboolean last, gpointer owner)
{
	Client *client = owner;

	queue_reply(client, text_take);
	if (last)
		client->call = NULL;
	if (client->working)
		return;
	touch(client);
	set_poll(client);
	/* what came behind the call is answered though nothing new comes in */
	if (last)
		g_source_set_ready_time(client->source, 0);
}

static gsize
unread(gpointer owner)
{
	const Client *client = owner;

	return client->out->len - client->sent;
}

static const NatCallWay WAY = {on_answer, unread};

/* Begins to answer the first complete message. FALSE when there is none. */
static gboolean
answer_one(Client *client)
{
	GByteArray *in = client->in;
	const guint8 *nul = in->len > 0 ? memchr(in->data, '\0', in->len) : NULL;
	NatControl *control = client->control;
	NatVarlinkCall *call;
	char *problem;

	if (!nul) {
		if (in->len < NAT_CONTROL_REQUEST_MAX)
			return FALSE;
		client->closing = TRUE;
		queue_reply(client, nat_varlink_error(NAT_VARLINK_INVALID_PARAMETER, NULL, NULL));
		return TRUE;
	}
	call = nat_varlink_parse_call((const char *)in->data, (gsize)(nul - in->data), &problem,
				      &client->closing);
	g_byte_array_remove_range(in, 0, (guint)(nul - in->data) + 1);
	queue_reply(client, problem);
	if (!call)
		return TRUE;
	client->call = nat_call_new(call, &WAY, client);
	client->closing |= client->denied;
	if (client->denied)
		nat_call_fail(client->call, NAT_CONTROL_NOT_PERMITTED, NULL, NULL);
	else
		control->func(client->call, control->user_data);
	return TRUE;
}

/* Answers and sends until something must be waited for. FALSE: the connection is over. */
static gboolean
work_on(Client *client)
{
	for (int i = 0; i < BURST; i++) {
		if (!flush_output(client))
			return FALSE;
		if (has_output(client))
			return TRUE;
		if (client->closing)
			return FALSE;
		if (client->call)
			return TRUE;
		if (!answer_one(client))
			return !client->eof;
	}
	g_source_set_ready_time(client->source, 0); /* again, after the others */
	return TRUE;
}

static gboolean
work(Client *client)
{
	gboolean alive;

	client->working = TRUE;
	alive = work_on(client);
	client->working = FALSE;
	return alive;
}

/* FALSE: the connection is broken. */
static gboolean
read_input(Client *client)
{
	guint8 buf[4096];
	gsize room = NAT_CONTROL_REQUEST_MAX - client->in->len;
	gssize n;

	if (client->eof || room == 0)
		return TRUE;
	n = recv(client->fd, buf, MIN(room, sizeof buf), 0);
	if (n > 0)
		g_byte_array_append(client->in, buf, (guint)n);
	client->eof = n == 0;
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static gboolean
client_ready(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	Client *client = ((Source *)source)->owner;
	GIOCondition condition = g_source_query_unix_fd(source, client->tag);
	gboolean alive = TRUE;

	g_source_set_ready_time(source, -1);
	touch(client);
	if (condition & G_IO_IN)
		alive = read_input(client);
	else if (condition & (G_IO_HUP | G_IO_ERR))
		alive = FALSE;
	if (!alive || !work(client)) {
		client_free(client);
		return G_SOURCE_REMOVE;
	}
	set_poll(client);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs CLIENT_FUNCS = {NULL, NULL, client_ready, NULL};

static void
client_new(NatControl *control, int fd)
{
	Client *client = g_new0(Client, 1);

	if (g_queue_get_length(&control->clients) >= NAT_CONTROL_CLIENTS_MAX)
		client_free(g_queue_peek_head(&control->clients));
	client->control = control;
	client->fd = fd;
	client->denied = !nat_control_socket_admits(control->sock, fd);
	client->in = g_byte_array_new();
	client->out = g_byte_array_new();
	client->source = watch(&CLIENT_FUNCS, fd, client, "control client", &client->tag);
	g_queue_push_tail(&control->clients, client);
}

/* --- the listening socket --- */

static gboolean
listener_ready(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	NatControl *control = ((Source *)source)->owner;
	int fd = accept4(nat_control_socket_fd(control->sock), NULL, NULL,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	/* back from a pause */
	if (g_source_get_ready_time(source) >= 0) {
		g_source_set_ready_time(source, -1);
		g_source_modify_unix_fd(source, control->tag, G_IO_IN);
	}
	if (fd >= 0) {
		client_new(control, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		/* the connection stays in the queue and would wake us without end */
		g_source_modify_unix_fd(source, control->tag, 0);
		g_source_set_ready_time(source, g_get_monotonic_time() + ACCEPT_PAUSE_US);
	}
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs LISTENER_FUNCS = {NULL, NULL, listener_ready, NULL};

NatControl *
nat_control_new(const char *path, const char *group, NatControlFunc func, gpointer user_data,
		GError **error)
{
	NatControlSocket *sock = nat_control_socket_new(path, group, error);
	NatControl *control;

	if (!sock)
		return NULL;
	control = g_new0(NatControl, 1);
	control->sock = sock;
	control->func = func;
	control->user_data = user_data;
	g_queue_init(&control->clients);
	control->source = watch(&LISTENER_FUNCS, nat_control_socket_fd(sock), control, "control",
				&control->tag);
	return control;
}

void
nat_control_free(NatControl *control)
{
	if (!control)
		return;
	while (!g_queue_is_empty(&control->clients))
		client_free(g_queue_peek_head(&control->clients));
	g_source_destroy(control->source);
	g_source_unref(control->source);
	nat_control_socket_free(control->sock);
	g_free(control);
}

guint
nat_control_clients(const NatControl *control)
{
	return control->clients.length;
}
