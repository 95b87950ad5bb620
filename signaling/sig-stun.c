/* SPDX-License-Identifier: MIT */
#include "signaling/sig-stun.h"

#include <string.h>
#include <stun/stunagent.h>
#include <stun/stunmessage.h>
#include <sys/socket.h>

#define HEADER STUN_ATTRIBUTE_HEADER_LENGTH
/* RFC 5780 §7; libnice has no names for them. */
#define PADDING ((StunAttribute)0x0026)
#define RESPONSE_PORT ((StunAttribute)0x0027)
#define RESPONSE_ORIGIN ((StunAttribute)0x802b)
#define OTHER_ADDRESS ((StunAttribute)0x802c)
/* Bits of CHANGE-REQUEST, RFC 5780 §7.2 */
#define CHANGE_IP 0x04
#define CHANGE_PORT 0x02
#define BAD_REQUEST 400
#define UNKNOWN_ATTRIBUTE 420
#define ERROR_CODE_LEN 4 /* without a reason phrase */
#define PRIVILEGED 1024

/* Required attributes that are understood; credentials are, because they do not matter here. */
static const guint16 known[] = {STUN_ATTRIBUTE_USERNAME,
				STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
				STUN_ATTRIBUTE_PRIORITY,
				STUN_ATTRIBUTE_USE_CANDIDATE,
				STUN_ATTRIBUTE_CHANGE_REQUEST,
				PADDING,
				RESPONSE_PORT,
				0};

typedef struct {
	StunAgent agent;
	StunMessage in, out;
	gsize room; /* bytes that the answer may have */
	const WgEndpoint *from;
	const SigStunPlace *place;
	SigStunAnswer *answer;
} Exchange;

gboolean
sig_stun_is_request(const guint8 *p, gsize len)
{
	static const guint8 cookie[] = {0x21, 0x12, 0xa4, 0x42};

	return len >= STUN_MESSAGE_HEADER_LENGTH && len <= SIG_STUN_REQUEST_MAX && p[0] == 0x00 &&
	       p[1] == 0x01 && memcmp(p + 4, cookie, sizeof cookie) == 0;
}

/* Whether there is a STUN socket of ours at that port of this address. */
static gboolean
is_own(const SigStunPlace *place, const WgEndpoint *address, guint16 port)
{
	if (port != place->asked_port && (port != place->other_port || port == 0))
		return FALSE;
	return wg_endpoint_same_address(address, &place->asked.local) ||
	       wg_endpoint_same_address(address, &place->asked.seen) ||
	       wg_endpoint_same_address(address, &place->other.local) ||
	       wg_endpoint_same_address(address, &place->other.seen);
}

/* ---- writing ---- */

static void
begin(Exchange *x, StunClass class)
{
	StunTransactionId id;

	x->answer->error = class == STUN_ERROR;
	x->out.buffer = x->answer->out;
	x->out.buffer_len = sizeof x->answer->out;
	stun_message_id(&x->in, id);
	stun_message_init(&x->out, class, STUN_BINDING, id);
}

static gboolean
finish(Exchange *x)
{
	x->answer->len = stun_message_length(&x->out);
	return x->answer->len <= x->room;
}

static void
add_if_room(Exchange *x, StunAttribute type, const WgEndpoint *address, guint16 port)
{
	WgEndpoint ep = *address;
	gsize size = HEADER + 4 + (wg_endpoint_family(address) == AF_INET ? 4 : 16);

	if (!wg_endpoint_is_set(address) || stun_message_length(&x->out) + size > x->room)
		return;
	wg_endpoint_set_port(&ep, port);
	stun_message_append_addr(&x->out, type, &ep.sa, wg_endpoint_socklen(&ep));
}

static gboolean
succeed(Exchange *x)
{
	const SigStunPlace *place = x->place;
	const SigStunAnswer *answer = x->answer;
	const WgEndpoint *origin = answer->other_address ? &place->other.seen : &place->asked.seen;
	struct sockaddr_storage mapped = {0};

	begin(x, STUN_RESPONSE);
	memcpy(&mapped, x->from, wg_endpoint_socklen(x->from));
	if (stun_message_append_xor_addr(&x->out, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &mapped,
					 wg_endpoint_socklen(x->from)) !=
	    STUN_MESSAGE_RETURN_SUCCESS)
		return FALSE;
	x->room = MAX(x->room, stun_message_length(&x->out));
	/* Without a second address there must be no OTHER-ADDRESS (RFC 5780 §7.4): clients would
	 * take a mere other port for another host and find every NAT endpoint-independent. */
	if (place->other_port != 0)
		add_if_room(x, OTHER_ADDRESS, &place->other.seen, place->other_port);
	add_if_room(x, RESPONSE_ORIGIN, origin,
		    answer->other_port ? place->other_port : place->asked_port);
	add_if_room(x, STUN_ATTRIBUTE_MAPPED_ADDRESS, x->from, wg_endpoint_port(x->from));
	return finish(x);
}

static void
begin_error(Exchange *x, guint code)
{
	const guint8 value[ERROR_CODE_LEN] = {0, 0, (guint8)(code / 100), (guint8)(code % 100)};

	x->answer->to = *x->from;
	x->answer->other_address = x->answer->other_port = FALSE;
	begin(x, STUN_ERROR);
	stun_message_append_bytes(&x->out, STUN_ATTRIBUTE_ERROR_CODE, value, sizeof value);
}

static gboolean
refuse(Exchange *x, guint code)
{
	begin_error(x, code);
	return finish(x);
}

/* 420 with those of the attributes that have room. */
static gboolean
refuse_attributes(Exchange *x, const guint16 *types, gsize n)
{
	gsize used, room = MIN(x->room, sizeof x->answer->out);
	guint8 *value;

	begin_error(x, UNKNOWN_ATTRIBUTE);
	used = stun_message_length(&x->out) + HEADER;
	n = MIN(n, room > used ? (room - used) / 4 * 2 : 0); /* padded to pairs */
	if (n > 0 && (value = stun_message_append(&x->out, STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES,
						  n * sizeof *types)))
		for (gsize i = 0; i < n; i++) {
			value[2 * i] = (guint8)(types[i] >> 8);
			value[2 * i + 1] = (guint8)types[i];
		}
	return finish(x);
}

/* ---- reading ---- */

static gboolean
is_known(guint16 type)
{
	for (gsize i = 0; known[i] != 0; i++)
		if (known[i] == type)
			return TRUE;
	return FALSE;
}

/* The message has been validated: attributes end where it does. */
static gboolean
refuse_unknown(Exchange *x)
{
	guint16 types[SIG_STUN_ANSWER_MAX / sizeof(guint16)];
	const guint8 *at = x->in.buffer + STUN_MESSAGE_HEADER_LENGTH;
	const guint8 *end = x->in.buffer + stun_message_length(&x->in);
	gsize n = 0;

	while (end - at >= HEADER && n < G_N_ELEMENTS(types)) {
		guint16 type = (guint16)(at[0] << 8 | at[1]);
		gsize len = (gsize)(at[2] << 8 | at[3]);

		if (!stun_optional(type) && !is_known(type))
			types[n++] = type;
		at += HEADER + ((len + 3) & ~(gsize)3);
	}
	return refuse_attributes(x, types, n);
}

/* Answers the request unless its CHANGE-REQUEST can be obeyed: 0, else what to answer.
 *
 * A server with one address should by RFC 5780 §6 refuse every CHANGE-REQUEST. Here change-port
 * works wherever there are two ports: a client learns from it whether its NAT lets other ports of
 * a known address in, and no client can be misled: one that goes by the RFC does not ask, because
 * it got no OTHER-ADDRESS. Without a flag nothing is asked for, and nothing is refused. */
static guint
read_change(Exchange *x)
{
	guint16 len = 0;
	const guint8 *value = stun_message_find(&x->in, STUN_ATTRIBUTE_CHANGE_REQUEST, &len);

	if (!value)
		return 0;
	if (len != 4)
		return BAD_REQUEST;
	x->answer->other_address = (value[3] & CHANGE_IP) != 0;
	x->answer->other_port = (value[3] & CHANGE_PORT) != 0;
	if (x->answer->other_address && !wg_endpoint_is_set(&x->place->other.local))
		return UNKNOWN_ATTRIBUTE;
	return x->answer->other_port && x->place->other_port == 0 ? UNKNOWN_ATTRIBUTE : 0;
}

/* FALSE: malformed or refused. */
static gboolean
read_destination(Exchange *x)
{
	guint16 len = 0, port;
	const guint8 *value = stun_message_find(&x->in, RESPONSE_PORT, &len);

	x->answer->to = *x->from;
	if (!value)
		return TRUE;
	if ((len != 2 && len != 4) ||			 /* with or without what is reserved */
	    stun_message_has_attribute(&x->in, PADDING)) /* RFC 5780 §6.1 */
		return FALSE;
	port = (guint16)(value[0] << 8 | value[1]);
	wg_endpoint_set_port(&x->answer->to, port);
	if (port < PRIVILEGED && port != wg_endpoint_port(x->from))
		return FALSE;
	return !is_own(x->place, x->from, port);
}

gboolean
sig_stun_answer(const guint8 *request, gsize len, const WgEndpoint *from, const SigStunPlace *place,
		SigStunAnswer *answer)
{
	Exchange x = {.from = from, .place = place, .answer = answer, .room = len};
	StunValidationStatus status;
	guint code;

	memset(answer, 0, sizeof *answer);
	if (!sig_stun_is_request(request, len) || wg_endpoint_port(from) == 0 ||
	    is_own(place, from, wg_endpoint_port(from)))
		return FALSE;
	stun_agent_init(&x.agent, known, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_IGNORE_CREDENTIALS);
	status = stun_agent_validate(&x.agent, &x.in, request, len, NULL, NULL);
	if (status == STUN_VALIDATION_UNKNOWN_REQUEST_ATTRIBUTE)
		return refuse_unknown(&x);
	if (status != STUN_VALIDATION_SUCCESS)
		return FALSE;
	code = read_change(&x);
	if (code == UNKNOWN_ATTRIBUTE)
		return refuse_attributes(&x, (const guint16[]){STUN_ATTRIBUTE_CHANGE_REQUEST}, 1);
	if (code != 0 || !read_destination(&x))
		return refuse(&x, BAD_REQUEST);
	return succeed(&x);
}
