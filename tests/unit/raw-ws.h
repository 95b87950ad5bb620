/* SPDX-License-Identifier: MIT */
/*
 * A client of nat-signald byte by byte, for what no library would send: a blocking TCP socket, and
 * on it whatever the test makes up. Every wait has a deadline. A thread may use a Raw of its own.
 */
#pragma once

#include "signaling/sig-login.h"
#include "tests/unit/sig-process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAW_DEADLINE_S 20

/* RFC 6455 §5.2: the first byte of a frame. */
#define RAW_FIN 0x80
#define RAW_CONTINUATION 0x0
#define RAW_TEXT 0x1
#define RAW_BINARY 0x2
#define RAW_CLOSE 0x8
#define RAW_PING 0x9
#define RAW_PONG 0xa

typedef struct {
	int fd;
	GByteArray *in; /* read, and not looked at yet */
	WgKey private, key;
	SigHello hello;
	guint8 op; /* of the last frame read: opcode, payload (NUL-terminated) */
	GByteArray *payload;
} Raw;

/* ---- TCP ---- */

/* from: the local address, NULL: any. */
static inline Raw *
raw_dial_from(const Server *server, const char *from)
{
	const struct timeval deadline = {.tv_sec = RAW_DEADLINE_S};
	struct sockaddr_in address = {.sin_family = AF_INET};
	Raw *raw = g_new0(Raw, 1);
	int one = 1;

	raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(raw->fd, >=, 0);
	if (from) {
		g_assert_cmpint(inet_pton(AF_INET, from, &address.sin_addr), ==, 1);
		g_assert_cmpint(bind(raw->fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	}
	setsockopt(raw->fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
	setsockopt(raw->fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
	setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	address.sin_port = htons(server->port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	g_assert_cmpint(connect(raw->fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	raw->in = g_byte_array_new();
	raw->payload = g_byte_array_new();
	wg_key_generate_private(&raw->private);
	wg_key_public_from_private(&raw->private, &raw->key);
	return raw;
}

static inline Raw *
raw_dial(const Server *server)
{
	return raw_dial_from(server, NULL);
}

static inline void
raw_free(Raw *raw)
{
	close(raw->fd);
	g_byte_array_unref(raw->in);
	g_byte_array_unref(raw->payload);
	g_free(raw);
}

/* FALSE when the server has ended the connection. */
static inline gboolean
raw_send(Raw *raw, gconstpointer data, gsize len)
{
	for (gsize done = 0; done < len;) {
		gssize n = send(raw->fd, (const char *)data + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		g_assert_false(n < 0 && errno == EAGAIN); /* the deadline */
		if (n < 0)
			return FALSE;
		done += (gsize)n;
	}
	return TRUE;
}

/* Reads more. FALSE at the end, which may come as a reset. */
static inline gboolean
raw_fill(Raw *raw)
{
	guint8 buffer[4096];
	gssize n;

	do
		n = recv(raw->fd, buffer, sizeof buffer, 0);
	while (n < 0 && errno == EINTR);
	g_assert_false(n < 0 && errno == EAGAIN); /* the deadline */
	if (n <= 0)
		return FALSE;
	g_byte_array_append(raw->in, buffer, (guint)n);
	return TRUE;
}

/* ---- HTTP ---- */

#define RAW_UPGRADE                                                                                \
	"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"       \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"             \
	"Sec-WebSocket-Protocol: " SIG_WIRE_SUBPROTOCOL "\r\n\r\n"

/* Takes the headers of an answer off what was read (transfer full); NULL: the end came before. */
static inline char *
raw_read_headers(Raw *raw)
{
	for (;;) {
		const char *end = memmem(raw->in->data, raw->in->len, "\r\n\r\n", 4);
		char *out;
		gsize len;

		if (end) {
			len = end + 4 - (char *)raw->in->data;
			out = g_strndup((char *)raw->in->data, len);
			g_byte_array_remove_range(raw->in, 0, (guint)len);
			return out;
		}
		if (!raw_fill(raw))
			return NULL;
	}
}

/* ---- frames ---- */

/* Appends a masked frame. first: FIN and so on, and the opcode. */
static inline void
raw_append_frame(GByteArray *out, guint8 first, gconstpointer payload, gsize len)
{
	static const guint8 mask[4] = {0x11, 0x22, 0x33, 0x44};
	guint8 header[4] = {first, 0x80 | (guint8)len};
	guint at;

	g_assert_cmpuint(len, <=, G_MAXUINT16);
	if (len > 125) {
		header[1] = 0x80 | 126;
		header[2] = (guint8)(len >> 8);
		header[3] = (guint8)len;
	}
	g_byte_array_append(out, header, len > 125 ? 4 : 2);
	g_byte_array_append(out, mask, sizeof mask);
	at = out->len;
	if (len > 0)
		g_byte_array_append(out, payload, (guint)len);
	for (gsize i = 0; i < len; i++)
		out->data[at + i] ^= mask[i & 3];
}

static inline gboolean
raw_send_frame(Raw *raw, guint8 first, gconstpointer payload, gsize len)
{
	g_autoptr(GByteArray) out = g_byte_array_new();

	raw_append_frame(out, first, payload, len);
	return raw_send(raw, out->data, out->len);
}

static inline gboolean
raw_send_text(Raw *raw, const char *text)
{
	return raw_send_frame(raw, RAW_FIN | RAW_TEXT, text, strlen(text));
}

static inline gboolean
raw_send_text_take(Raw *raw, char *text)
{
	g_autofree char *free_later = text;

	return raw_send_text(raw, text);
}

static inline gboolean
raw_send_message(Raw *raw, const WgKey *to, gconstpointer body, gsize len)
{
	g_autoptr(GBytes) frame = sig_wire_encode_binary(to, body, len);

	return raw_send_frame(raw, RAW_FIN | RAW_BINARY, g_bytes_get_data(frame, NULL),
			      g_bytes_get_size(frame));
}

/* Bytes of the frame's header, once they are there; 0: more is needed. */
static inline gsize
raw_header(const Raw *raw, gsize *len)
{
	const guint8 *p = raw->in->data;

	if (raw->in->len < 2)
		return 0;
	g_assert_cmpuint(p[1] & 0x80, ==, 0); /* servers do not mask */
	*len = p[1];
	if (p[1] < 126)
		return 2;
	g_assert_cmpuint(p[1], ==, 126);
	if (raw->in->len < 4)
		return 0;
	*len = (gsize)p[2] << 8 | p[3];
	return 4;
}

/* The next frame, into op and payload. FALSE at the connection's end. */
static inline gboolean
raw_read_frame(Raw *raw)
{
	gsize header, len = 0;

	while (!(header = raw_header(raw, &len)) || raw->in->len < header + len)
		if (!raw_fill(raw))
			return FALSE;
	g_assert_cmpuint(raw->in->data[0] & 0xf0, ==, RAW_FIN);
	raw->op = raw->in->data[0] & 0xf;
	g_byte_array_set_size(raw->payload, 0);
	g_byte_array_append(raw->payload, raw->in->data + header, (guint)len);
	g_byte_array_append(raw->payload, (const guint8 *)"", 1);
	g_byte_array_set_size(raw->payload, (guint)len);
	g_byte_array_remove_range(raw->in, 0, (guint)(header + len));
	return TRUE;
}

/* The next frame that is no ping; pings are answered. */
static inline gboolean
raw_next(Raw *raw)
{
	while (raw_read_frame(raw)) {
		if (raw->op != RAW_PING)
			return TRUE;
		raw_send_frame(raw, RAW_FIN | RAW_PONG, raw->payload->data, raw->payload->len);
	}
	return FALSE;
}

/* The next control frame of this type; others, and messages, are skipped. */
static inline void
raw_expect(Raw *raw, SigFrameType type, SigFrame *out)
{
	do {
		sig_frame_clear(out);
		g_assert_true(raw_next(raw));
		g_assert_cmpuint(raw->op, !=, RAW_CLOSE);
		if (raw->op == RAW_TEXT)
			g_assert_true(sig_wire_decode((char *)raw->payload->data, raw->payload->len,
						      out, NULL));
	} while (out->type != type);
}

/* ---- a connection's beginning and end ---- */

static inline void
raw_upgrade(Raw *raw)
{
	g_autofree char *answer = NULL;
	g_auto(SigFrame) frame = {0};

	g_assert_true(raw_send(raw, RAW_UPGRADE, strlen(RAW_UPGRADE)));
	answer = raw_read_headers(raw);
	g_assert_nonnull(answer);
	g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 101 "));
	raw_expect(raw, SIG_FRAME_HELLO, &frame);
	raw->hello = frame.hello;
}

static inline void
raw_log_in(Raw *raw)
{
	g_auto(SigFrame) frame = {0};

	raw_send_text_take(raw, sig_login_answer(&raw->hello, &raw->private, "localhost:80", NULL));
	raw_expect(raw, SIG_FRAME_WELCOME, &frame);
}

/* Upgraded, and hello read. */
static inline Raw *
raw_open(const Server *server)
{
	Raw *raw = raw_dial(server);

	raw_upgrade(raw);
	return raw;
}

static inline Raw *
raw_new(const Server *server)
{
	Raw *raw = raw_open(server);

	raw_log_in(raw);
	return raw;
}

static inline void
raw_name(Raw *raw, const Raw *other)
{
	raw_send_text_take(raw, sig_wire_encode_interest(&other->key, 1, NULL, 0));
}

/* The connection ends, and nothing but frames that were under way comes before: no close frame. */
static inline void
raw_expect_end(Raw *raw)
{
	while (raw_next(raw))
		g_assert_cmpuint(raw->op, !=, RAW_CLOSE);
}

/* A close frame with this code comes, then TCP's end. */
static inline void
raw_expect_close(Raw *raw, guint code)
{
	do
		g_assert_true(raw_next(raw));
	while (raw->op != RAW_CLOSE);
	g_assert_cmpuint(raw->payload->len, >=, 2);
	g_assert_cmpuint(raw->payload->data[0] << 8 | raw->payload->data[1], ==, code);
	raw_send_frame(raw, RAW_FIN | RAW_CLOSE, raw->payload->data, 2);
	shutdown(raw->fd, SHUT_WR); /* the server may be inside a frame, and not see the answer */
	raw_expect_end(raw);
}

/* The same after the error frame that goes with it. */
static inline void
raw_expect_error(Raw *raw, SigClose why)
{
	g_auto(SigFrame) frame = {0};

	raw_expect(raw, SIG_FRAME_ERROR, &frame);
	g_assert_cmpstr(frame.error.code, ==, sig_close_code(why));
	raw_expect_close(raw, why);
}
