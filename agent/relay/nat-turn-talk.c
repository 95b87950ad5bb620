/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-talk.h"

#include <string.h>

#define FIRST_RTO_MS 100 /* a lost packet costs a connect: be quick, then patient */
#define MAX_RTO_MS 1600
#define NO_ROOM_MS 20	 /* a stream's queue is full of data, which passes */
#define RESERVE 4	 /* of NAT_TURN_OPEN_MAX: for Refresh and what is retried */
#define CHALLENGES_MAX 3 /* the first 401, a stale nonce, and one more */
#define UNAUTHORIZED 401
#define STALE_NONCE 438

typedef struct {
	NatTurnTalk *talk;
	NatTurnAsk ask;
	NatTurnAnswerFunc func;
	gpointer user_data;
	guint8 id[NAT_TURN_ID_LEN];
	guint8 *msg;
	gsize len;
	guint nonce; /* which of the server's it was built with */
	guint challenges, rto_ms;
	gint64 until_us;
	guint timer;
} Request;

struct NatTurnTalk {
	NatTurnCodec *codec;
	gboolean reliable, has_credentials;
	NatTurnTalkSend send;
	gpointer user_data;
	GPtrArray *requests; /* of Request */
	guint nonces;	     /* how many the server has sent */
	guint64 dropped;
};

static void
request_free(gpointer data)
{
	Request *request = data;

	g_clear_handle_id(&request->timer, g_source_remove);
	g_free(request->msg);
	g_free(request);
}

NatTurnTalk *
nat_turn_talk_new(const char *username, const char *password, gboolean reliable,
		  NatTurnTalkSend send, gpointer user_data)
{
	NatTurnTalk *talk = g_new0(NatTurnTalk, 1);

	talk->codec = nat_turn_codec_new(username, password);
	talk->has_credentials = username && password;
	talk->reliable = reliable;
	talk->send = send;
	talk->user_data = user_data;
	talk->requests = g_ptr_array_new_with_free_func(request_free);
	return talk;
}

void
nat_turn_talk_free(NatTurnTalk *talk)
{
	if (!talk)
		return;
	g_ptr_array_unref(talk->requests);
	nat_turn_codec_free(talk->codec);
	g_free(talk);
}

gboolean
nat_turn_talk_has_room(const NatTurnTalk *talk)
{
	return talk->requests->len < NAT_TURN_OPEN_MAX - RESERVE;
}

static gboolean
build(Request *request)
{
	guint8 buf[NAT_TURN_MSG_MAX];

	g_free(request->msg);
	request->len =
		nat_turn_codec_request(request->talk->codec, &request->ask, buf, request->id);
	request->msg = g_memdup2(buf, request->len);
	request->nonce = request->talk->nonces;
	return request->len > 0;
}

/* The last thing to be done: the asker may free the talk. */
static void
finish(Request *request, const NatTurnMsg *answer)
{
	NatTurnTalk *talk = request->talk;
	NatTurnAnswerFunc func = request->func;
	gpointer user_data = request->user_data;
	NatTurnAsk ask = request->ask;

	g_ptr_array_remove_fast(talk->requests, request);
	func(&ask, answer, user_data);
}

static gboolean transmit(gpointer data);

static void
arm(Request *request, gboolean sent)
{
	gint64 left_ms = (request->until_us - g_get_monotonic_time() + 999) / 1000;

	left_ms = MAX(left_ms, 0);
	if (!request->talk->reliable)
		left_ms = MIN(left_ms, request->rto_ms);
	else if (!sent)
		left_ms = MIN(left_ms, NO_ROOM_MS);
	request->timer = g_timeout_add((guint)left_ms, transmit, request);
	request->rto_ms = MIN(2 * request->rto_ms, MAX_RTO_MS);
}

static void
send_now(Request *request)
{
	NatTurnTalk *talk = request->talk;

	arm(request, talk->send(request->msg, request->len, talk->user_data));
}

static gboolean
transmit(gpointer data)
{
	Request *request = data;
	NatTurnTalk *talk = request->talk;

	request->timer = 0;
	if (g_get_monotonic_time() >= request->until_us) {
		nat_turn_codec_forget(talk->codec, request->id);
		finish(request, NULL);
		return G_SOURCE_REMOVE;
	}
	send_now(request);
	return G_SOURCE_REMOVE;
}

gboolean
nat_turn_talk_ask(NatTurnTalk *talk, const NatTurnAsk *ask, guint within_ms, NatTurnAnswerFunc func,
		  gpointer user_data)
{
	Request *request = g_new0(Request, 1);

	request->talk = talk;
	request->ask = *ask;
	request->func = func;
	request->user_data = user_data;
	request->rto_ms = FIRST_RTO_MS;
	request->until_us = g_get_monotonic_time() + (gint64)within_ms * 1000;
	if (!build(request)) {
		request_free(request);
		return FALSE;
	}
	g_ptr_array_add(talk->requests, request);
	send_now(request);
	return TRUE;
}

void
nat_turn_talk_tell(NatTurnTalk *talk, const NatTurnAsk *ask)
{
	guint8 buf[NAT_TURN_MSG_MAX], id[NAT_TURN_ID_LEN];
	gsize len = 0;

	if (!talk->has_credentials || nat_turn_codec_authenticates(talk->codec))
		len = nat_turn_codec_request(talk->codec, ask, buf, id);
	if (len == 0)
		return;
	talk->send(buf, len, talk->user_data);
	nat_turn_codec_forget(talk->codec, id);
}

/* ---- answers ---- */

static Request *
find(NatTurnTalk *talk, const guint8 id[NAT_TURN_ID_LEN])
{
	for (guint i = 0; i < talk->requests->len; i++) {
		Request *request = g_ptr_array_index(talk->requests, i);

		if (memcmp(request->id, id, NAT_TURN_ID_LEN) == 0)
			return request;
	}
	return NULL;
}

/* A challenge is obeyed when there is a nonce that this request did not have yet; another of the
 * open requests may have brought it. */
static gboolean
try_again(Request *request, const NatTurnMsg *answer)
{
	NatTurnTalk *talk = request->talk;

	if (answer->kind != NAT_TURN_MSG_ERROR ||
	    (answer->error != UNAUTHORIZED && answer->error != STALE_NONCE))
		return FALSE;
	if (request->nonce == talk->nonces || request->challenges++ == CHALLENGES_MAX ||
	    !nat_turn_codec_authenticates(talk->codec) || !build(request))
		return FALSE;
	g_clear_handle_id(&request->timer, g_source_remove);
	request->rto_ms = FIRST_RTO_MS;
	send_now(request);
	return TRUE;
}

gboolean
nat_turn_talk_receive(NatTurnTalk *talk, const guint8 *msg, gsize len, NatTurnMsg *data)
{
	Request *request;

	if (!nat_turn_codec_parse(talk->codec, msg, len, data)) {
		talk->dropped++;
		return FALSE;
	}
	if (data->kind == NAT_TURN_MSG_DATA)
		return TRUE;
	if (data->fresh_nonce)
		talk->nonces++;
	request = find(talk, data->id);
	if (request && !try_again(request, data))
		finish(request, data);
	return FALSE;
}

guint64
nat_turn_talk_dropped(const NatTurnTalk *talk)
{
	return talk->dropped;
}
