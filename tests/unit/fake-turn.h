/* SPDX-License-Identifier: MIT */
/*
 * A TURN server of one allocation in the test's own main loop, which misbehaves as told. It builds
 * its messages with libnice's stun/ library, by the books of RFC 8656, and lies in the fields
 * below.
 */
#pragma once

#include "tests/unit/net-util.h"

#include <glib-unix.h>
#include <stun/stunagent.h>
#include <string.h>

#define FAKE_USER "bob" /* what every user's name begins with */
#define FAKE_SECRET "s3cret"

typedef struct {
	int fd;
	guint source;
	WgEndpoint addr, client, relayed;
	StunAgent agent;
	guint nonce; /* the right one */
	gboolean allocated;
	/* how it misbehaves */
	gboolean silent, always_challenges, never_content; /* 401, and each time another nonce */
	gboolean wrong_integrity, no_integrity, garbage_first;
	int error;	 /* to authenticated requests */
	int only_method; /* of which `error` is for; 0: all */
	guint32 lifetime_s;
	guint lose; /* so many requests */
	/* what it saw */
	guint requests[16]; /* each once, however often it was sent */
	guint packets, unauthenticated;
	GHashTable *ids;
	guint keepalives; /* Binding indications */
	guint32 asked_lifetime_s;
	guint16 channel;
	WgEndpoint peer;
	guint8 data[2000]; /* of a Send indication, or ChannelData with its header */
	gsize data_len;
} FakeTurn;

static inline bool
fake_turn_validate(StunAgent *agent, StunMessage *msg, uint8_t *username, uint16_t len,
		   uint8_t **password, size_t *password_len, void *user_data)
{
	*password = (uint8_t *)FAKE_SECRET;
	*password_len = strlen(FAKE_SECRET);
	return len >= strlen(FAKE_USER) && memcmp(username, FAKE_USER, strlen(FAKE_USER)) == 0;
}

static inline void
fake_turn_send(FakeTurn *turn, const guint8 *msg, gsize len)
{
	sendto(turn->fd, msg, len, 0, &turn->client.sa, wg_endpoint_socklen(&turn->client));
}

static inline void
fake_turn_nonce(FakeTurn *turn, StunMessage *msg)
{
	g_autofree char *nonce = g_strdup_printf("nonce-%u", turn->nonce);

	stun_message_append_string(msg, STUN_ATTRIBUTE_REALM, "test");
	stun_message_append_string(msg, STUN_ATTRIBUTE_NONCE, nonce);
}

static inline void
fake_turn_challenge(FakeTurn *turn, StunMessage *request, int code)
{
	StunMessage msg;
	guint8 buf[512];

	if (turn->never_content)
		turn->nonce++;
	stun_agent_init_error(&turn->agent, &msg, buf, sizeof buf, request, (StunError)code);
	fake_turn_nonce(turn, &msg);
	fake_turn_send(turn, buf, stun_agent_finish_message(&turn->agent, &msg, NULL, 0));
}

static inline void
fake_turn_append_address(StunMessage *msg, StunAttribute type, const WgEndpoint *ep)
{
	struct sockaddr_storage sa = {0};

	memcpy(&sa, ep, sizeof *ep);
	stun_message_append_xor_addr(msg, type, &sa, wg_endpoint_socklen(ep));
}

static inline void
fake_turn_finish(FakeTurn *turn, StunMessage *msg, guint8 *buf, StunMessage *request)
{
	gsize len = stun_agent_finish_message(&turn->agent, msg, request->key, request->key_len);

	if (turn->no_integrity) { /* which is the last attribute, of 24 bytes */
		len -= 24;
		buf[2] = (guint8)((len - 20) >> 8);
		buf[3] = (guint8)(len - 20);
	}
	if (turn->wrong_integrity)
		buf[len - 1] ^= 1;
	fake_turn_send(turn, buf, len);
}

static inline void
fake_turn_answer(FakeTurn *turn, StunMessage *request)
{
	StunMethod method = stun_message_get_method(request);
	guint8 buf[1024];
	StunMessage msg;

	if (turn->error != 0 && (turn->only_method == 0 || turn->only_method == (int)method)) {
		stun_agent_init_error(&turn->agent, &msg, buf, sizeof buf, request,
				      (StunError)turn->error);
	} else {
		stun_agent_init_response(&turn->agent, &msg, buf, sizeof buf, request);
		if (method == STUN_ALLOCATE)
			fake_turn_append_address(&msg, STUN_ATTRIBUTE_XOR_RELAYED_ADDRESS,
						 &turn->relayed);
		if (method == STUN_ALLOCATE || method == STUN_REFRESH)
			stun_message_append32(&msg, STUN_ATTRIBUTE_LIFETIME, turn->lifetime_s);
	}
	fake_turn_finish(turn, &msg, buf, request);
}

static inline void
fake_turn_note(FakeTurn *turn, StunMessage *request)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	uint32_t channel = 0;

	stun_message_find32(request, STUN_ATTRIBUTE_LIFETIME, &turn->asked_lifetime_s);
	stun_message_find32(request, STUN_ATTRIBUTE_CHANNEL_NUMBER, &channel);
	turn->channel = (guint16)(channel >> 16);
	if (stun_message_find_xor_addr(request, STUN_ATTRIBUTE_XOR_PEER_ADDRESS, &sa, &len) ==
	    STUN_MESSAGE_RETURN_SUCCESS)
		wg_endpoint_from_sockaddr(&turn->peer, &sa, len);
}

static inline gboolean
fake_turn_nonce_is_right(const FakeTurn *turn, StunMessage *request)
{
	g_autofree char *right = g_strdup_printf("nonce-%u", turn->nonce);
	uint16_t len = 0;
	const char *nonce = stun_message_find(request, STUN_ATTRIBUTE_NONCE, &len);

	return nonce && len == strlen(right) && memcmp(nonce, right, len) == 0;
}

static inline void
fake_turn_request(FakeTurn *turn, StunMessage *request, StunValidationStatus status)
{
	StunTransactionId id;

	stun_message_id(request, id);
	turn->packets++;
	if (g_hash_table_add(turn->ids, g_bytes_new(id, sizeof id)))
		turn->requests[stun_message_get_method(request) & 15]++;
	if (turn->silent)
		return;
	if (turn->lose > 0) {
		turn->lose--;
		return;
	}
	if (turn->garbage_first)
		for (guint8 i = 0; i < 200; i++) {
			guint8 junk[64] = {i, 1, 0, i};

			fake_turn_send(turn, junk, sizeof junk - i % 7);
		}
	if (status != STUN_VALIDATION_SUCCESS) {
		turn->unauthenticated++;
		fake_turn_challenge(turn, request, 401);
	} else if (turn->always_challenges) {
		fake_turn_challenge(turn, request, 401);
	} else if (!fake_turn_nonce_is_right(turn, request)) {
		fake_turn_challenge(turn, request, 438);
	} else {
		fake_turn_note(turn, request);
		fake_turn_answer(turn, request);
	}
}

static inline void
fake_turn_indication(FakeTurn *turn, StunMessage *msg)
{
	uint16_t len = 0;
	const void *data = stun_message_find(msg, STUN_ATTRIBUTE_DATA, &len);

	if (stun_message_get_method(msg) == STUN_BINDING) {
		turn->keepalives++;
		return;
	}
	fake_turn_note(turn, msg);
	turn->data_len = MIN(len, sizeof turn->data);
	if (data)
		memcpy(turn->data, data, turn->data_len);
}

static inline gboolean
fake_turn_on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	FakeTurn *turn = user_data;
	StunValidationStatus status;
	StunMessage msg;
	guint8 buf[3000];
	gssize n = net_recv(fd, buf, sizeof buf, 0, &turn->client);

	if (n > 0 && buf[0] >= 0x40) {
		turn->data_len = MIN((gsize)n, sizeof turn->data);
		memcpy(turn->data, buf, turn->data_len);
		return G_SOURCE_CONTINUE;
	}
	if (n <= 0)
		return G_SOURCE_CONTINUE;
	status = stun_agent_validate(&turn->agent, &msg, buf, (gsize)n, fake_turn_validate, turn);
	if (status == STUN_VALIDATION_NOT_STUN)
		return G_SOURCE_CONTINUE;
	if (stun_message_get_class(&msg) == STUN_INDICATION)
		fake_turn_indication(turn, &msg);
	else
		fake_turn_request(turn, &msg, status);
	return G_SOURCE_CONTINUE;
}

/* A Data indication. */
static inline void
fake_turn_send_bytes(FakeTurn *turn, const WgEndpoint *from, const void *data, gsize len)
{
	StunMessage msg;
	guint8 buf[512];

	stun_agent_init_indication(&turn->agent, &msg, buf, sizeof buf, STUN_IND_DATA);
	fake_turn_append_address(&msg, STUN_ATTRIBUTE_XOR_PEER_ADDRESS, from);
	stun_message_append_bytes(&msg, STUN_ATTRIBUTE_DATA, data, len);
	fake_turn_send(turn, buf, stun_agent_finish_message(&turn->agent, &msg, NULL, 0));
}

static inline void
fake_turn_send_data(FakeTurn *turn, const WgEndpoint *from, const char *text)
{
	fake_turn_send_bytes(turn, from, text, strlen(text));
}

/* address: "127.0.0.1:0". */
static inline void
fake_turn_open_at(FakeTurn *turn, const char *address)
{
	memset(turn, 0, sizeof *turn);
	turn->ids = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
					  (GDestroyNotify)g_bytes_unref, NULL);
	turn->fd = net_udp(address);
	turn->addr = net_own_address(turn->fd);
	turn->relayed = net_ep("192.0.2.20:50000");
	turn->lifetime_s = 600;
	stun_agent_init(&turn->agent, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_LONG_TERM_CREDENTIALS |
				STUN_AGENT_USAGE_NO_INDICATION_AUTH);
	turn->source = g_unix_fd_add(turn->fd, G_IO_IN, fake_turn_on_readable, turn);
}

static inline void
fake_turn_open(FakeTurn *turn)
{
	fake_turn_open_at(turn, "127.0.0.1:0");
}

static inline void
fake_turn_close(FakeTurn *turn)
{
	g_source_remove(turn->source);
	close(turn->fd);
	g_hash_table_unref(turn->ids);
}
