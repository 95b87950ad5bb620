/* SPDX-License-Identifier: MIT */
/*
 * An attempt for each address: ALLOCATING → (RELEASING) → over, each begun where the one before has
 * failed, or has said nothing for STAGGER_MS (RFC 8305). Once one has reached the server no other
 * begins and those without an answer are given up; what is allocated is released, and that waited
 * for: a quota may be small. What is never answered the server forgets after ten minutes.
 */
#include "agent/netcheck/net-reach.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/nat-log.h"
#include "agent/netcheck/net-name.h"
#include "agent/relay/nat-turn-socket.h"
#include "agent/relay/nat-turn-talk.h"

#define RELEASE_MS 1000
#define STAGGER_MS 300
#define UNAUTHORIZED 401
#define MSG_MAX 4096

typedef struct {
	NetReachTurn *turn;
	WgEndpoint server;
	NatTurnSocket *sock;
	NatTurnTalk *talk;
	int fd; /* -1: closed */
	guint source;
	gint64 began_us;
	gboolean begun, answered, over;
} Attempt;

struct NetReachTurn {
	NetServer *row;
	NatTurnUri *uri;
	NetReachFunc func;
	gpointer user_data;
	Attempt attempts[NET_NAME_MAX];
	gsize n;
	guint timer, stagger, idle;
};

/* ---- ends ---- */

static void
attempt_close(Attempt *attempt)
{
	g_clear_handle_id(&attempt->source, g_source_remove);
	g_clear_pointer(&attempt->talk, nat_turn_talk_free);
	if (attempt->fd >= 0)
		close(attempt->fd);
	attempt->fd = -1;
	g_clear_pointer(&attempt->sock, nat_turn_socket_free);
}

static gboolean
on_idle(gpointer user_data)
{
	NetReachTurn *turn = user_data;

	turn->idle = 0;
	for (gsize i = 0; i < turn->n; i++)
		attempt_close(&turn->attempts[i]);
	turn->func(turn->user_data);
	return G_SOURCE_REMOVE;
}

static void start_next(NetReachTurn *turn);

/* Told from an idle source, where nothing of an attempt is on the stack. */
static void
over(Attempt *attempt)
{
	NetReachTurn *turn = attempt->turn;

	attempt->over = TRUE;
	if (!turn->row->ok)
		start_next(turn);
	for (gsize i = 0; i < turn->n; i++) {
		const Attempt *other = &turn->attempts[i];

		if (!other->over && (other->answered || !turn->row->ok))
			return;
	}
	g_clear_handle_id(&turn->timer, g_source_remove);
	g_clear_handle_id(&turn->stagger, g_source_remove);
	if (turn->idle == 0)
		turn->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, turn, NULL);
}

static void
failed(Attempt *attempt, const char *problem)
{
	NetServer *row = attempt->turn->row;

	if (attempt->over)
		return;
	if (!row->ok && !row->problem) {
		row->problem = nat_log_escape(problem, -1);
		row->address = attempt->server;
	}
	over(attempt);
}

static void
reached(Attempt *attempt, const char *note)
{
	NetReachTurn *turn = attempt->turn;
	NetServer *row = turn->row;

	if (row->ok)
		return;
	row->ok = TRUE;
	g_clear_pointer(&row->problem, g_free);
	row->note = g_strdup(note);
	row->address = attempt->server;
	row->ms = (double)(g_get_monotonic_time() - attempt->began_us) / G_TIME_SPAN_MILLISECOND;
}

/* ---- the allocation ---- */

static void
on_released(const NatTurnAsk *ask, const NatTurnMsg *answer, gpointer user_data)
{
	over(user_data);
}

static void
on_success(Attempt *attempt, const NatTurnMsg *answer)
{
	NatTurnAsk release = {.method = NAT_TURN_REFRESH, .lifetime_s = 0};
	char relayed[WG_ENDPOINT_STRLEN];
	g_autofree char *note = NULL;

	if (wg_endpoint_is_set(&answer->relayed)) {
		note = g_strdup_printf("relays at %s",
				       wg_endpoint_format_address(&answer->relayed, relayed));
		reached(attempt, note);
	} else if (!attempt->turn->row->problem) {
		attempt->turn->row->problem =
			g_strdup("it gave no relayed address that others can reach");
	}
	if (!nat_turn_talk_ask(attempt->talk, &release, RELEASE_MS, on_released, attempt))
		over(attempt);
}

static void
on_error(Attempt *attempt, const NatTurnMsg *answer)
{
	const NatTurnUri *uri = attempt->turn->uri;
	g_autofree char *text = NULL;

	if (answer->error == UNAUTHORIZED && !uri->username) {
		reached(attempt, "asks for credentials");
		over(attempt);
		return;
	}
	text = g_strdup_printf(
		"%s (%d%s%s)",
		answer->error == UNAUTHORIZED || answer->error == 441 || answer->error == 403
			? "wrong or expired credentials"
		: answer->error == 486 || answer->error == 508 ? "it has no allocation left for us"
							       : "it refuses",
		answer->error, answer->reason[0] ? " " : "", answer->reason);
	failed(attempt, text);
}

static void
on_allocated(const NatTurnAsk *ask, const NatTurnMsg *answer, gpointer user_data)
{
	Attempt *attempt = user_data;

	attempt->answered = TRUE;
	if (!answer)
		failed(attempt, "timed out");
	else if (answer->kind == NAT_TURN_MSG_SUCCESS)
		on_success(attempt, answer);
	else
		on_error(attempt, answer);
}

/* ---- its socket ---- */

static gboolean
send_message(const guint8 *msg, gsize len, gpointer user_data)
{
	const Attempt *attempt = user_data;

	if (send(attempt->fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return TRUE;
	g_debug("a TURN request did not leave: %s", g_strerror(errno));
	return FALSE;
}

static gboolean
on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	Attempt *attempt = user_data;
	guint8 buf[MSG_MAX];
	NatTurnMsg data;
	ssize_t len = recv(fd, buf, sizeof buf, MSG_DONTWAIT | MSG_TRUNC);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (len <= 0) {
		g_autofree char *problem =
			nat_turn_socket_problem(attempt->sock, len < 0 ? errno : ECONNRESET);

		attempt->source = 0;
		failed(attempt, problem);
		return G_SOURCE_REMOVE;
	}
	if (len <= (ssize_t)sizeof buf && !attempt->over)
		nat_turn_talk_receive(attempt->talk, buf, (gsize)len, &data);
	return G_SOURCE_CONTINUE;
}

static gboolean
on_timeout(gpointer user_data)
{
	NetReachTurn *turn = user_data;

	turn->timer = 0;
	for (gsize i = 0; i < turn->n; i++)
		failed(&turn->attempts[i], "timed out");
	return G_SOURCE_REMOVE;
}

static void
start(Attempt *attempt)
{
	const NetReachTurn *turn = attempt->turn;
	NatTurnAsk ask = {.method = NAT_TURN_ALLOCATE};
	g_autoptr(GError) error = NULL;

	attempt->begun = TRUE;
	attempt->began_us = g_get_monotonic_time();
	attempt->sock = nat_turn_socket_new(turn->uri, &attempt->server, 0, &attempt->fd, &error);
	if (!attempt->sock) {
		failed(attempt, error->message);
		return;
	}
	attempt->talk =
		nat_turn_talk_new(turn->uri->username, turn->uri->password,
				  nat_turn_socket_is_stream(attempt->sock), send_message, attempt);
	attempt->source =
		g_unix_fd_add(attempt->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, attempt);
	if (!nat_turn_talk_ask(attempt->talk, &ask, NET_REACH_WITHIN_MS, on_allocated, attempt))
		failed(attempt, "an Allocate cannot be sent");
}

static gboolean
on_stagger(gpointer user_data)
{
	NetReachTurn *turn = user_data;

	turn->stagger = 0;
	if (!turn->row->ok)
		start_next(turn);
	return G_SOURCE_REMOVE;
}

static void
start_next(NetReachTurn *turn)
{
	for (gsize i = 0; i < turn->n; i++) {
		if (turn->attempts[i].begun)
			continue;
		g_clear_handle_id(&turn->stagger, g_source_remove);
		turn->stagger = g_timeout_add(STAGGER_MS, on_stagger, turn);
		start(&turn->attempts[i]);
		return;
	}
}

NetReachTurn *
net_reach_turn(NetServer *row, const NatTurnUri *uri, const WgEndpoint *addrs, gsize n,
	       NetReachFunc func, gpointer user_data)
{
	NetReachTurn *turn = g_new0(NetReachTurn, 1);

	turn->row = row;
	turn->uri = nat_turn_uri_copy(uri);
	turn->func = func;
	turn->user_data = user_data;
	turn->n = MIN(n, G_N_ELEMENTS(turn->attempts));
	for (gsize i = 0; i < turn->n; i++)
		turn->attempts[i] = (Attempt){.turn = turn, .server = addrs[i], .fd = -1};
	turn->timer = g_timeout_add(NET_REACH_WITHIN_MS + RELEASE_MS, on_timeout, turn);
	start_next(turn);
	return turn;
}

void
net_reach_turn_free(NetReachTurn *turn)
{
	if (!turn)
		return;
	g_clear_handle_id(&turn->timer, g_source_remove);
	g_clear_handle_id(&turn->stagger, g_source_remove);
	g_clear_handle_id(&turn->idle, g_source_remove);
	for (gsize i = 0; i < turn->n; i++)
		attempt_close(&turn->attempts[i]);
	nat_turn_uri_free(turn->uri);
	g_free(turn);
}
