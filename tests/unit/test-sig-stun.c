/* SPDX-License-Identifier: MIT */
/*
 * What the STUN responder answers, byte by byte: no answer is larger than its request but for the
 * least one, and each attribute comes exactly from the size on that it has room in.
 */
#include "signaling/sig-config.h"
#include "signaling/sig-stun-address.h"
#include "signaling/sig-stun.h"

#include <string.h>

enum {
	MAPPED_ADDRESS = 0x0001,
	CHANGE_REQUEST = 0x0003,
	ERROR_CODE = 0x0009,
	UNKNOWN_ATTRIBUTES = 0x000a,
	XOR_MAPPED_ADDRESS = 0x0020,
	PADDING = 0x0026,
	RESPONSE_PORT = 0x0027,
	SOFTWARE = 0x8022,
	RESPONSE_ORIGIN = 0x802b,
	OTHER_ADDRESS = 0x802c,
};

#define CHANGE_IP 4u
#define CHANGE_PORT 2u

static WgEndpoint
ep(const char *text)
{
	WgEndpoint out;

	if (!wg_endpoint_parse(text, &out) && !wg_endpoint_parse_address(text, 0, &out))
		g_error("not an address: %s", text);
	return out;
}

/* ---- requests ---- */

typedef struct {
	guint8 b[SIG_STUN_REQUEST_MAX + 64];
	gsize len;
} Request;

static void
start(Request *r)
{
	static const guint8 header[20] = {0,   1,   0,	 0,   0x21, 0x12, 0xa4, 0x42, 'a', 'b',
					  'c', 'd', 'e', 'f', 'g',  'h',  'i',	'j',  'k', 'l'};

	memcpy(r->b, header, sizeof header);
	r->len = sizeof header;
}

static void
add(Request *r, guint16 type, gconstpointer value, gsize len)
{
	guint8 *at = r->b + r->len;
	gsize padded = (len + 3) & ~(gsize)3;

	g_assert_cmpuint(r->len + 4 + padded, <=, sizeof r->b);
	memset(at, 0, 4 + padded);
	at[0] = (guint8)(type >> 8);
	at[1] = (guint8)type;
	at[2] = (guint8)(len >> 8);
	at[3] = (guint8)len;
	if (value)
		memcpy(at + 4, value, len);
	r->len += 4 + padded;
	r->b[2] = (guint8)((r->len - 20) >> 8);
	r->b[3] = (guint8)(r->len - 20);
}

static void
add_change(Request *r, guint flags)
{
	add(r, CHANGE_REQUEST, (const guint8[]){0, 0, 0, (guint8)flags}, 4);
}

static void
add_response_port(Request *r, guint16 port)
{
	add(r, RESPONSE_PORT, (const guint8[]){(guint8)(port >> 8), (guint8)port, 0, 0}, 4);
}

/* Up to exactly `len` bytes, which is 0 or at least 4 more than there are. */
static void
pad_by(Request *r, guint16 type, gsize len)
{
	if (len > r->len)
		add(r, type, NULL, len - r->len - 4);
	g_assert_cmpuint(r->len, ==, len);
}

static void
pad(Request *r, gsize len)
{
	pad_by(r, PADDING, len);
}

/* ---- places and answers ---- */

typedef enum { ONE_PORT, TWO_PORTS, TWO_ADDRESSES } Kind;

static SigStunPlace
place(Kind kind, gboolean v6)
{
	SigStunPlace p = {.asked_port = 3478, .other_port = kind == ONE_PORT ? 0 : 3479};

	p.asked.local = ep(v6 ? "fd00::4" : "10.0.0.4");
	p.asked.seen = ep(v6 ? "2001:db8::4" : "203.0.113.4");
	if (kind == TWO_ADDRESSES) {
		p.other.local = ep(v6 ? "fd00::5" : "10.0.0.5");
		p.other.seen = ep(v6 ? "2001:db8::5" : "203.0.113.5");
	}
	return p;
}

static WgEndpoint
client(gboolean v6)
{
	return ep(v6 ? "[2001:db8:1::7]:50000" : "198.51.100.7:50000");
}

static const guint8 *
find(const SigStunAnswer *answer, guint16 type, gsize *len)
{
	for (gsize at = 20; at < answer->len;) {
		const guint8 *p = answer->out + at;

		*len = (gsize)(p[2] << 8 | p[3]);
		g_assert_cmpuint(at + 4 + *len, <=, answer->len);
		if ((p[0] << 8 | p[1]) == type)
			return p + 4;
		at += 4 + ((*len + 3) & ~(gsize)3);
	}
	return NULL;
}

/* The attribute's address; unset when it is not there. */
static WgEndpoint
find_address(const SigStunAnswer *answer, guint16 type)
{
	gsize len = 0;
	const guint8 *p = find(answer, type, &len);
	guint8 bytes[16];
	WgEndpoint out = {0};
	guint16 port;

	if (!p)
		return out;
	g_assert_cmpuint(len, ==, p[1] == 1 ? 8 : 20);
	port = (guint16)(p[2] << 8 | p[3]);
	memcpy(bytes, p + 4, len - 4);
	for (gsize i = 0; type == XOR_MAPPED_ADDRESS && i < len - 4; i++)
		bytes[i] ^= answer->out[4 + i];
	if (type == XOR_MAPPED_ADDRESS)
		port ^= 0x2112;
	g_assert_true(wg_endpoint_from_bytes(&out, bytes, len - 4, port));
	return out;
}

static void
assert_address(const SigStunAnswer *answer, guint16 type, const WgEndpoint *address, guint port)
{
	WgEndpoint found = find_address(answer, type), wanted = *address;
	char a[WG_ENDPOINT_STRLEN], b[WG_ENDPOINT_STRLEN];

	wg_endpoint_set_port(&wanted, (guint16)port);
	g_assert_cmpstr(wg_endpoint_format(&found, a), ==, wg_endpoint_format(&wanted, b));
}

static guint
error_code(const SigStunAnswer *answer)
{
	gsize len = 0;
	const guint8 *p = find(answer, ERROR_CODE, &len);

	if (!p)
		return 0;
	g_assert_cmpuint(len, ==, 4);
	return p[2] * 100u + p[3];
}

/* What holds for every answer: it is the request's, of the right class, of our size, and no
 * STUN server, ours included, ever answers it: nothing can loop. */
static void
assert_sane(const Request *r, const WgEndpoint *from, const SigStunPlace *p,
	    const SigStunAnswer *answer)
{
	gsize least = wg_endpoint_family(from) == AF_INET ? 32 : 44;
	SigStunAnswer again;

	g_assert_cmpmem(answer->out + 4, 16, r->b + 4, 16);
	g_assert_cmpuint(answer->out[2] << 8 | answer->out[3], ==, answer->len - 20);
	g_assert_cmpuint(answer->out[0], ==, 0x01);
	g_assert_cmpuint(answer->out[1], ==, answer->error ? 0x11 : 0x01);
	g_assert_cmpuint(answer->len, <=, answer->error ? r->len : MAX(r->len, least));
	g_assert_true(wg_endpoint_same_address(&answer->to, from));
	g_assert_cmpuint(error_code(answer) != 0, ==, answer->error);
	g_assert_false(sig_stun_answer(answer->out, answer->len, from, p, &again));
}

static SigStunAnswer
ask(const Request *r, const WgEndpoint *from, const SigStunPlace *p)
{
	SigStunAnswer answer;

	g_assert_true(sig_stun_answer(r->b, r->len, from, p, &answer));
	assert_sane(r, from, p, &answer);
	return answer;
}

static void
assert_none(const Request *r, const WgEndpoint *from, const SigStunPlace *p)
{
	SigStunAnswer answer;

	g_assert_false(sig_stun_answer(r->b, r->len, from, p, &answer));
}

/* Where the answer goes */
static guint16
ask_to_port(const Request *r, const WgEndpoint *from, const SigStunPlace *p)
{
	SigStunAnswer answer = ask(r, from, p);

	g_assert_false(answer.error);
	return wg_endpoint_port(&answer.to);
}

/* An error that goes where the request came from, from where it was asked. */
static void
assert_error(const Request *r, const WgEndpoint *from, const SigStunPlace *p, guint code)
{
	SigStunAnswer answer = ask(r, from, p);

	g_assert_cmpuint(error_code(&answer), ==, code);
	g_assert_true(wg_endpoint_equal(&answer.to, from));
	g_assert_false(answer.other_address || answer.other_port);
}

/* ---- size ---- */

/* Every length from the header alone to more than anything needs. */
static void
check_sizes(Kind kind, gboolean v6, gsize least, gsize each, gsize n)
{
	SigStunPlace p = place(kind, v6);
	WgEndpoint from = client(v6), unset = {0};

	for (gsize len = 20; len <= 200; len += 4) {
		gsize more = len < least ? 0 : MIN((len - least) / each, n);
		gsize have = 0;
		SigStunAnswer answer;
		Request r;

		start(&r);
		pad(&r, len);
		answer = ask(&r, &from, &p);
		g_assert_false(answer.error);
		g_assert_cmpuint(answer.len, ==, least + more * each);
		assert_address(&answer, XOR_MAPPED_ADDRESS, &from, 50000);
		if (kind == TWO_ADDRESSES)
			assert_address(&answer, OTHER_ADDRESS,
				       have++ < more ? &p.other.seen : &unset, 3479);
		else
			assert_address(&answer, OTHER_ADDRESS, &unset, 0);
		assert_address(&answer, RESPONSE_ORIGIN, have++ < more ? &p.asked.seen : &unset,
			       3478);
		assert_address(&answer, MAPPED_ADDRESS, have++ < more ? &from : &unset, 50000);
	}
}

static void
test_sizes(void)
{
	check_sizes(ONE_PORT, FALSE, 32, 12, 2);
	check_sizes(TWO_PORTS, FALSE, 32, 12, 2);
	check_sizes(TWO_ADDRESSES, FALSE, 32, 12, 3);
	check_sizes(ONE_PORT, TRUE, 44, 24, 2);
	check_sizes(TWO_PORTS, TRUE, 44, 24, 2);
	check_sizes(TWO_ADDRESSES, TRUE, 44, 24, 3);
}

/* The smallest requests, by number, and the edges that PROTOCOL.md names. */
static void
test_edges(void)
{
	static const struct {
		gboolean v6;
		gsize request, answer;
	} table[] = {
		{FALSE, 20, 32}, {FALSE, 28, 32},  {FALSE, 40, 32},  {FALSE, 44, 44},
		{FALSE, 52, 44}, {FALSE, 56, 56},  {FALSE, 64, 56},  {FALSE, 68, 68},
		{FALSE, 72, 68}, {FALSE, 548, 68}, {TRUE, 20, 44},   {TRUE, 28, 44},
		{TRUE, 64, 44},	 {TRUE, 68, 68},   {TRUE, 88, 68},   {TRUE, 92, 92},
		{TRUE, 112, 92}, {TRUE, 116, 116}, {TRUE, 120, 116}, {TRUE, 1524, 116},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		SigStunPlace p = place(TWO_ADDRESSES, table[i].v6);
		WgEndpoint from = client(table[i].v6);
		Request r;

		start(&r);
		pad(&r, table[i].request);
		g_assert_cmpuint(ask(&r, &from, &p).len, ==, table[i].answer);
	}
}

/* Any optional attribute is filler as good as PADDING; what is too long is no request. */
static void
test_filler(void)
{
	SigStunPlace p = place(TWO_ADDRESSES, FALSE);
	WgEndpoint from = client(FALSE);
	Request r;

	start(&r);
	pad_by(&r, SOFTWARE, 68);
	g_assert_cmpuint(ask(&r, &from, &p).len, ==, 68);
	start(&r);
	pad(&r, SIG_STUN_REQUEST_MAX);
	g_assert_cmpuint(ask(&r, &from, &p).len, ==, 68);
	start(&r);
	pad(&r, SIG_STUN_REQUEST_MAX + 4);
	assert_none(&r, &from, &p);
}

/* Nothing that is not there is told: the kernel did not say which address was asked. */
static void
test_unknown_origin(void)
{
	SigStunPlace p = {.asked_port = 3478, .other_port = 3479};
	WgEndpoint from = client(FALSE), unset = {0};
	SigStunAnswer answer;
	Request r;

	start(&r);
	pad(&r, 100);
	answer = ask(&r, &from, &p);
	g_assert_cmpuint(answer.len, ==, 44);
	assert_address(&answer, RESPONSE_ORIGIN, &unset, 0);
	assert_address(&answer, MAPPED_ADDRESS, &from, 50000);
}

/* ---- CHANGE-REQUEST ---- */

static void
check_change(Kind kind, gboolean v6, guint flags, gsize len)
{
	SigStunPlace p = place(kind, v6);
	WgEndpoint from = client(v6);
	gboolean can = (!(flags & CHANGE_IP) || kind == TWO_ADDRESSES) &&
		       (!(flags & CHANGE_PORT) || kind != ONE_PORT);
	SigStunAnswer answer;
	Request r;

	start(&r);
	add_change(&r, flags);
	pad(&r, len);
	answer = ask(&r, &from, &p);
	if (!can) {
		gsize n = 0;
		const guint8 *types = find(&answer, UNKNOWN_ATTRIBUTES, &n);

		g_assert_cmpuint(error_code(&answer), ==, 420);
		g_assert_cmpuint(answer.len, ==, len < 36 ? 28 : 36);
		g_assert_cmpint(types != NULL, ==, len >= 36);
		if (types)
			g_assert_cmpmem(types, n, ((const guint8[]){0, CHANGE_REQUEST}), 2);
		g_assert_false(answer.other_address || answer.other_port);
		return;
	}
	g_assert_false(answer.error);
	g_assert_true(wg_endpoint_equal(&answer.to, &from));
	g_assert_cmpint(answer.other_address, ==, (flags & CHANGE_IP) != 0);
	g_assert_cmpint(answer.other_port, ==, (flags & CHANGE_PORT) != 0);
	if (len < 116)
		return;
	assert_address(&answer, RESPONSE_ORIGIN, flags & CHANGE_IP ? &p.other.seen : &p.asked.seen,
		       flags & CHANGE_PORT ? 3479 : 3478);
	if (kind == TWO_ADDRESSES)
		assert_address(&answer, OTHER_ADDRESS, &p.other.seen, 3479);
}

/* Table 1 of RFC 5780 §6.1 with what each kind of place can do, and each size of a refusal. */
static void
test_change(void)
{
	static const gsize lengths[] = {28, 32, 36, 40, 68, 116, 200};

	for (Kind kind = ONE_PORT; kind <= TWO_ADDRESSES; kind++)
		for (guint flags = 0; flags < 8; flags++)
			for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
				check_change(kind, FALSE, flags, lengths[i]);
				check_change(kind, TRUE, flags, lengths[i]);
			}
}

static void
test_change_malformed(void)
{
	SigStunPlace p = place(TWO_ADDRESSES, FALSE);
	WgEndpoint from = client(FALSE);
	Request r;

	for (gsize len = 1; len <= 8; len++) {
		if (len == 4)
			continue;
		start(&r);
		add(&r, CHANGE_REQUEST, "\0\0\0\6\0\0\0", len);
		assert_error(&r, &from, &p, 400);
	}
	start(&r);
	add(&r, CHANGE_REQUEST, NULL, 0); /* 24 bytes: an error has no room */
	assert_none(&r, &from, &p);
}

/* ---- RESPONSE-PORT ---- */

static void
test_response_port(void)
{
	static const struct {
		guint16 port;
		gboolean obeyed;
	} table[] = {{0, FALSE},   {7, FALSE},	 {19, FALSE},	{53, FALSE},
		     {123, FALSE}, {443, FALSE}, {1023, FALSE}, {1024, TRUE},
		     {3478, TRUE}, {3479, TRUE}, {65535, TRUE}, {50000, TRUE}};
	SigStunPlace p = place(TWO_ADDRESSES, FALSE);
	WgEndpoint from = client(FALSE);

	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		Request r;
		SigStunAnswer answer;

		start(&r);
		add_response_port(&r, table[i].port);
		if (!table[i].obeyed) {
			assert_error(&r, &from, &p, 400);
			continue;
		}
		answer = ask(&r, &from, &p);
		g_assert_false(answer.error || answer.other_address || answer.other_port);
		g_assert_cmpuint(answer.len, ==, 32);
		g_assert_cmpuint(wg_endpoint_port(&answer.to), ==, table[i].port);
		assert_address(&answer, XOR_MAPPED_ADDRESS, &from, 50000);
	}
}

/* Who asks from a port below 1024 may have the answer there. */
static void
test_response_port_own(void)
{
	SigStunPlace p = place(TWO_PORTS, FALSE);
	WgEndpoint from = ep("198.51.100.7:53");
	Request r;

	start(&r);
	add_response_port(&r, 53);
	g_assert_cmpuint(ask_to_port(&r, &from, &p), ==, 53);
	start(&r);
	add_response_port(&r, 123);
	assert_error(&r, &from, &p, 400);
}

static void
test_response_port_forms(void)
{
	SigStunPlace p = place(TWO_ADDRESSES, FALSE);
	WgEndpoint from = client(FALSE);
	Request r;

	start(&r);
	add(&r, RESPONSE_PORT, "\x9c\x40", 2); /* without what is reserved */
	g_assert_cmpuint(ask_to_port(&r, &from, &p), ==, 40000);
	for (gsize len = 1; len <= 8; len++) {
		if (len == 2 || len == 4)
			continue;
		start(&r);
		add(&r, RESPONSE_PORT, "\x9c\x40\0\0\0\0\0", len);
		assert_error(&r, &from, &p, 400);
	}
	/* RFC 5780 §6.1, §7.5 */
	start(&r);
	add_response_port(&r, 40000);
	pad(&r, 100);
	assert_error(&r, &from, &p, 400);
	start(&r);
	pad(&r, 100);
	add_response_port(&r, 40000);
	assert_error(&r, &from, &p, 400);
	/* but with other filler */
	start(&r);
	add_response_port(&r, 40000);
	pad_by(&r, SOFTWARE, 68);
	g_assert_cmpuint(ask(&r, &from, &p).len, ==, 68);
}

/* Both: it leaves from elsewhere and goes elsewhere; a refusal of one refuses all. */
static void
test_change_and_port(void)
{
	SigStunPlace two = place(TWO_ADDRESSES, FALSE), one = place(TWO_PORTS, FALSE);
	WgEndpoint from = client(FALSE);
	SigStunAnswer answer;
	Request r;

	start(&r);
	add_response_port(&r, 40000);
	add_change(&r, CHANGE_IP | CHANGE_PORT);
	answer = ask(&r, &from, &two);
	g_assert_true(!answer.error && answer.other_address && answer.other_port);
	g_assert_cmpuint(wg_endpoint_port(&answer.to), ==, 40000);
	g_assert_cmpuint(answer.len, ==, 32);
	assert_error(&r, &from, &one, 420);
	start(&r);
	add_response_port(&r, 53);
	add_change(&r, CHANGE_IP | CHANGE_PORT);
	assert_error(&r, &from, &two, 400);
}

/* ---- ourselves ---- */

/* A source that is one of our own sockets gets nothing, and no RESPONSE-PORT leads to one. */
static void
test_own(void)
{
	static const char *const own[] = {"10.0.0.4", "203.0.113.4", "10.0.0.5", "203.0.113.5"};
	SigStunPlace p = place(TWO_ADDRESSES, FALSE);
	Request plain, to3478, to3479, to3480;

	start(&plain);
	start(&to3478);
	add_response_port(&to3478, 3478);
	start(&to3479);
	add_response_port(&to3479, 3479);
	start(&to3480);
	add_response_port(&to3480, 3480);
	for (gsize i = 0; i < G_N_ELEMENTS(own); i++) {
		WgEndpoint from = ep(own[i]);

		wg_endpoint_set_port(&from, 3478);
		assert_none(&plain, &from, &p);
		assert_none(&to3480, &from, &p);
		wg_endpoint_set_port(&from, 3479);
		assert_none(&plain, &from, &p);
		wg_endpoint_set_port(&from, 3480); /* an agent on the server's host */
		ask(&plain, &from, &p);
		assert_error(&to3478, &from, &p, 400);
		assert_error(&to3479, &from, &p, 400);
		ask(&to3480, &from, &p);
	}
}

/* Another STUN server as the source is answered: it drops responses, as we do. Nobody has port 0.
 */
static void
test_sources(void)
{
	static const char *const sources[] = {"198.51.100.7:3478", "198.51.100.7:7",
					      "198.51.100.7:19",   "198.51.100.7:53",
					      "198.51.100.7:443",  "198.51.100.7:65535"};
	SigStunPlace p = place(TWO_ADDRESSES, FALSE), alone = place(ONE_PORT, FALSE);
	WgEndpoint from = ep("198.51.100.7");
	Request r;

	start(&r);
	for (gsize i = 0; i < G_N_ELEMENTS(sources); i++) {
		WgEndpoint source = ep(sources[i]);

		g_assert_cmpuint(ask_to_port(&r, &source, &p), ==, wg_endpoint_port(&source));
	}
	assert_none(&r, &from, &p);
	assert_none(&r, &from, &alone);
}

/* ---- others ---- */

/* Unknown attributes are named as far as there is room; in between understood and optional ones. */
static void
test_unknown(void)
{
	static const struct {
		gsize len, n;
	} table[] = {{48, 3}, {52, 3}, {36, 2}, {32, 0}, {28, 0}};
	SigStunPlace p = place(TWO_ADDRESSES, FALSE);
	WgEndpoint from = client(FALSE);

	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		SigStunAnswer answer;
		const guint8 *types;
		gsize n = 0;
		Request r;

		start(&r);
		add(&r, 0x7fff, NULL, 0);
		if (table[i].len >= 32)
			add(&r, 0x0002, NULL, 0);
		if (table[i].len >= 32)
			add(&r, 0x0014, NULL, 0);
		pad_by(&r, SOFTWARE, table[i].len);
		answer = ask(&r, &from, &p);
		g_assert_cmpuint(error_code(&answer), ==, 420);
		types = find(&answer, UNKNOWN_ATTRIBUTES, &n);
		g_assert_cmpuint(types ? n : 0, ==, 2 * table[i].n);
		if (types)
			g_assert_cmpmem(types, n, ((const guint8[]){0x7f, 0xff, 0, 0x02, 0, 0x14}),
					n);
	}
}

/* However many there are, the answer ends where it must. */
static void
test_many_unknown(void)
{
	SigStunPlace p = place(TWO_ADDRESSES, TRUE);
	WgEndpoint from = client(TRUE);
	SigStunAnswer answer;
	Request r;
	gsize n = 0;

	start(&r);
	for (guint i = 0; i < 200; i++)
		add(&r, (guint16)(0x7000 + i), NULL, 0);
	answer = ask(&r, &from, &p);
	g_assert_cmpuint(answer.len, ==, SIG_STUN_ANSWER_MAX);
	g_assert_nonnull(find(&answer, UNKNOWN_ATTRIBUTES, &n));
	g_assert_cmpuint(n, ==, SIG_STUN_ANSWER_MAX - 32);
	start(&r);
	add(&r, 0x7fff, NULL, 0); /* 24 bytes: an error has no room */
	assert_none(&r, &from, &p);
}

/* Credentials do not matter; an ICE check is a Binding request as well. */
static void
test_ice(void)
{
	SigStunPlace p = place(TWO_PORTS, FALSE);
	WgEndpoint from = client(FALSE);
	Request r;

	start(&r);
	add(&r, 0x0006, "user", 4);
	add(&r, 0x0024, "\1\2\3\4", 4);
	add(&r, 0x0025, NULL, 0);
	add(&r, 0x802a, "\1\2\3\4\5\6\7\10", 8);
	add(&r, 0x0008, NULL, 20);
	add(&r, 0x8028, "\0\0\0\0", 4);
	g_assert_false(ask(&r, &from, &p).error);
}

static void
test_damaged(void)
{
	SigStunPlace p = place(TWO_ADDRESSES, FALSE);
	WgEndpoint from = client(FALSE);
	Request whole, r;

	start(&whole);
	add_change(&whole, 0);
	add(&whole, SOFTWARE, "x", 1);
	for (gsize len = 0; len < whole.len; len++) {
		r = whole;
		r.len = len;
		assert_none(&r, &from, &p);
	}
	r = whole;
	r.len += 4; /* more than it says */
	assert_none(&r, &from, &p);
	r = whole;
	r.b[22] = 1; /* an attribute beyond the end */
	assert_none(&r, &from, &p);
	r = whole;
	r.b[7] ^= 1; /* the cookie */
	assert_none(&r, &from, &p);
	for (guint type = 0; type < 0x4000; type++) {
		r = whole;
		r.b[0] = (guint8)(type >> 8);
		r.b[1] = (guint8)type;
		if (type != 0x0001)
			assert_none(&r, &from, &p);
	}
}

/* ---- addresses ---- */

static GArray *
endpoints(const char *const *texts)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (gsize i = 0; texts[i]; i++) {
		WgEndpoint one = ep(texts[i]);

		g_array_append_val(out, one);
	}
	return out;
}

static char *
pairs_text(const char *const *texts)
{
	g_autoptr(GArray) addresses = endpoints(texts);
	g_autoptr(GArray) pairs = sig_stun_pairs(addresses);
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < pairs->len; i++) {
		const SigStunPair *pair = &g_array_index(pairs, SigStunPair, i);
		char text[WG_ENDPOINT_STRLEN];

		g_string_append_printf(out, "%s%s", i ? " " : "",
				       wg_endpoint_format(&pair->first, text));
		if (wg_endpoint_is_set(&pair->second))
			g_string_append_printf(out, "+%s", wg_endpoint_format(&pair->second, text));
	}
	return g_string_free(out, FALSE);
}

static void
test_pairs(void)
{
	static const struct {
		const char *addresses[6], *pairs;
	} table[] = {
		{{NULL}, ""},
		{{"192.0.2.1:3478"}, "192.0.2.1:3478"},
		{{"192.0.2.1:3478", "192.0.2.2:3478"}, "192.0.2.1:3478+192.0.2.2:3478"},
		{{"192.0.2.1:3478", "192.0.2.2:3480"}, "192.0.2.1:3478 192.0.2.2:3480"},
		{{"192.0.2.1:3478", "192.0.2.1:3478"}, "192.0.2.1:3478 192.0.2.1:3478"},
		{{"192.0.2.1:3478", "[2001:db8::1]:3478"}, "192.0.2.1:3478 [2001:db8::1]:3478"},
		{{"0.0.0.0:3478", "192.0.2.2:3478"}, "0.0.0.0:3478 192.0.2.2:3478"},
		{{"[::]:3478", "[2001:db8::1]:3478"}, "[::]:3478 [2001:db8::1]:3478"},
		{{"192.0.2.1:3478", "[2001:db8::1]:3478", "192.0.2.2:3478", "[2001:db8::2]:3478"},
		 "192.0.2.1:3478+192.0.2.2:3478 [2001:db8::1]:3478+[2001:db8::2]:3478"},
		{{"192.0.2.1:3478", "192.0.2.2:3478", "192.0.2.3:3478", "192.0.2.4:3478",
		  "192.0.2.5:3478"},
		 "192.0.2.1:3478+192.0.2.2:3478 192.0.2.3:3478+192.0.2.4:3478 192.0.2.5:3478"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *text = pairs_text(table[i].addresses);

		g_assert_cmpstr(text, ==, table[i].pairs);
	}
}

static void
test_external(void)
{
	static const char *const at[] = {"10.0.0.4:3478", "[::]:3478", NULL};
	static const char *const texts[] = {"10.0.0.4=203.0.113.4", " fd00::4 = 2001:db8::4 ",
					    NULL};
	g_autoptr(GArray) stun = endpoints(at);
	g_autoptr(GArray) externals = g_array_new(FALSE, FALSE, sizeof(SigStunExternal));
	g_autoptr(GError) error = NULL;
	WgEndpoint unset = {0}, out, in = ep("10.0.0.4:3478"), other = ep("10.0.0.5:3478");

	g_assert_true(sig_stun_external_parse(externals, texts, stun, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(externals->len, ==, 2);
	out = sig_stun_external_of(externals, &in);
	in = ep("203.0.113.4:3478");
	g_assert_true(wg_endpoint_equal(&out, &in));
	in = ep("fd00::4");
	out = sig_stun_external_of(externals, &in);
	in = ep("2001:db8::4");
	g_assert_true(wg_endpoint_equal(&out, &in));
	out = sig_stun_external_of(externals, &other);
	g_assert_true(wg_endpoint_equal(&out, &other));
	out = sig_stun_external_of(externals, &unset);
	g_assert_false(wg_endpoint_is_set(&out));
}

/* One line that names the value and what to do. */
static void
test_external_wrong(void)
{
	static const struct {
		const char *texts[3], *words;
	} table[] = {
		{{""}, "LOCAL=PUBLIC"},
		{{"10.0.0.4"}, "LOCAL=PUBLIC"},
		{{"10.0.0.4="}, "LOCAL=PUBLIC"},
		{{"=203.0.113.4"}, "LOCAL=PUBLIC"},
		{{"10.0.0.4=203.0.113.4=1"}, "LOCAL=PUBLIC"},
		{{"10.0.0.4:3478=203.0.113.4:3478"}, "LOCAL=PUBLIC"},
		{{"10.0.0.4=host.example"}, "LOCAL=PUBLIC"},
		{{"10.0.0.4=2001:db8::4"}, "one family"},
		{{"0.0.0.0=203.0.113.4"}, "not all"},
		{{"10.0.0.4=0.0.0.0"}, "reach"},
		{{"10.0.0.4=127.0.0.1"}, "reach"},
		{{"10.0.0.4=224.0.0.1"}, "reach"},
		{{"10.0.0.9=203.0.113.4"}, "--stun"},
		{{"fd00::4=2001:db8::4"}, "--stun"},
		{{"10.0.0.4=203.0.113.4", "10.0.0.4=203.0.113.5"}, "LOCAL is given twice"},
		{{"10.0.0.4=203.0.113.4", "10.0.0.5=203.0.113.4"}, "PUBLIC is given twice"},
	};
	static const char *const at[] = {"10.0.0.4:3478", "10.0.0.5:3478", NULL};
	g_autoptr(GArray) stun = endpoints(at);

	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(SigStunExternal));
		g_autoptr(GError) error = NULL;
		const char *last = table[i].texts[table[i].texts[1] ? 1 : 0];

		g_assert_false(sig_stun_external_parse(out, table[i].texts, stun, &error));
		g_assert_nonnull(strstr(error->message, table[i].words));
		g_assert_nonnull(strstr(error->message, "--stun-external "));
		g_assert_nonnull(strstr(error->message, last));
		g_assert_null(strchr(error->message, '\n'));
	}
}

/* The same from the file; flags win over it. */
static void
test_config(void)
{
	static const char text[] = "[signald]\nstun=10.0.0.4:3478;10.0.0.5:3478\n"
				   "stun-external=10.0.0.4=203.0.113.4;10.0.0.5=203.0.113.5\n";
	const SigArgs flags = {.stun_external = (const char *const[]){"10.0.0.5=192.0.2.5", NULL}};
	const SigArgs none = {.stun = (const char *const[]){"none", NULL}};
	g_autoptr(GError) error = NULL;
	g_autoptr(SigConfig) file =
		sig_config_parse(text, strlen(text), "f", &(SigArgs){0}, &error);
	g_autoptr(SigConfig) both = sig_config_parse(text, strlen(text), "f", &flags, NULL);
	WgEndpoint in = ep("10.0.0.5:3478"), out;

	g_assert_no_error(error);
	g_assert_cmpuint(file->stun_external->len, ==, 2);
	out = sig_stun_external_of(file->stun_external, &in);
	in = ep("203.0.113.5:3478");
	g_assert_true(wg_endpoint_equal(&out, &in));
	g_assert_cmpuint(both->stun_external->len, ==, 1);
	/* an address for what is not served */
	g_assert_null(sig_config_parse(text, strlen(text), "f", &none, &error));
	g_assert_nonnull(strstr(error->message, "10.0.0.4=203.0.113.4"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/stun/sizes", test_sizes);
	g_test_add_func("/sig/stun/edges", test_edges);
	g_test_add_func("/sig/stun/filler", test_filler);
	g_test_add_func("/sig/stun/unknown-origin", test_unknown_origin);
	g_test_add_func("/sig/stun/change", test_change);
	g_test_add_func("/sig/stun/change-malformed", test_change_malformed);
	g_test_add_func("/sig/stun/response-port", test_response_port);
	g_test_add_func("/sig/stun/response-port-own", test_response_port_own);
	g_test_add_func("/sig/stun/response-port-forms", test_response_port_forms);
	g_test_add_func("/sig/stun/change-and-port", test_change_and_port);
	g_test_add_func("/sig/stun/own", test_own);
	g_test_add_func("/sig/stun/sources", test_sources);
	g_test_add_func("/sig/stun/unknown", test_unknown);
	g_test_add_func("/sig/stun/many-unknown", test_many_unknown);
	g_test_add_func("/sig/stun/ice", test_ice);
	g_test_add_func("/sig/stun/damaged", test_damaged);
	g_test_add_func("/sig/stun/pairs", test_pairs);
	g_test_add_func("/sig/stun/external", test_external);
	g_test_add_func("/sig/stun/external-wrong", test_external_wrong);
	g_test_add_func("/sig/stun/config", test_config);
	return g_test_run();
}
