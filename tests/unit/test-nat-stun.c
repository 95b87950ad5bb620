/* SPDX-License-Identifier: MIT */
#include "agent/mux/nat-stun.h"

#include <string.h>
#include <stun/stunagent.h>

#define USER "evtj:h6vY"
#define PWD "VOkJxbRl1RmTxUk/WvJxBt"

static const guint8 ID[NAT_STUN_ID_LEN] = {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
					   0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

/* RFC 5769 §2.1: an ICE check with SOFTWARE, PRIORITY, ICE-CONTROLLED, padding by spaces. */
static const guint8 SAMPLE_REQUEST[] = {
	0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
	0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e,
	0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24,
	0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1,
	0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68,
	0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c,
	0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5,
	0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
};

/* RFC 5769 §2.2: its answer, 192.0.2.1:32853. */
static const guint8 SAMPLE_RESPONSE[] = {
	0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
	0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74,
	0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01,
	0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99,
	0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b,
	0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96,
};

static WgEndpoint
ep(const char *text)
{
	WgEndpoint out;

	g_assert_true(wg_endpoint_parse(text, &out));
	return out;
}

static void
test_vectors(void)
{
	WgEndpoint mapped = ep("192.0.2.1:32853");
	NatStun stun;

	g_assert_true(nat_stun_parse(SAMPLE_REQUEST, sizeof SAMPLE_REQUEST, &stun));
	g_assert_cmpint(stun.klass, ==, NAT_STUN_REQUEST);
	g_assert_cmpuint(stun.method, ==, NAT_STUN_BINDING);
	g_assert_cmpmem(stun.id, sizeof stun.id, ID, sizeof ID);
	g_assert_cmpmem(stun.username, stun.username_len, USER, strlen(USER));
	g_assert_true(stun.has_integrity && stun.has_fingerprint && !stun.use_candidate);
	g_assert_true(nat_stun_check_integrity(SAMPLE_REQUEST, sizeof SAMPLE_REQUEST, PWD));
	g_assert_false(nat_stun_check_integrity(SAMPLE_REQUEST, sizeof SAMPLE_REQUEST, PWD "x"));

	g_assert_true(nat_stun_parse(SAMPLE_RESPONSE, sizeof SAMPLE_RESPONSE, &stun));
	g_assert_cmpint(stun.klass, ==, NAT_STUN_SUCCESS);
	g_assert_true(wg_endpoint_equal(&stun.mapped, &mapped));
	g_assert_true(nat_stun_check_integrity(SAMPLE_RESPONSE, sizeof SAMPLE_RESPONSE, PWD));
}

/* Any flipped bit is either no STUN any more or fails the integrity check. */
static void
test_tampered(void)
{
	guint8 buf[sizeof SAMPLE_REQUEST];
	NatStun stun;

	for (gsize i = 0; i < sizeof buf * 8; i++) {
		memcpy(buf, SAMPLE_REQUEST, sizeof buf);
		buf[i / 8] ^= (guint8)(1 << i % 8);
		/* a damaged length can hide the FINGERPRINT, nothing can make it right */
		if (nat_stun_parse(buf, sizeof buf, &stun))
			g_assert_false(stun.has_fingerprint);
		if (i / 8 < sizeof buf - 8)
			g_assert_false(nat_stun_check_integrity(buf, sizeof buf, PWD));
	}
	for (gsize len = 0; len < sizeof buf; len++)
		g_assert_false(nat_stun_parse(SAMPLE_REQUEST, len, &stun));
}

static void
test_build_request(void)
{
	guint8 buf[NAT_STUN_MAX];
	char ufrag[16];
	NatStun stun;
	gsize len = nat_stun_build_request(buf, sizeof buf, ID, NULL, NULL);

	g_assert_cmpuint(len, ==, 20);
	g_assert_true(nat_stun_parse(buf, len, &stun));
	g_assert_null(stun.username);
	g_assert_false(stun.has_integrity || stun.has_fingerprint);
	g_assert_false(nat_stun_check_integrity(buf, len, PWD));

	len = nat_stun_build_request(buf, sizeof buf, ID, USER, PWD);
	g_assert_true(nat_stun_parse(buf, len, &stun));
	g_assert_cmpmem(stun.username, stun.username_len, USER, strlen(USER));
	g_assert_true(stun.has_integrity && stun.has_fingerprint);
	g_assert_true(nat_stun_check_integrity(buf, len, PWD));
	g_assert_true(nat_stun_receiver_ufrag(&stun, ufrag, sizeof ufrag));
	g_assert_cmpstr(ufrag, ==, "evtj");
	for (gsize size = 0; size < len; size++)
		g_assert_cmpuint(nat_stun_build_request(buf, size, ID, USER, PWD), ==, 0);
}

/* Exactly as long as asked, the integrity over all of it; never one that only looks so. */
static void
test_build_padded(void)
{
	guint8 buf[NAT_STUN_PADDED_MAX + 8];
	gsize plain = nat_stun_build_request(buf, sizeof buf, ID, USER, PWD);
	NatStun stun;

	for (gsize want = plain; want <= sizeof buf; want += 4) {
		g_assert_cmpuint(
			nat_stun_build_request_padded(buf, sizeof buf, ID, USER, PWD, want), ==,
			want);
		g_assert_true(nat_stun_parse(buf, want, &stun));
		g_assert_cmpmem(stun.username, stun.username_len, USER, strlen(USER));
		g_assert_true(stun.has_integrity && stun.has_fingerprint);
		g_assert_true(nat_stun_check_integrity(buf, want, PWD));
		buf[want - 33] ^= 1; /* before the integrity */
		g_assert_false(nat_stun_check_integrity(buf, want, PWD));
	}
	g_assert_cmpuint(nat_stun_build_request_padded(buf, sizeof buf, ID, NULL, NULL, 100), ==,
			 100);
	g_assert_true(nat_stun_parse(buf, 100, &stun));
	g_assert_cmpuint(nat_stun_build_request_padded(buf, sizeof buf, ID, USER, PWD, plain - 4),
			 ==, 0);
	g_assert_cmpuint(nat_stun_build_request_padded(buf, sizeof buf, ID, USER, PWD, 1001), ==,
			 0);
	g_assert_cmpuint(nat_stun_build_request_padded(buf, 1000, ID, USER, PWD, 1004), ==, 0);
	g_assert_cmpuint(nat_stun_build_request_padded(buf, sizeof buf, ID, USER, PWD, 0), ==, 0);
}

static void
test_build_to_port(void)
{
	static const guint8 attr[] = {0x00, 0x27, 0x00, 0x04, 0x9c, 0x40, 0x00, 0x00};
	guint8 buf[NAT_STUN_MAX];
	NatStun stun;

	g_assert_cmpuint(nat_stun_build_request_to_port(buf, sizeof buf, ID, 40000), ==, 28);
	g_assert_true(nat_stun_parse(buf, 28, &stun));
	g_assert_cmpmem(buf + 20, 8, attr, sizeof attr);
	g_assert_cmpuint(nat_stun_build_request_to_port(buf, 27, ID, 40000), ==, 0);
}

static void
test_build_response(void)
{
	static const char *const ENDPOINTS[] = {"203.0.113.9:41020", "[2001:db8::7]:51820"};
	guint8 buf[NAT_STUN_MAX];
	NatStun stun;

	for (gsize i = 0; i < G_N_ELEMENTS(ENDPOINTS); i++) {
		WgEndpoint mapped = ep(ENDPOINTS[i]);
		gsize len = nat_stun_build_response(buf, sizeof buf, ID, &mapped, PWD);

		g_assert_true(nat_stun_parse(buf, len, &stun));
		g_assert_cmpint(stun.klass, ==, NAT_STUN_SUCCESS);
		g_assert_true(wg_endpoint_equal(&stun.mapped, &mapped));
		g_assert_true(nat_stun_check_integrity(buf, len, PWD));
		for (gsize size = 0; size < len; size++)
			g_assert_cmpuint(nat_stun_build_response(buf, size, ID, &mapped, PWD), ==,
					 0);
	}
}

static void
test_response_unset(void)
{
	WgEndpoint unset = {0};
	guint8 buf[NAT_STUN_MAX];

	g_assert_cmpuint(nat_stun_build_response(buf, sizeof buf, ID, &unset, NULL), ==, 0);
	g_assert_cmpuint(nat_stun_build_response(buf, sizeof buf, ID, &unset, PWD), ==, 0);
}

static bool
validater(StunAgent *agent, StunMessage *message, uint8_t *username, uint16_t username_len,
	  uint8_t **password, size_t *password_len, void *user_data)
{
	*password = (uint8_t *)PWD;
	*password_len = strlen(PWD);
	return username_len == strlen(USER) && memcmp(username, USER, username_len) == 0;
}

static void
nice_agent_init(StunAgent *agent)
{
	static const uint16_t known[] = {
		STUN_ATTRIBUTE_USERNAME,	   STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
		STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, STUN_ATTRIBUTE_PRIORITY,
		STUN_ATTRIBUTE_USE_CANDIDATE,	   0};

	stun_agent_init(agent, known, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
}

/* libnice accepts our request, and we its answer. */
static void
test_libnice(void)
{
	StunAgent agent;
	StunMessage request, response;
	guint8 buf[NAT_STUN_MAX], out[NAT_STUN_MAX];
	gsize len = nat_stun_build_request(buf, sizeof buf, ID, USER, PWD);
	WgEndpoint mapped = ep("203.0.113.9:41020");
	struct sockaddr_storage addr = {0};
	NatStun stun;

	nice_agent_init(&agent);
	g_assert_cmpint(stun_agent_validate(&agent, &request, buf, len, validater, NULL), ==,
			STUN_VALIDATION_SUCCESS);
	g_assert_true(stun_agent_init_response(&agent, &response, out, sizeof out, &request));
	memcpy(&addr, &mapped.v4, sizeof mapped.v4);
	g_assert_cmpint(stun_message_append_xor_addr(&response, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
						     &addr, sizeof mapped.v4),
			==, STUN_MESSAGE_RETURN_SUCCESS);
	len = stun_agent_finish_message(&agent, &response, (const uint8_t *)PWD, strlen(PWD));
	g_assert_true(nat_stun_parse(out, len, &stun));
	g_assert_true(stun.has_integrity && stun.has_fingerprint);
	g_assert_true(wg_endpoint_equal(&stun.mapped, &mapped));
	g_assert_true(nat_stun_check_integrity(out, len, PWD));
}

/* libnice accepts our answer to its request. */
static void
test_libnice_asks(void)
{
	StunAgent agent;
	StunMessage request, response;
	guint8 buf[NAT_STUN_MAX], out[NAT_STUN_MAX];
	WgEndpoint mapped = ep("[2001:db8::9]:41020");
	NatStun stun;
	gsize len;

	nice_agent_init(&agent);
	g_assert_true(stun_agent_init_request(&agent, &request, buf, sizeof buf, STUN_BINDING));
	stun_message_append_string(&request, STUN_ATTRIBUTE_USERNAME, USER);
	stun_message_append_flag(&request, STUN_ATTRIBUTE_USE_CANDIDATE);
	len = stun_agent_finish_message(&agent, &request, (const uint8_t *)PWD, strlen(PWD));
	g_assert_true(nat_stun_parse(buf, len, &stun));
	g_assert_true(stun.use_candidate);
	g_assert_true(nat_stun_check_integrity(buf, len, PWD));
	len = nat_stun_build_response(out, sizeof out, stun.id, &mapped, PWD);
	g_assert_cmpint(stun_agent_validate(&agent, &response, out, len, NULL, NULL), ==,
			STUN_VALIDATION_SUCCESS);
}

/* What follows MESSAGE-INTEGRITY is not covered by it, so it must not be believed. */
static void
test_after_integrity(void)
{
	guint8 buf[NAT_STUN_MAX];
	NatStun stun;
	gsize len = nat_stun_build_request(buf, sizeof buf, ID, USER, PWD) - 8;

	memcpy(buf + len, "\x00\x25\x00\x00", 4); /* USE-CANDIDATE in FINGERPRINT's place */
	len += 4;
	buf[3] = (guint8)(len - 20);
	g_assert_true(nat_stun_parse(buf, len, &stun));
	g_assert_true(stun.has_integrity);
	g_assert_false(stun.use_candidate);
	g_assert_true(nat_stun_check_integrity(buf, len, PWD));
}

static void
test_types(void)
{
	static const struct {
		guint16 type;
		NatStunClass klass;
		guint16 method;
	} CASES[] = {
		{0x0001, NAT_STUN_REQUEST, 1},	 {0x0011, NAT_STUN_INDICATION, 1},
		{0x0101, NAT_STUN_SUCCESS, 1},	 {0x0111, NAT_STUN_ERROR, 1},
		{0x0003, NAT_STUN_REQUEST, 3},	 {0x3eef, NAT_STUN_REQUEST, 0xfff},
		{0x3fff, NAT_STUN_ERROR, 0xfff},
	};
	guint8 buf[20];
	NatStun stun;

	nat_stun_build_request(buf, sizeof buf, ID, NULL, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		buf[0] = (guint8)(CASES[i].type >> 8);
		buf[1] = (guint8)CASES[i].type;
		g_assert_true(nat_stun_parse(buf, sizeof buf, &stun));
		g_assert_cmpint(stun.klass, ==, CASES[i].klass);
		g_assert_cmphex(stun.method, ==, CASES[i].method);
	}
	buf[0] = 0x40; /* ChannelData */
	g_assert_false(nat_stun_parse(buf, sizeof buf, &stun));
}

static void
test_malformed_attributes(void)
{
	static const struct {
		const char *bytes;
		gsize len;
		gboolean ok;
	} CASES[] = {
		{"\x00\x06\x00\x00", 4, TRUE},	/* empty USERNAME */
		{"\x00\x06\x00\x01", 4, FALSE}, /* value outside */
		{"\x00\x06\x00\x05"
		 "abcd",
		 8, FALSE}, /* padding outside */
		{"\x00\x06\xff\xff"
		 "abcd",
		 8, FALSE}, /* far outside */
		{"\x00\x08\x00\x04"
		 "abcd",
		 8, FALSE}, /* short MESSAGE-INTEGRITY */
		{"\x80\x28\x00\x04"
		 "abcd",
		 8, FALSE}, /* wrong FINGERPRINT */
		{"\x00\x20\x00\x04"
		 "\x00\x01\x00\x00",
		 8, TRUE},		       /* address too short: unset */
		{"\x00\x20\x00\x00", 4, TRUE}, /* no address at all: unset */
		{"\x7f\xff\x00\x04"
		 "abcd",
		 8, TRUE}, /* unknown */
	};
	guint8 buf[64];
	NatStun stun;

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		nat_stun_build_request(buf, sizeof buf, ID, NULL, NULL);
		memcpy(buf + 20, CASES[i].bytes, CASES[i].len);
		buf[3] = (guint8)CASES[i].len;
		g_assert_true(nat_stun_parse(buf, 20 + CASES[i].len, &stun) == CASES[i].ok);
		g_assert_false(wg_endpoint_is_set(&stun.mapped));
	}
}

static void
test_mapped_address(void)
{
	static const char plain[] = "\x00\x01\x00\x08\x00\x01\x12\x34\xc0\x00\x02\x07";
	WgEndpoint old_style = ep("192.0.2.7:4660"), mapped = ep("192.0.2.9:7");
	guint8 buf[64];
	NatStun stun;
	gsize len;

	nat_stun_build_request(buf, sizeof buf, ID, NULL, NULL);
	memcpy(buf + 20, plain, 12);
	buf[3] = 12;
	g_assert_true(nat_stun_parse(buf, 32, &stun));
	g_assert_true(wg_endpoint_equal(&stun.mapped, &old_style));

	/* the XORed one wins, whatever the order */
	len = nat_stun_build_response(buf, sizeof buf, ID, &mapped, NULL);
	memcpy(buf + len, plain, 12);
	buf[3] += 12;
	g_assert_true(nat_stun_parse(buf, len + 12, &stun));
	g_assert_true(wg_endpoint_equal(&stun.mapped, &mapped));
}

static void
test_ufrag(void)
{
	NatStun stun = {0};
	char out[5];

	g_assert_false(nat_stun_receiver_ufrag(&stun, out, sizeof out));
	stun.username = "abcd:x";
	stun.username_len = 6;
	g_assert_true(nat_stun_receiver_ufrag(&stun, out, sizeof out));
	g_assert_cmpstr(out, ==, "abcd");
	stun.username_len = 4; /* no colon inside */
	g_assert_false(nat_stun_receiver_ufrag(&stun, out, sizeof out));
	g_assert_false(nat_stun_receiver_ufrag(&(NatStun){.username = ":x", .username_len = 2}, out,
					       sizeof out));
	g_assert_false(nat_stun_receiver_ufrag(&(NatStun){.username = "abcde:x", .username_len = 7},
					       out, sizeof out));
	g_assert_false(nat_stun_receiver_ufrag(&(NatStun){.username = "a\0b:x", .username_len = 5},
					       out, sizeof out));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/stun/rfc5769", test_vectors);
	g_test_add_func("/stun/tampered", test_tampered);
	g_test_add_func("/stun/build/request", test_build_request);
	g_test_add_func("/stun/build/request/padded", test_build_padded);
	g_test_add_func("/stun/build/request/to-port", test_build_to_port);
	g_test_add_func("/stun/build/response", test_build_response);
	g_test_add_func("/stun/build/response-unset", test_response_unset);
	g_test_add_func("/stun/libnice/answers", test_libnice);
	g_test_add_func("/stun/libnice/asks", test_libnice_asks);
	g_test_add_func("/stun/parse/after-integrity", test_after_integrity);
	g_test_add_func("/stun/parse/types", test_types);
	g_test_add_func("/stun/parse/malformed-attributes", test_malformed_attributes);
	g_test_add_func("/stun/parse/mapped-address", test_mapped_address);
	g_test_add_func("/stun/receiver-ufrag", test_ufrag);
	return g_test_run();
}
