/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-stun-socket.h"

#include "agent/net/nat-local-socket.h"

#include <glib-unix.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LATE_PRIORITY (G_PRIORITY_DEFAULT + 10)
#define RTO_MS 200 /* then twice that, and so on */

typedef struct {
	NatStunSocket *sock;
	WgEndpoint to;
	guint change, left; /* left: sends */
	guint wait_ms;
	guint8 id[NAT_STUN_ID_LEN];
	NatStunReplyFunc func;
	gpointer user_data;
	guint again, end; /* timers */
} Question;

struct NatStunSocket {
	int fd;
	guint source;
	guint16 port;
	guint *sent;
	GPtrArray *questions; /* of Question */
};

static void
question_free(gpointer data)
{
	Question *question = data;

	g_clear_handle_id(&question->again, g_source_remove);
	g_clear_handle_id(&question->end, g_source_remove);
	g_free(question);
}

/* Nothing of the question or the socket may be touched afterwards. */
static void
conclude(Question *question, const NatStunReply *reply)
{
	NatStunReplyFunc func = question->func;
	gpointer user_data = question->user_data;

	g_ptr_array_remove_fast(question->sock->questions, question);
	func(reply, user_data);
}

static gboolean
on_end(gpointer user_data)
{
	Question *question = user_data;

	question->end = 0;
	conclude(question, NULL);
	return G_SOURCE_REMOVE;
}

static gboolean
send_question(gpointer user_data)
{
	Question *question = user_data;
	guint8 msg[NAT_STUN_DISCOVER_MAX];
	gsize len =
		nat_stun_build_request_discover(msg, sizeof msg, question->id, question->change);

	question->again = 0;
	/* what does not leave is as good as lost on the way */
	if (sendto(question->sock->fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL, &question->to.sa,
		   wg_endpoint_socklen(&question->to)) < 0)
		g_debug("an extra port's question did not leave");
	else if (question->sock->sent != NULL)
		++*question->sock->sent;
	if (--question->left > 0)
		question->again = g_timeout_add(question->wait_ms, send_question, question);
	question->wait_ms *= 2;
	return G_SOURCE_REMOVE;
}

void
nat_stun_socket_ask(NatStunSocket *sock, const WgEndpoint *to, guint change, guint sends,
		    guint patience_ms, NatStunReplyFunc func, gpointer user_data)
{
	Question *question = g_new0(Question, 1);

	question->sock = sock;
	question->to = *to;
	question->change = change;
	question->left = MAX(sends, 1);
	question->wait_ms = RTO_MS;
	question->func = func;
	question->user_data = user_data;
	randombytes_buf(question->id, sizeof question->id);
	/* after a stall, what has come meanwhile is read first */
	question->end = g_timeout_add_full(LATE_PRIORITY, patience_ms, on_end, question, NULL);
	g_ptr_array_add(sock->questions, question);
	send_question(question);
}

static Question *
find_question(NatStunSocket *sock, const guint8 id[NAT_STUN_ID_LEN])
{
	for (guint i = 0; i < sock->questions->len; i++) {
		Question *question = g_ptr_array_index(sock->questions, i);

		if (memcmp(question->id, id, NAT_STUN_ID_LEN) == 0)
			return question;
	}
	return NULL;
}

/* FALSE: no STUN response came. */
static gboolean
receive(int fd, NatStun *stun, WgEndpoint *from)
{
	guint8 buf[NAT_STUN_MAX];
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof sa;
	gssize len = recvfrom(fd, buf, sizeof buf, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sa,
			      &sa_len);

	if (len <= 0 || len > (gssize)sizeof buf || !nat_stun_parse(buf, (gsize)len, stun) ||
	    !wg_endpoint_from_sockaddr(from, &sa, sa_len))
		return FALSE;
	stun->username = NULL; /* they point into buf */
	stun->note = NULL;
	return stun->klass == NAT_STUN_SUCCESS || stun->klass == NAT_STUN_ERROR;
}

static gboolean
on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	NatStunSocket *sock = user_data;
	NatStunReply reply = {.refused = FALSE};
	Question *question;
	NatStun stun;

	if (!receive(fd, &stun, &reply.from))
		return G_SOURCE_CONTINUE;
	question = find_question(sock, stun.id);
	if (question == NULL)
		return G_SOURCE_CONTINUE;
	reply.refused = stun.klass == NAT_STUN_ERROR;
	if (!reply.refused) {
		if (wg_endpoint_is_bogus(&stun.mapped) || wg_endpoint_port(&stun.mapped) == 0 ||
		    wg_endpoint_family(&stun.mapped) != wg_endpoint_family(&question->to))
			return G_SOURCE_CONTINUE;
		reply.mapped = stun.mapped;
		reply.other = stun.other;
	}
	conclude(question, &reply);
	return G_SOURCE_CONTINUE; /* also of a source that is gone by now */
}

static gboolean
open_socket(NatStunSocket *sock, const WgEndpoint *local, guint32 fwmark)
{
	WgEndpoint any_port = *local, own;

	wg_endpoint_set_port(&any_port, 0);
	sock->fd = nat_local_socket(&any_port, SOCK_DGRAM, fwmark, &own);
	if (sock->fd < 0)
		return FALSE;
	sock->port = wg_endpoint_port(&own);
	return TRUE;
}

NatStunSocket *
nat_stun_socket_new(const WgEndpoint *local, guint32 fwmark, guint *sent)
{
	NatStunSocket *sock = g_new0(NatStunSocket, 1);

	sock->questions = g_ptr_array_new_with_free_func(question_free);
	sock->sent = sent;
	if (!open_socket(sock, local, fwmark)) {
		nat_stun_socket_free(sock);
		return NULL;
	}
	sock->source = g_unix_fd_add(sock->fd, G_IO_IN, on_readable, sock);
	return sock;
}

void
nat_stun_socket_free(NatStunSocket *sock)
{
	if (sock == NULL)
		return;
	g_clear_handle_id(&sock->source, g_source_remove);
	g_ptr_array_unref(sock->questions);
	if (sock->fd >= 0)
		close(sock->fd);
	g_free(sock);
}

guint16
nat_stun_socket_port(const NatStunSocket *sock)
{
	return sock->port;
}
