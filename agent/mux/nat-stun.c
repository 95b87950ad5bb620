/* SPDX-License-Identifier: MIT */
/*
 * libnice's stun/ library is not used here: its StunAgent keeps 200 transactions (8 kB) and draws
 * the transaction id itself, answers only a parsed request, and logs; ours are pure functions of
 * their arguments. What it builds and what it accepts is held against this file by test-nat-stun.
 */
#include "agent/mux/nat-stun.h"

#include <gnutls/crypto.h>
#include <string.h>

#define HEADER 20u
#define ATTR_HEADER 4u
#define SHA1_LEN 20u
#define SOFTWARE_LEN 100u
#define FINGERPRINT_LEN 4u
#define FINGERPRINT_XOR 0x5354554eu /* RFC 8489 §14.7 */

typedef enum {
	ATTR_MAPPED_ADDRESS = 0x0001,
	ATTR_CHANGE_REQUEST = 0x0003,
	ATTR_USERNAME = 0x0006,
	ATTR_MESSAGE_INTEGRITY = 0x0008,
	ATTR_ERROR_CODE = 0x0009,
	ATTR_XOR_MAPPED_ADDRESS = 0x0020,
	ATTR_USE_CANDIDATE = 0x0025,
	ATTR_PADDING = 0x0026,
	ATTR_RESPONSE_PORT = 0x0027,
	ATTR_SOFTWARE = 0x8022,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_OTHER_ADDRESS = 0x802C,
	ATTR_NOTE = 0xC0A7, /* not registered; PROTOCOL.md */
} Attr;

static guint16
get16(const guint8 *p)
{
	return (guint16)(p[0] << 8 | p[1]);
}

static guint32
get32(const guint8 *p)
{
	return (guint32)get16(p) << 16 | get16(p + 2);
}

static void
put16(guint8 *p, gsize value)
{
	p[0] = (guint8)(value >> 8);
	p[1] = (guint8)value;
}

static void
put32(guint8 *p, guint32 value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

static gsize
padded(gsize len)
{
	return (len + 3) & ~(gsize)3;
}

/* CRC-32 of ITU V.42, bit by bit: a hundred bytes at a time need no table. */
static guint32
crc32(const guint8 *p, gsize len)
{
	guint32 crc = 0xffffffff;

	for (gsize i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* HMAC over what precedes the attribute at `at`, the header's length counting up to the attribute's
 * end (RFC 8489 §14.5). */
static gboolean
integrity(const guint8 *msg, gsize at, const char *password, guint8 out[SHA1_LEN])
{
	guint8 header[HEADER];
	gnutls_hmac_hd_t hmac;
	gboolean ok;

	if (gnutls_hmac_init(&hmac, GNUTLS_MAC_SHA1, password, strlen(password)) < 0)
		return FALSE;
	memcpy(header, msg, HEADER);
	put16(header + 2, at + ATTR_HEADER + SHA1_LEN - HEADER);
	ok = gnutls_hmac(hmac, header, HEADER) == 0 &&
	     (at == HEADER || gnutls_hmac(hmac, msg + HEADER, at - HEADER) == 0);
	gnutls_hmac_deinit(hmac, out);
	return ok;
}

/* ---- reading ---- */

gboolean
nat_stun_is_message(const guint8 *msg, gsize len)
{
	return len >= HEADER && (msg[0] & 0xc0) == 0 && get32(msg + 4) == NAT_STUN_MAGIC &&
	       len % 4 == 0 && get16(msg + 2) == len - HEADER;
}

gboolean
nat_stun_is_request(const guint8 *msg, gsize len)
{
	/* RFC 8489 §5: the class is in two bits of the type */
	return nat_stun_is_message(msg, len) && (get16(msg) & 0x0110) == 0;
}

gboolean
nat_stun_is_response(const guint8 *msg, gsize len)
{
	return nat_stun_is_message(msg, len) && (get16(msg) & 0x0100) != 0;
}

/* Steps to the next attribute: *at is 0 at first. FALSE at the end, with *at == len, or where an
 * attribute leaves the message, with *at anything else. */
static gboolean
next_attr(const guint8 *msg, gsize len, gsize *at, guint16 *type, gsize *value_len)
{
	*at = *at == 0 ? HEADER : *at + ATTR_HEADER + padded(*value_len);
	if (len - *at < ATTR_HEADER)
		return FALSE;
	*type = get16(msg + *at);
	*value_len = get16(msg + *at + 2);
	if (padded(*value_len) > len - *at - ATTR_HEADER) {
		*at = 0;
		return FALSE;
	}
	return TRUE;
}

/* RFC 8489 §14.1 and §14.2: the port is XORed with the cookie's top half, the address with the
 * cookie and the transaction id. */
static gboolean
read_address(const guint8 *msg, const guint8 *value, gsize len, gboolean xored, WgEndpoint *out)
{
	static const guint8 zero[16];
	const guint8 *mask = xored ? msg + 4 : zero;
	guint8 addr[16];
	gsize addr_len = len > 1 && value[1] == 1 ? 4 : 16;

	if (len != 4 + addr_len || (value[1] != 1 && value[1] != 2))
		return FALSE;
	for (gsize i = 0; i < addr_len; i++)
		addr[i] = value[4 + i] ^ mask[i];
	return wg_endpoint_from_bytes(out, addr, addr_len, get16(value + 2) ^ get16(mask));
}

static void
read_attr(const guint8 *msg, guint16 type, const guint8 *value, gsize len, NatStun *out)
{
	WgEndpoint mapped;

	if (type == ATTR_USERNAME && !out->username) {
		out->username = (const char *)value;
		out->username_len = len;
	} else if (type == ATTR_XOR_MAPPED_ADDRESS) {
		if (read_address(msg, value, len, TRUE, &mapped))
			out->mapped = mapped;
	} else if (type == ATTR_MAPPED_ADDRESS && !wg_endpoint_is_set(&out->mapped)) {
		if (read_address(msg, value, len, FALSE, &mapped))
			out->mapped = mapped;
	} else if (type == ATTR_OTHER_ADDRESS) {
		if (read_address(msg, value, len, FALSE, &mapped))
			out->other = mapped;
	} else if (type == ATTR_ERROR_CODE && len >= 4) {
		/* RFC 8489 §14.8: the hundreds in three bits, the rest in a byte */
		guint code = (value[2] & 7u) * 100 + value[3];

		out->error_code = value[3] < 100 && code >= 300 && code < 700 ? code : 0;
	} else if (type == ATTR_USE_CANDIDATE) {
		out->use_candidate = TRUE;
	} else if (type == ATTR_NOTE && len == NAT_STUN_NOTE_LEN) {
		out->note = value;
	}
}

/* A FINGERPRINT that is wrong or not the last attribute: another protocol's packet that looks like
 * ours (RFC 8489 §7.3). */
static gboolean
fingerprint_ok(const guint8 *msg, gsize len, gsize at, gsize value_len)
{
	return value_len == FINGERPRINT_LEN && at + ATTR_HEADER + FINGERPRINT_LEN == len &&
	       get32(msg + at + ATTR_HEADER) == (crc32(msg, at) ^ FINGERPRINT_XOR);
}

gboolean
nat_stun_parse(const guint8 *msg, gsize len, NatStun *out)
{
	guint16 type;
	gsize at = 0, value_len = 0;

	memset(out, 0, sizeof *out);
	if (!nat_stun_is_message(msg, len))
		return FALSE;
	type = get16(msg);
	out->klass = (NatStunClass)((type >> 7 & 2) | (type >> 4 & 1));
	out->method = (guint16)((type & 0xf) | (type >> 1 & 0x70) | (type >> 2 & 0xf80));
	memcpy(out->id, msg + 8, NAT_STUN_ID_LEN);
	while (next_attr(msg, len, &at, &type, &value_len)) {
		if (type == ATTR_FINGERPRINT) {
			out->has_fingerprint = fingerprint_ok(msg, len, at, value_len);
			if (!out->has_fingerprint)
				break;
		} else if (out->has_integrity) {
			continue; /* not covered by it: to be ignored (RFC 8489 §14.5) */
		} else if (type == ATTR_MESSAGE_INTEGRITY) {
			if (value_len != SHA1_LEN)
				break;
			out->has_integrity = TRUE;
		} else {
			read_attr(msg, type, msg + at + ATTR_HEADER, value_len, out);
		}
	}
	if (at == len)
		return TRUE;
	memset(out, 0, sizeof *out);
	return FALSE;
}

gboolean
nat_stun_receiver_ufrag(const NatStun *stun, char *out, gsize size)
{
	const char *colon = NULL;
	gsize len;

	if (stun->username)
		colon = memchr(stun->username, ':', stun->username_len);
	len = colon ? (gsize)(colon - stun->username) : 0;
	if (len == 0 || len >= size || memchr(stun->username, '\0', len))
		return FALSE;
	memcpy(out, stun->username, len);
	out[len] = '\0';
	return TRUE;
}

gboolean
nat_stun_check_integrity(const guint8 *msg, gsize len, const char *password)
{
	guint8 expected[SHA1_LEN];
	guint16 type;
	gsize at = 0, value_len = 0;

	if (!nat_stun_is_message(msg, len))
		return FALSE;
	while (next_attr(msg, len, &at, &type, &value_len)) {
		if (type != ATTR_MESSAGE_INTEGRITY)
			continue;
		return value_len == SHA1_LEN && integrity(msg, at, password, expected) &&
		       gnutls_memcmp(expected, msg + at + ATTR_HEADER, SHA1_LEN) == 0;
	}
	return FALSE;
}

/* ---- building ---- */

typedef struct {
	guint8 *buf;
	gsize size, len; /* len 0: did not fit */
} Writer;

static Writer
begin(guint8 *buf, gsize size, guint16 type, const guint8 *id)
{
	Writer w = {buf, size, size < HEADER ? 0 : HEADER};

	if (w.len > 0) {
		put16(buf, type);
		put16(buf + 2, 0);
		put32(buf + 4, NAT_STUN_MAGIC);
		memcpy(buf + 8, id, NAT_STUN_ID_LEN);
	}
	return w;
}

/* Room for a value, zeroed with its padding; the header's length then covers it. NULL when it does
 * not fit, now or before. */
static guint8 *
append(Writer *w, Attr type, gsize len)
{
	guint8 *attr = w->buf + w->len;
	gsize total = ATTR_HEADER + padded(len);

	if (w->len == 0 || len > G_MAXUINT16 || total > w->size - w->len ||
	    w->len + total - HEADER > G_MAXUINT16) {
		w->len = 0;
		return NULL;
	}
	memset(attr, 0, total);
	put16(attr, type);
	put16(attr + 2, len);
	w->len += total;
	put16(w->buf + 2, w->len - HEADER);
	return attr + ATTR_HEADER;
}

static void
append_address(Writer *w, const WgEndpoint *mapped)
{
	gsize len = 0;
	const guint8 *addr = wg_endpoint_bytes(mapped, &len);
	guint8 *value = addr ? append(w, ATTR_XOR_MAPPED_ADDRESS, 4 + len) : NULL;

	if (!value) {
		w->len = 0;
		return;
	}
	value[1] = len == 4 ? 1 : 2;
	put16(value + 2, wg_endpoint_port(mapped) ^ (NAT_STUN_MAGIC >> 16));
	for (gsize i = 0; i < len; i++)
		value[4 + i] = addr[i] ^ w->buf[4 + i];
}

static gsize
seal(Writer *w, const char *password)
{
	guint8 *value = append(w, ATTR_MESSAGE_INTEGRITY, SHA1_LEN);

	if (!value || !integrity(w->buf, (gsize)(value - w->buf) - ATTR_HEADER, password, value))
		return 0;
	value = append(w, ATTR_FINGERPRINT, FINGERPRINT_LEN);
	if (!value)
		return 0;
	put32(value, crc32(w->buf, (gsize)(value - w->buf) - ATTR_HEADER) ^ FINGERPRINT_XOR);
	return w->len;
}

static void
append_bytes(Writer *w, Attr type, gconstpointer bytes, gsize len)
{
	guint8 *value = append(w, type, len);

	if (value && len > 0)
		memcpy(value, bytes, len);
}

/* Up to where the integrity goes. */
static Writer
begin_request(guint8 *buf, gsize size, const guint8 *id, const char *username)
{
	Writer w = begin(buf, size, 0x0001, id);

	if (username)
		append_bytes(&w, ATTR_USERNAME, username, strlen(username));
	return w;
}

gsize
nat_stun_build_request(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
		       const char *username, const char *password)
{
	Writer w = begin_request(buf, size, id, username);

	return password ? seal(&w, password) : w.len;
}

gsize
nat_stun_build_request_padded(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
			      const char *username, const char *password, gsize total_len)
{
	gsize tail = password ? 2 * ATTR_HEADER + SHA1_LEN + FINGERPRINT_LEN : 0;
	Writer w = begin_request(buf, MIN(size, total_len), id, username);

	if (total_len % 4 != 0 || total_len > size || w.len == 0 || w.len + tail > total_len)
		return 0;
	if (w.len + tail < total_len)
		append(&w, ATTR_PADDING, total_len - w.len - tail - ATTR_HEADER);
	return password ? seal(&w, password) : w.len;
}

gsize
nat_stun_build_request_to_port(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
			       guint16 port)
{
	Writer w = begin_request(buf, size, id, NULL);
	guint8 *value = append(&w, ATTR_RESPONSE_PORT, 4); /* two bytes of them reserved */

	if (value)
		put16(value, port);
	return w.len;
}

gsize
nat_stun_build_request_discover(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
				guint change)
{
	static const char NAME[] = "nat-agent ";
	Writer w = begin_request(buf, size, id, NULL);
	guint8 *value = change != 0 ? append(&w, ATTR_CHANGE_REQUEST, 4) : NULL;

	if (value)
		put32(value, change);
	value = append(&w, ATTR_SOFTWARE, SOFTWARE_LEN);
	for (gsize i = 0; value && i < SOFTWARE_LEN; i++)
		value[i] = (guint8)NAME[i % (sizeof NAME - 1)];
	return w.len;
}

gsize
nat_stun_build_response(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
			const WgEndpoint *mapped, const char *password)
{
	Writer w = begin(buf, size, 0x0101, id);

	append_address(&w, mapped);
	return password ? seal(&w, password) : w.len;
}

gsize
nat_stun_build_probe(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
		     const char *username, const char *password,
		     const guint8 note[NAT_STUN_NOTE_LEN])
{
	Writer w = begin_request(buf, size, id, username);

	append_bytes(&w, ATTR_NOTE, note, NAT_STUN_NOTE_LEN);
	return seal(&w, password);
}

gsize
nat_stun_build_probe_answer(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
			    const WgEndpoint *mapped, const char *password,
			    const guint8 note[NAT_STUN_NOTE_LEN])
{
	Writer w = begin(buf, size, 0x0101, id);

	append_address(&w, mapped);
	append_bytes(&w, ATTR_NOTE, note, NAT_STUN_NOTE_LEN);
	return seal(&w, password);
}
