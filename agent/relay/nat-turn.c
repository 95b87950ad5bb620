/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. ALLOCATING → UP → DOWN, or ALLOCATING → DOWN. What ends it (an answer, its
 * absence, the socket) only notes why and schedules the callback, so that the owner may free the
 * NatTurn there while nothing of it is on the stack.
 */
#define G_LOG_DOMAIN "turn"
#include "agent/relay/nat-turn.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#include "agent/relay/nat-channel.h"
#include "agent/relay/nat-turn-grants.h"
#include "agent/relay/nat-turn-socket.h"
#include "agent/relay/nat-turn-talk.h"

#define ANSWER_MS 4000
#define CONNECT_MS 10000 /* on a stream: its connection, a TLS handshake, three round trips */
#define CHECK_MS 1500
#define CHECK_STREAM_MS 4000 /* the question waits behind data, and TCP repeats what is lost */
#define LIFETIME_S 600	     /* RFC 8656 §7.2; the server may grant another */
#define LIFETIME_MIN_S 30
#define LIFETIME_MAX_S 3600
#define REFRESH_ROUNDS 2 /* unanswered: a short outage must not cost the allocation */
#define DATA_MAX 4096
#define WRAPPED_MAX (DATA_MAX + NAT_TURN_SEND_OVERHEAD)
#define KEEPALIVE_MAX_S 20u

typedef enum {
	ALLOCATING,
	UP,
	DOWN,
} State;

struct NatTurn {
	NatTurnUri *uri;
	WgEndpoint server, relayed;
	NatTurnFuncs funcs;
	gpointer user_data;
	NatTurnSocket *sock;
	NatPump *pump;
	NatTurnTalk *talk;
	NatTurnGrants *grants;
	State state;
	NatTurnFailure failure;
	char *reason;
	guint tell_idle; /* up or down will be told */
	gint64 expires_us;
	guint lifetime_s, silent_rounds;
	gboolean checking;
	guint refresh_timer, keepalive_timer;
	guint keepalive_s;
};

/* ---- states ---- */

static const char *
state_name(State state)
{
	switch (state) {
	case ALLOCATING:
		return "allocating";
	case UP:
		return "up";
	case DOWN:
		return "down";
	}
	return "?";
}

static gboolean
on_tell(gpointer user_data)
{
	NatTurn *turn = user_data;

	turn->tell_idle = 0;
	if (turn->state == UP)
		turn->funcs.up(turn, &turn->relayed, turn->user_data);
	else
		turn->funcs.down(turn, turn->failure, turn->reason, turn->user_data);
	return G_SOURCE_REMOVE;
}

static void
set_state(NatTurn *turn, State state, const char *reason)
{
	g_autofree char *server = nat_turn_uri_format(turn->uri);

	g_debug("%s: %s -> %s (%s)", server, state_name(turn->state), state_name(state), reason);
	turn->state = state;
	if (turn->tell_idle == 0)
		turn->tell_idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_tell, turn, NULL);
}

/* Went down before `up` was told: then only that is told. */
static void
go_down_take(NatTurn *turn, NatTurnFailure failure, char *reason)
{
	if (turn->state == DOWN) {
		g_free(reason);
		return;
	}
	g_clear_handle_id(&turn->refresh_timer, g_source_remove);
	turn->failure = failure;
	turn->reason = reason;
	set_state(turn, DOWN, reason);
}

static void
go_down(NatTurn *turn, NatTurnFailure failure, const char *reason)
{
	go_down_take(turn, failure, g_strdup(reason));
}

static NatTurnFailure
classify(const NatTurn *turn, int error)
{
	switch (error) {
	case 401:
	case 438: /* a nonce that is never right */
	case 441:
		return NAT_TURN_CREDENTIALS;
	case 403:
		return turn->state == ALLOCATING ? NAT_TURN_CREDENTIALS : NAT_TURN_OTHER;
	case 437:
		return turn->state == UP ? NAT_TURN_LOST : NAT_TURN_OTHER;
	case 486:
	case 508:
		return NAT_TURN_QUOTA;
	default:
		return NAT_TURN_OTHER;
	}
}

static const char *
meaning(const NatTurn *turn, NatTurnFailure failure)
{
	switch (failure) {
	case NAT_TURN_CREDENTIALS:
		return turn->uri->username
			       ? "wrong or expired credentials: check the secret in --turn"
			       : "it asks for credentials: write them into --turn";
	case NAT_TURN_QUOTA:
		return "it has no allocation left for us";
	case NAT_TURN_LOST:
		return "it no longer knows our allocation";
	case NAT_TURN_UNREACHABLE:
	case NAT_TURN_OTHER:
		break;
	}
	return "it refused";
}

static void
down_by_answer(NatTurn *turn, const NatTurnMsg *answer)
{
	NatTurnFailure failure = classify(turn, answer->error);
	const char *said = answer->reason;

	go_down_take(turn, failure,
		     g_strdup_printf("%s (it says %d%s%s)", meaning(turn, failure), answer->error,
				     said[0] ? " " : "", said));
}

/* ---- the allocation ---- */

static void refresh(NatTurn *turn);
static void check(NatTurn *turn);

static gboolean
on_refresh_timer(gpointer user_data)
{
	NatTurn *turn = user_data;

	turn->refresh_timer = 0;
	refresh(turn);
	return G_SOURCE_REMOVE;
}

/* RFC 8656 §8 wants it a minute early at least; half the life leaves room for a replacement. */
static void
schedule_refresh(NatTurn *turn, const NatTurnMsg *answer)
{
	guint32 given = answer->has_lifetime ? answer->lifetime_s : LIFETIME_S;

	turn->silent_rounds = 0;
	turn->lifetime_s = CLAMP(given, LIFETIME_MIN_S, LIFETIME_MAX_S);
	turn->expires_us = g_get_monotonic_time() + turn->lifetime_s * G_TIME_SPAN_SECOND;
	g_clear_handle_id(&turn->refresh_timer, g_source_remove);
	turn->refresh_timer = g_timeout_add(turn->lifetime_s * 500, on_refresh_timer, turn);
}

/* Only its answer is late or lost: what it sends us, it sends for this allocation. */
static gboolean
gives_a_sign(const NatTurn *turn)
{
	return nat_pump_has_heard(turn->pump) && g_get_monotonic_time() < turn->expires_us;
}

static void
on_answer(NatTurn *turn, const NatTurnMsg *answer)
{
	turn->checking = FALSE;
	if (answer->kind == NAT_TURN_MSG_ERROR)
		down_by_answer(turn, answer);
	else if (answer->has_lifetime && answer->lifetime_s == 0)
		go_down(turn, NAT_TURN_LOST, "it took our allocation back");
	else
		schedule_refresh(turn, answer);
}

static void
on_refreshed(const NatTurnAsk *ask, const NatTurnMsg *answer, gpointer user_data)
{
	NatTurn *turn = user_data;

	if (turn->state != UP)
		return;
	if (answer)
		on_answer(turn, answer);
	else if (turn->checking)
		return; /* which listens anew, and will tell */
	else if (gives_a_sign(turn) || ++turn->silent_rounds < REFRESH_ROUNDS)
		refresh(turn);
	else
		go_down(turn, NAT_TURN_LOST, "it does not answer any more");
}

static void
on_checked(const NatTurnAsk *ask, const NatTurnMsg *answer, gpointer user_data)
{
	NatTurn *turn = user_data;

	if (turn->state != UP)
		return;
	if (answer)
		on_answer(turn, answer);
	else if (!turn->checking)
		return; /* a Refresh beside it was answered */
	else if (gives_a_sign(turn))
		check(turn);
	else
		go_down(turn, NAT_TURN_LOST, "it does not answer any more");
}

static void
ask_refresh(NatTurn *turn, guint within_ms, NatTurnAnswerFunc func)
{
	NatTurnAsk ask = {.method = NAT_TURN_REFRESH, .lifetime_s = turn->lifetime_s};

	nat_pump_listen(turn->pump);
	if (!nat_turn_talk_ask(turn->talk, &ask, within_ms, func, turn))
		go_down(turn, NAT_TURN_OTHER, "a Refresh cannot be sent");
}

static void
refresh(NatTurn *turn)
{
	ask_refresh(turn, ANSWER_MS, on_refreshed);
}

static void
check(NatTurn *turn)
{
	ask_refresh(turn, nat_turn_socket_is_stream(turn->sock) ? CHECK_STREAM_MS : CHECK_MS,
		    on_checked);
}

void
nat_turn_check(NatTurn *turn)
{
	if (turn->state != UP || turn->checking)
		return;
	turn->checking = TRUE;
	/* Beside a Refresh that may be under way already, and has more patience. */
	check(turn);
}

/* RFC 8656 §7.2 leaves it to the client. Without regard to data that may pass in the pump's thread:
 * a few bytes are nothing. Also after it went down: the server may still relay. A stream's mapping
 * lives for minutes at least (RFC 5382), which the Refresh sees to. */
static gboolean
on_keepalive(gpointer user_data)
{
	NatTurn *turn = user_data;
	guint8 msg[64];
	gsize len = nat_turn_msg_keepalive(msg, sizeof msg);

	nat_pump_send(turn->pump, msg, len);
	return G_SOURCE_CONTINUE;
}

static void
keep_alive(NatTurn *turn)
{
	g_clear_handle_id(&turn->keepalive_timer, g_source_remove);
	if (!wg_endpoint_is_set(&turn->relayed) || nat_turn_socket_is_stream(turn->sock))
		return;
	turn->keepalive_timer = g_timeout_add_seconds(turn->keepalive_s, on_keepalive, turn);
}

void
nat_turn_set_keepalive(NatTurn *turn, guint seconds)
{
	guint interval_s = CLAMP(seconds, 1, KEEPALIVE_MAX_S);

	if (interval_s == turn->keepalive_s)
		return;
	/* what was last sent may be older than that */
	if (interval_s < turn->keepalive_s && turn->keepalive_timer != 0)
		on_keepalive(turn);
	turn->keepalive_s = interval_s;
	keep_alive(turn);
}

static void
on_trouble(const NatTurnMsg *answer, gpointer user_data)
{
	NatTurn *turn = user_data;

	if (turn->state != UP)
		return;
	if (answer)
		down_by_answer(turn, answer);
	else
		nat_turn_check(turn);
}

static void
on_allocated(const NatTurnAsk *ask, const NatTurnMsg *answer, gpointer user_data)
{
	NatTurn *turn = user_data;

	if (turn->state != ALLOCATING)
		return;
	if (!answer) {
		go_down(turn, NAT_TURN_UNREACHABLE, "no answer");
	} else if (answer->kind == NAT_TURN_MSG_ERROR) {
		down_by_answer(turn, answer);
	} else if (!wg_endpoint_is_set(&answer->relayed)) {
		go_down(turn, NAT_TURN_OTHER, "it gave no relayed address that others can reach");
	} else {
		turn->relayed = answer->relayed;
		set_state(turn, UP, "allocated");
		schedule_refresh(turn, answer);
		keep_alive(turn);
		nat_turn_grants_start(turn->grants, wg_endpoint_family(&turn->relayed));
	}
}

static void
allocate(NatTurn *turn)
{
	NatTurnAsk ask = {.method = NAT_TURN_ALLOCATE};
	guint within_ms = nat_turn_socket_is_stream(turn->sock) ? CONNECT_MS : ANSWER_MS;

	if (!nat_turn_talk_ask(turn->talk, &ask, within_ms, on_allocated, turn))
		go_down(turn, NAT_TURN_OTHER, "an Allocate cannot be sent");
}

/* ---- the pump ---- */

/* Also after it went down: the server decides. */
static gboolean
relays(const NatTurn *turn)
{
	return wg_endpoint_is_set(&turn->relayed);
}

static void
on_control(const guint8 *msg, gsize len, gpointer user_data)
{
	NatTurn *turn = user_data;
	NatChannelData channel;
	const WgEndpoint *peer;
	NatTurnMsg data;

	if (nat_channel_parse(msg, len, &channel)) {
		peer = nat_turn_grants_peer(turn->grants, channel.channel);
		if (peer && relays(turn))
			turn->funcs.received(turn, peer, channel.data, channel.len,
					     turn->user_data);
	} else if (nat_turn_talk_receive(turn->talk, msg, len, &data) && relays(turn)) {
		turn->funcs.received(turn, &data.peer, data.data, data.len, turn->user_data);
	}
}

static void
on_failed(int error, gpointer user_data)
{
	NatTurn *turn = user_data;

	go_down_take(turn, turn->state == UP ? NAT_TURN_LOST : NAT_TURN_UNREACHABLE,
		     nat_turn_socket_problem(turn->sock, error));
}

static gboolean
send_message(const guint8 *msg, gsize len, gpointer user_data)
{
	NatTurn *turn = user_data;

	return nat_pump_send_request(turn->pump, msg, len);
}

static const NatPumpFuncs PUMP_FUNCS = {
	.control = on_control,
	.failed = on_failed,
};

/* ---- the owner ---- */

static gboolean
open_socket(NatTurn *turn, guint32 fwmark, GError **error)
{
	int fd = -1;

	turn->sock = nat_turn_socket_new(turn->uri, &turn->server, fwmark, &fd, error);
	if (!turn->sock)
		return FALSE;
	turn->pump = nat_pump_new(fd, &PUMP_FUNCS, turn, error);
	return turn->pump != NULL;
}

NatTurn *
nat_turn_new(const NatTurnUri *uri, const WgEndpoint *server, guint32 fwmark,
	     const NatTurnFuncs *funcs, gpointer user_data)
{
	NatTurn *turn = g_new0(NatTurn, 1);
	g_autoptr(GError) error = NULL;

	turn->uri = nat_turn_uri_copy(uri);
	turn->server = *server;
	turn->funcs = *funcs;
	turn->user_data = user_data;
	turn->lifetime_s = LIFETIME_S;
	turn->keepalive_s = KEEPALIVE_MAX_S;
	turn->talk = nat_turn_talk_new(uri->username, uri->password, uri->transport != NAT_TURN_UDP,
				       send_message, turn);
	turn->grants = nat_turn_grants_new(turn->talk, on_trouble, turn);
	if (open_socket(turn, fwmark, &error))
		allocate(turn);
	else
		go_down(turn, NAT_TURN_UNREACHABLE, error->message);
	return turn;
}

void
nat_turn_free(NatTurn *turn)
{
	NatTurnAsk bye = {.method = NAT_TURN_REFRESH, .lifetime_s = 0};

	if (!turn)
		return;
	if (turn->pump)
		nat_turn_talk_tell(turn->talk, &bye);
	nat_turn_grants_free(turn->grants);
	nat_turn_talk_free(turn->talk);
	nat_pump_free(turn->pump);
	nat_turn_socket_free(turn->sock);
	g_clear_handle_id(&turn->refresh_timer, g_source_remove);
	g_clear_handle_id(&turn->keepalive_timer, g_source_remove);
	g_clear_handle_id(&turn->tell_idle, g_source_remove);
	nat_turn_uri_free(turn->uri);
	g_free(turn->reason);
	g_free(turn);
}

gboolean
nat_turn_is_up(const NatTurn *turn)
{
	return turn->state == UP;
}

const WgEndpoint *
nat_turn_relayed(const NatTurn *turn)
{
	return &turn->relayed;
}

gint64
nat_turn_expires_us(const NatTurn *turn)
{
	return turn->expires_us;
}

gboolean
nat_turn_permit(NatTurn *turn, const WgEndpoint *peers, gsize n)
{
	return nat_turn_grants_permit(turn->grants, peers, n);
}

/* 0: it cannot be sent. */
static gsize
wrap(NatTurn *turn, const WgEndpoint *peer, const guint8 *data, gsize len, guint8 buf[WRAPPED_MAX])
{
	guint16 channel = nat_turn_grants_channel(turn->grants, peer);

	if (!relays(turn) || len > DATA_MAX)
		return 0;
	if (channel != 0) {
		nat_channel_put_head(buf, channel, len);
		memcpy(buf + NAT_CHANNEL_HEAD, data, len);
		return NAT_CHANNEL_HEAD + len;
	}
	return nat_turn_msg_send(buf, WRAPPED_MAX, peer, data, len);
}

gboolean
nat_turn_send(NatTurn *turn, const WgEndpoint *peer, const guint8 *data, gsize len)
{
	guint8 buf[WRAPPED_MAX];
	gsize total = wrap(turn, peer, data, len, buf);

	return total > 0 && nat_pump_send(turn->pump, buf, total);
}

gboolean
nat_turn_send_probe(NatTurn *turn, const WgEndpoint *peer, const guint8 *data, gsize len,
		    GError **error)
{
	guint8 buf[WRAPPED_MAX];
	gsize total = wrap(turn, peer, data, len, buf);
	gboolean sent;

	if (total == 0)
		return FALSE;
	nat_turn_socket_set_whole(turn->sock, TRUE);
	errno = 0;
	sent = nat_pump_send(turn->pump, buf, total);
	if (!sent && errno == EMSGSIZE)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE, "too large");
	nat_turn_socket_set_whole(turn->sock, FALSE);
	return sent;
}

void
nat_turn_bind(NatTurn *turn, const WgEndpoint *peer, NatTurnBoundFunc bound, gpointer user_data)
{
	nat_turn_grants_bind(turn->grants, peer, bound, user_data);
}

void
nat_turn_unbind(NatTurn *turn, const WgEndpoint *peer, gpointer user_data)
{
	nat_turn_grants_unbind(turn->grants, peer, user_data);
}

NatPump *
nat_turn_pump(NatTurn *turn)
{
	return turn->pump;
}

guint64
nat_turn_dropped(const NatTurn *turn)
{
	return nat_turn_talk_dropped(turn->talk) + (turn->pump ? nat_pump_dropped(turn->pump) : 0);
}

void
nat_turn_stats(const NatTurn *turn, NatBridgeStats *out)
{
	memset(out, 0, sizeof *out);
	if (turn->pump)
		nat_pump_stats(turn->pump, out);
}
