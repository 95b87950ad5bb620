/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-msg.h"

#include <sodium.h>
#include <string.h>
#include <stun/stunagent.h>

#include "agent/base/nat-log.h"
#include "agent/mux/nat-stun.h"

#define ID_OFFSET 8    /* in the message; libnice's ids begin with the cookie, four bytes earlier */
#define QUOTED_MAX 763 /* realm and nonce, RFC 8489 §14.9 and §14.10 */
#define UDP 17u	       /* REQUESTED-TRANSPORT */
#define UNAUTHORIZED 401
#define UNKNOWN_ATTRIBUTE 420
#define STALE_NONCE 438

/* What a response may carry; an unknown one below 0x8000 makes it useless (RFC 8489 §6.3.3). */
static const uint16_t KNOWN[] = {
	STUN_ATTRIBUTE_MAPPED_ADDRESS,
	STUN_ATTRIBUTE_USERNAME,
	STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
	STUN_ATTRIBUTE_ERROR_CODE,
	STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES,
	STUN_ATTRIBUTE_CHANNEL_NUMBER,
	STUN_ATTRIBUTE_LIFETIME,
	STUN_ATTRIBUTE_BANDWIDTH,
	STUN_ATTRIBUTE_XOR_PEER_ADDRESS,
	STUN_ATTRIBUTE_DATA,
	STUN_ATTRIBUTE_REALM,
	STUN_ATTRIBUTE_NONCE,
	STUN_ATTRIBUTE_XOR_RELAYED_ADDRESS,
	STUN_ATTRIBUTE_REQUESTED_ADDRESS_TYPE,
	STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
	STUN_ATTRIBUTE_RESERVATION_TOKEN,
	0x001c /* MESSAGE-INTEGRITY-SHA256 */,
	0x001d /* PASSWORD-ALGORITHM */,
	0,
};

struct NatTurnCodec {
	StunAgent agent;
	char *username, *password;
	GByteArray *realm, *nonce; /* NULL: not yet challenged */
	guint open;
};

NatTurnCodec *
nat_turn_codec_new(const char *username, const char *password)
{
	NatTurnCodec *codec = g_new0(NatTurnCodec, 1);

	stun_agent_init(&codec->agent, KNOWN, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_LONG_TERM_CREDENTIALS |
				STUN_AGENT_USAGE_NO_INDICATION_AUTH);
	codec->username = g_strdup(username);
	codec->password = g_strdup(password);
	return codec;
}

static void
free_bytes(GByteArray *bytes)
{
	if (bytes)
		g_byte_array_unref(bytes);
}

void
nat_turn_codec_free(NatTurnCodec *codec)
{
	if (!codec)
		return;
	if (codec->password)
		sodium_memzero(codec->password, strlen(codec->password));
	g_free(codec->password);
	g_free(codec->username);
	free_bytes(codec->realm);
	free_bytes(codec->nonce);
	sodium_memzero(&codec->agent, sizeof codec->agent); /* keys derived from the secret */
	g_free(codec);
}

gboolean
nat_turn_codec_authenticates(const NatTurnCodec *codec)
{
	return codec->realm && codec->nonce && codec->username && codec->password;
}

/* ---- building ---- */

static gboolean
append_peer(StunMessage *msg, const WgEndpoint *peer)
{
	struct sockaddr_storage sa = {0};

	memcpy(&sa, peer, sizeof *peer);
	return stun_message_append_xor_addr(msg, STUN_ATTRIBUTE_XOR_PEER_ADDRESS, &sa,
					    wg_endpoint_socklen(peer)) ==
	       STUN_MESSAGE_RETURN_SUCCESS;
}

static gboolean
append32(StunMessage *msg, StunAttribute type, guint32 value)
{
	return stun_message_append32(msg, type, value) == STUN_MESSAGE_RETURN_SUCCESS;
}

static gboolean
append_ask(StunMessage *msg, const NatTurnAsk *ask)
{
	switch (ask->method) {
	case NAT_TURN_ALLOCATE:
		return append32(msg, STUN_ATTRIBUTE_REQUESTED_TRANSPORT, UDP << 24);
	case NAT_TURN_REFRESH:
		return append32(msg, STUN_ATTRIBUTE_LIFETIME, ask->lifetime_s);
	case NAT_TURN_PERMISSION:
		return append_peer(msg, &ask->peer);
	case NAT_TURN_CHANNEL_BIND:
		return append32(msg, STUN_ATTRIBUTE_CHANNEL_NUMBER, (guint32)ask->channel << 16) &&
		       append_peer(msg, &ask->peer);
	}
	return FALSE;
}

static StunMethod
stun_method(NatTurnMethod method)
{
	switch (method) {
	case NAT_TURN_ALLOCATE:
		return STUN_ALLOCATE;
	case NAT_TURN_REFRESH:
		return STUN_REFRESH;
	case NAT_TURN_PERMISSION:
		return STUN_CREATEPERMISSION;
	case NAT_TURN_CHANNEL_BIND:
		return STUN_CHANNELBIND;
	}
	return STUN_ALLOCATE;
}

static gboolean
append_bytes(StunMessage *msg, StunAttribute type, gconstpointer bytes, gsize len)
{
	return stun_message_append_bytes(msg, type, bytes, len) == STUN_MESSAGE_RETURN_SUCCESS;
}

static gboolean
append_credentials(const NatTurnCodec *codec, StunMessage *msg)
{
	return append_bytes(msg, STUN_ATTRIBUTE_USERNAME, codec->username,
			    strlen(codec->username)) &&
	       append_bytes(msg, STUN_ATTRIBUTE_REALM, codec->realm->data, codec->realm->len) &&
	       append_bytes(msg, STUN_ATTRIBUTE_NONCE, codec->nonce->data, codec->nonce->len);
}

gsize
nat_turn_codec_request(NatTurnCodec *codec, const NatTurnAsk *ask, guint8 buf[NAT_TURN_MSG_MAX],
		       guint8 id[NAT_TURN_ID_LEN])
{
	gboolean auth = nat_turn_codec_authenticates(codec);
	const guint8 *key = auth ? (const guint8 *)codec->password : NULL;
	StunMessage msg;
	gsize len;

	if (codec->open >= NAT_TURN_OPEN_MAX)
		return 0;
	if (!stun_agent_init_request(&codec->agent, &msg, buf, NAT_TURN_MSG_MAX,
				     stun_method(ask->method)) ||
	    !append_ask(&msg, ask) || (auth && !append_credentials(codec, &msg)))
		return 0;
	len = stun_agent_finish_message(&codec->agent, &msg, key,
					auth ? strlen(codec->password) : 0);
	if (len == 0)
		return 0;
	codec->open++;
	memcpy(id, buf + ID_OFFSET, NAT_TURN_ID_LEN);
	return len;
}

void
nat_turn_codec_forget(NatTurnCodec *codec, const guint8 id[NAT_TURN_ID_LEN])
{
	StunTransactionId full = {NAT_STUN_MAGIC >> 24, NAT_STUN_MAGIC >> 16 & 0xff,
				  NAT_STUN_MAGIC >> 8 & 0xff, NAT_STUN_MAGIC & 0xff};

	memcpy(full + sizeof full - NAT_TURN_ID_LEN, id, NAT_TURN_ID_LEN);
	if (stun_agent_forget_transaction(&codec->agent, full))
		codec->open--;
}

gsize
nat_turn_msg_send(guint8 *buf, gsize size, const WgEndpoint *peer, const guint8 *data, gsize len)
{
	StunAgent agent;
	StunMessage msg;

	/* The length field counts what follows the header, the padding included. */
	if (len > G_MAXUINT16 - NAT_TURN_SEND_OVERHEAD || size < len + NAT_TURN_SEND_OVERHEAD)
		return 0;
	stun_agent_init(&agent, KNOWN, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_LONG_TERM_CREDENTIALS);
	if (!stun_agent_init_indication(&agent, &msg, buf, size, STUN_IND_SEND) ||
	    !append_peer(&msg, peer) || !append_bytes(&msg, STUN_ATTRIBUTE_DATA, data, len))
		return 0;
	return stun_agent_finish_message(&agent, &msg, NULL, 0);
}

gsize
nat_turn_msg_keepalive(guint8 *buf, gsize size)
{
	StunAgent agent;
	StunMessage msg;

	stun_agent_init(&agent, KNOWN, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_LONG_TERM_CREDENTIALS);
	if (!stun_agent_init_indication(&agent, &msg, buf, size, STUN_BINDING))
		return 0;
	return stun_agent_finish_message(&agent, &msg, NULL, 0);
}

/* ---- reading ---- */

static WgEndpoint
read_address(const StunMessage *msg, StunAttribute type)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	WgEndpoint ep = {0};

	if (stun_message_find_xor_addr(msg, type, &sa, &len) != STUN_MESSAGE_RETURN_SUCCESS ||
	    !wg_endpoint_from_sockaddr(&ep, &sa, len) || wg_endpoint_port(&ep) == 0 ||
	    wg_endpoint_is_bogus(&ep))
		memset(&ep, 0, sizeof ep);
	return ep;
}

/* TRUE when it is there and differs from what we had. */
static gboolean
remember(GByteArray **known, const StunMessage *msg, StunAttribute type)
{
	uint16_t len = 0;
	const guint8 *value = stun_message_find(msg, type, &len);

	if (!value || len == 0 || len > QUOTED_MAX)
		return FALSE;
	if (*known && (*known)->len == len && memcmp((*known)->data, value, len) == 0)
		return FALSE;
	free_bytes(*known);
	*known = g_byte_array_new();
	g_byte_array_append(*known, value, len);
	return TRUE;
}

static void
read_reason(const StunMessage *msg, NatTurnMsg *out)
{
	uint16_t len = 0;
	const char *value = stun_message_find(msg, STUN_ATTRIBUTE_ERROR_CODE, &len);
	g_autofree char *text = NULL;
	const char *end;

	while (value && len > 4 && value[len - 1] == '\0') /* coturn counts its padding */
		len--;
	if (!value || len <= 4)
		return;
	text = nat_log_escape(value + 4, MIN(len - 4, NAT_TURN_REASON_LEN - 1));
	g_strlcpy(out->reason, text, sizeof out->reason);
	g_utf8_validate(out->reason, -1, &end); /* the copy may have cut a character */
	out->reason[end - out->reason] = '\0';
}

static void
read_error(NatTurnCodec *codec, const StunMessage *msg, NatTurnMsg *out)
{
	out->kind = NAT_TURN_MSG_ERROR;
	if (stun_message_find_error(msg, &out->error) != STUN_MESSAGE_RETURN_SUCCESS)
		out->error = 0;
	read_reason(msg, out);
	if (out->error == UNAUTHORIZED)
		remember(&codec->realm, msg, STUN_ATTRIBUTE_REALM);
	if (out->error == UNAUTHORIZED || out->error == STALE_NONCE)
		out->fresh_nonce = remember(&codec->nonce, msg, STUN_ATTRIBUTE_NONCE);
}

static void
read_success(const StunMessage *msg, NatTurnMsg *out)
{
	out->kind = NAT_TURN_MSG_SUCCESS;
	out->has_lifetime = stun_message_find32(msg, STUN_ATTRIBUTE_LIFETIME, &out->lifetime_s) ==
			    STUN_MESSAGE_RETURN_SUCCESS;
	out->relayed = read_address(msg, STUN_ATTRIBUTE_XOR_RELAYED_ADDRESS);
}

static gboolean
read_data(const StunMessage *msg, NatTurnMsg *out)
{
	uint16_t len = 0;

	if (stun_message_get_method(msg) != STUN_IND_DATA)
		return FALSE;
	out->kind = NAT_TURN_MSG_DATA;
	out->peer = read_address(msg, STUN_ATTRIBUTE_XOR_PEER_ADDRESS);
	out->data = stun_message_find(msg, STUN_ATTRIBUTE_DATA, &len);
	out->len = len;
	return wg_endpoint_is_set(&out->peer) && out->data;
}

gboolean
nat_turn_codec_parse(NatTurnCodec *codec, const guint8 *bytes, gsize len, NatTurnMsg *out)
{
	StunValidationStatus status;
	StunMessage msg;
	NatStun stun;

	memset(out, 0, sizeof *out);
	/* First ours: it knows that a MESSAGE-INTEGRITY has 20 bytes, where libnice, which
	 * compares 20, believes the sender. */
	if (!nat_stun_parse(bytes, len, &stun) || stun.klass == NAT_STUN_REQUEST)
		return FALSE;
	status = stun_agent_validate(&codec->agent, &msg, bytes, len, NULL, NULL);
	if (status != STUN_VALIDATION_SUCCESS && status != STUN_VALIDATION_UNKNOWN_ATTRIBUTE)
		return FALSE;
	/* libnice takes an old dialect's 0x0115 for a Data indication, though it is an error
	 * response and answers nothing that is open. */
	if (stun_message_get_class(&msg) != (StunClass)stun.klass)
		return FALSE;
	memcpy(out->id, stun.id, NAT_TURN_ID_LEN);
	if (stun.klass == NAT_STUN_INDICATION)
		return status == STUN_VALIDATION_SUCCESS && read_data(&msg, out);
	codec->open--;
	if (status == STUN_VALIDATION_UNKNOWN_ATTRIBUTE) {
		/* The transaction has failed (RFC 8489 §6.3.3). */
		out->kind = NAT_TURN_MSG_ERROR;
		out->error = UNKNOWN_ATTRIBUTE;
	} else if (stun.klass == NAT_STUN_ERROR) {
		read_error(codec, &msg, out);
	} else {
		read_success(&msg, out);
	}
	return TRUE;
}
