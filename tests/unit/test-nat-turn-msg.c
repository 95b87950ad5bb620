/* SPDX-License-Identifier: MIT */
/* Messages and stream framing; the whole conversation is test-nat-turn's. */
#include <string.h>

#include "agent/mux/nat-stun.h"
#include "agent/relay/nat-turn-frame.h"
#include "agent/relay/nat-turn-msg.h"
#include "tests/unit/net-util.h"

typedef struct {
	guint8 bytes[4096];
	gsize len;
} Packet;

static void
add(Packet *p, guint16 type, gconstpointer value, gsize len)
{
	p->bytes[p->len++] = (guint8)(type >> 8);
	p->bytes[p->len++] = (guint8)type;
	p->bytes[p->len++] = (guint8)(len >> 8);
	p->bytes[p->len++] = (guint8)len;
	memcpy(p->bytes + p->len, value, len);
	p->len += (len + 3) & ~(gsize)3;
	p->bytes[2] = (guint8)((p->len - 20) >> 8);
	p->bytes[3] = (guint8)(p->len - 20);
}

static void
begin(Packet *p, guint16 type, const guint8 *id)
{
	memset(p, 0, sizeof *p);
	p->bytes[0] = (guint8)(type >> 8);
	p->bytes[1] = (guint8)type;
	memcpy(p->bytes + 4, "\x21\x12\xa4\x42", 4);
	memcpy(p->bytes + 8, id, NAT_TURN_ID_LEN);
	p->len = 20;
}

static gsize
ask(NatTurnCodec *codec, NatTurnMethod method, Packet *out, guint8 *id)
{
	NatTurnAsk what = {.method = method,
			   .lifetime_s = 600,
			   .peer = net_ep("198.51.100.7:51820"),
			   .channel = 0x4000};

	g_assert_cmpuint(NAT_TURN_MSG_MAX, <=, sizeof out->bytes);
	out->len = nat_turn_codec_request(codec, &what, out->bytes, id);
	return out->len;
}

static gboolean
contains(const Packet *p, gconstpointer what, gsize len)
{
	return memmem(p->bytes, p->len, what, len) != NULL;
}

/* 401 with realm and nonce: every later request is authenticated. */
static void
challenge(NatTurnCodec *codec, const char *nonce, gsize nonce_len)
{
	Packet request, answer;
	guint8 id[NAT_TURN_ID_LEN];
	NatTurnMsg msg;

	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &request, id), >, 0);
	begin(&answer, 0x0113, id);
	add(&answer, 0x0009, "\0\0\4\1Unauthorized", 16);
	add(&answer, 0x0014, "test", 4);
	add(&answer, 0x0015, nonce, nonce_len);
	g_assert_true(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	g_assert_cmpint(msg.kind, ==, NAT_TURN_MSG_ERROR);
	g_assert_cmpint(msg.error, ==, 401);
	g_assert_cmpstr(msg.reason, ==, "Unauthorized");
	g_assert_true(msg.fresh_nonce);
	/* The transaction is closed now. */
	g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
}

static void
test_requests(void)
{
	static const NatTurnMethod METHODS[] = {NAT_TURN_ALLOCATE, NAT_TURN_REFRESH,
						NAT_TURN_PERMISSION, NAT_TURN_CHANNEL_BIND};
	static const guint16 TYPES[] = {0x0003, 0x0004, 0x0008, 0x0009};
	g_autoptr(NatTurnCodec) codec = nat_turn_codec_new("bob", "s3cret");
	Packet p;
	guint8 id[NAT_TURN_ID_LEN];

	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), >, 0);
	g_assert_false(nat_turn_codec_authenticates(codec));
	g_assert_true(contains(&p, "\0\x19\0\4\x11\0\0\0", 8)); /* over UDP */
	g_assert_false(contains(&p, "bob", 3));
	challenge(codec, "nonce", 5);
	g_assert_true(nat_turn_codec_authenticates(codec));
	for (gsize i = 0; i < G_N_ELEMENTS(METHODS); i++) {
		NatStun stun;

		g_assert_cmpuint(ask(codec, METHODS[i], &p, id), >, 0);
		g_assert_cmpuint(p.bytes[0] << 8 | p.bytes[1], ==, TYPES[i]);
		g_assert_true(nat_stun_parse(p.bytes, p.len, &stun));
		g_assert_true(stun.has_integrity);
		g_assert_cmpmem(stun.username, stun.username_len, "bob", 3);
		g_assert_true(contains(&p, "test", 4) && contains(&p, "nonce", 5));
		g_assert_false(contains(&p, "s3cret", 6));
	}
}

/* The largest that the RFC allows still fits; a larger nonce is no nonce. */
static void
test_largest(void)
{
	g_autofree char *user = g_strnfill(508, 'u'), *nonce = g_strnfill(800, 'n');
	g_autoptr(NatTurnCodec) codec = nat_turn_codec_new(user, "s3cret");
	Packet p, answer;
	guint8 id[NAT_TURN_ID_LEN];
	NatTurnMsg msg;

	challenge(codec, nonce, 763);
	g_assert_cmpuint(ask(codec, NAT_TURN_CHANNEL_BIND, &p, id), >, 0);
	begin(&answer, 0x0119, id);
	add(&answer, 0x0009, "\0\0\4\x26", 4);
	add(&answer, 0x0015, nonce, 764);
	g_assert_true(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	g_assert_cmpint(msg.error, ==, 438);
	g_assert_false(msg.fresh_nonce);
}

static void
test_open_bounded(void)
{
	g_autoptr(NatTurnCodec) codec = nat_turn_codec_new(NULL, NULL);
	guint8 id[NAT_TURN_ID_LEN], other[NAT_TURN_ID_LEN] = {0};
	Packet p;

	for (guint i = 0; i < NAT_TURN_OPEN_MAX; i++)
		g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), >, 0);
	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, other), ==, 0);
	nat_turn_codec_forget(codec, other); /* not one of them */
	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, other), ==, 0);
	nat_turn_codec_forget(codec, id);
	nat_turn_codec_forget(codec, id);
	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), >, 0);
	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), ==, 0);
}

static void
test_answers_to_nobody(void)
{
	g_autoptr(NatTurnCodec) codec = nat_turn_codec_new("bob", "s3cret");
	Packet p, answer;
	guint8 id[NAT_TURN_ID_LEN], other[NAT_TURN_ID_LEN] = {7};
	NatTurnMsg msg;

	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), >, 0);
	begin(&answer, 0x0103, other);
	g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	begin(&answer, 0x0104, id); /* of another method */
	g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	g_assert_false(nat_turn_codec_parse(codec, p.bytes, p.len, &msg)); /* our own request */
	begin(&answer, 0x0016, other);					   /* a Send indication */
	g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	begin(&answer, 0x0115, other); /* an old dialect's Data indication, says libnice */
	g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	begin(&answer, 0x0115, id);
	add(&answer, 0x0012, "\0\1\0\1\1\2\3\4", 8);
	add(&answer, 0x0013, "x", 1);
	g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	/* Integrity of a length that it cannot have, in an answer that needs one. */
	challenge(codec, "nonce", 5);
	g_assert_cmpuint(ask(codec, NAT_TURN_REFRESH, &p, id), >, 0);
	for (gsize len = 0; len <= 40; len++) {
		guint8 zero[40] = {0};

		begin(&answer, 0x0104, id);
		add(&answer, 0x0008, zero, len);
		g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	}
}

/* A mandatory attribute nobody knows: the transaction has failed, and is over. */
static void
test_unknown_attribute(void)
{
	g_autoptr(NatTurnCodec) codec = nat_turn_codec_new(NULL, NULL);
	Packet p, answer;
	guint8 id[NAT_TURN_ID_LEN];
	NatTurnMsg msg;

	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), >, 0);
	begin(&answer, 0x0103, id);
	add(&answer, 0x7777, "x", 1);
	g_assert_true(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	g_assert_cmpint(msg.kind, ==, NAT_TURN_MSG_ERROR);
	g_assert_false(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
}

/* What a server says of itself is shown to people: nothing of it acts on a terminal. */
static void
test_reason(void)
{
	g_autoptr(NatTurnCodec) codec = nat_turn_codec_new(NULL, NULL);
	g_autofree char *endless = g_strnfill(600, 'x');
	Packet p, answer;
	guint8 id[NAT_TURN_ID_LEN];
	NatTurnMsg msg;

	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), >, 0);
	begin(&answer, 0x0113, id);
	add(&answer, 0x0009, "\0\0\3\x1b\33[2J\xff\n\0\0", 12);
	g_assert_true(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	g_assert_cmpint(msg.error, ==, 327);
	g_assert_cmpstr(msg.reason, ==, "\\x1b[2J\\xff\\x0a");
	memcpy(endless, "\0\0\3\x1b", 4);
	g_assert_cmpuint(ask(codec, NAT_TURN_ALLOCATE, &p, id), >, 0);
	begin(&answer, 0x0113, id);
	add(&answer, 0x0009, endless, 600);
	g_assert_true(nat_turn_codec_parse(codec, answer.bytes, answer.len, &msg));
	g_assert_cmpuint(strlen(msg.reason), <, NAT_TURN_REASON_LEN);
}

static void
test_send(void)
{
	WgEndpoint peer = net_ep("[2001:db8::7]:51820");
	guint8 data[1500] = {1, 2, 3}, buf[2000];

	for (gsize len = 0; len <= sizeof data; len++) {
		gsize n = nat_turn_msg_send(buf, sizeof buf, &peer, data, len);
		NatStun stun;

		g_assert_cmpuint(n, >, len);
		g_assert_cmpuint(n, <=, len + NAT_TURN_SEND_OVERHEAD);
		g_assert_true(nat_stun_parse(buf, n, &stun));
		g_assert_cmpint(stun.klass, ==, NAT_STUN_INDICATION);
		g_assert_cmpuint(stun.method, ==, 6);
	}
	g_assert_cmpuint(nat_turn_msg_send(buf, 100, &peer, data, 100), ==, 0);
	g_assert_cmpuint(nat_turn_msg_send(buf, sizeof buf, &peer, data, 65535), ==, 0);
}

/* ---- framing ---- */

static void
test_frames(void)
{
	static const guint8 stream[] = {
		0x40, 0,    0, 5, 'h',	'e',  'l',  'l',  'o', 0, 0, 0, /* padded */
		0x4f, 0xff, 0, 0,					/* empty */
		1,    1,    0, 4, 0x21, 0x12, 0xa4, 0x42, 0,   0, 0, 0,
		0,    0,    0, 0, 0,	0,    0,    0,	  1,   2, 3, 4,
	};
	static const NatTurnFrame want[] = {{9, 12}, {4, 4}, {24, 24}};
	gsize at = 0;

	for (gsize i = 0; i < G_N_ELEMENTS(want); i++) {
		NatTurnFrame frame;

		for (gsize len = 0; len < want[i].whole; len++)
			g_assert_cmpint(nat_turn_frame_next(stream + at, len, &frame), ==,
					NAT_TURN_FRAME_MORE);
		g_assert_cmpint(nat_turn_frame_next(stream + at, sizeof stream - at, &frame), ==,
				NAT_TURN_FRAME_COMPLETE);
		g_assert_cmpuint(frame.len, ==, want[i].len);
		g_assert_cmpuint(frame.whole, ==, want[i].whole);
		at += frame.whole;
	}
	g_assert_cmpuint(at, ==, sizeof stream);
	for (gsize len = 0; len < 9; len++)
		g_assert_cmpuint((len + nat_turn_frame_padding(len)) % 4, ==, 0);
}

static void
test_no_frames(void)
{
	static const guint8 odd[] = {0, 1, 0, 3};
	NatTurnFrame frame;

	for (guint first = 0; first < 256; first++) {
		guint8 byte = (guint8)first;

		g_assert_cmpint(nat_turn_frame_next(&byte, 1, &frame), ==,
				first < 4 || (first >= 0x40 && first <= 0x4f) ? NAT_TURN_FRAME_MORE
									      : NAT_TURN_FRAME_BAD);
	}
	g_assert_cmpint(nat_turn_frame_next((const guint8 *)"HTTP/1.1", 8, &frame), ==,
			NAT_TURN_FRAME_MORE);
	g_assert_cmpint(nat_turn_frame_next(odd, sizeof odd, &frame), ==, NAT_TURN_FRAME_BAD);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/turn-msg/requests", test_requests);
	g_test_add_func("/turn-msg/largest", test_largest);
	g_test_add_func("/turn-msg/open-bounded", test_open_bounded);
	g_test_add_func("/turn-msg/answers-to-nobody", test_answers_to_nobody);
	g_test_add_func("/turn-msg/unknown-attribute", test_unknown_attribute);
	g_test_add_func("/turn-msg/reason", test_reason);
	g_test_add_func("/turn-msg/send", test_send);
	g_test_add_func("/turn-frame/frames", test_frames);
	g_test_add_func("/turn-frame/no-frames", test_no_frames);
	return g_test_run();
}
