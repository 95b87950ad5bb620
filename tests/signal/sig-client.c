/* SPDX-License-Identifier: MIT */
/* nat-signald's protocol (signaling/PROTOCOL.md), an agent's side. */
#include <string.h>

#include "signaling/sig-login.h"
#include "signaling/sig-wire.h"
#include "tests/signal/client.h"
#include "tests/signal/ws.h"

#define AUTHORITY "signal.test:80"
#define CLOSE_NORMAL 1000

enum { UPGRADING, GREETED, LOGGED_IN, CLOSING };

static void
write_frame(Client *client, guint op, gconstpointer data, gsize len)
{
	static GByteArray *frame;

	if (!frame)
		frame = g_byte_array_new();
	g_byte_array_set_size(frame, 0);
	ws_append(frame, op, TRUE, data, len);
	stream_write(&client->stream, frame->data, frame->len);
}

static void
write_text_take(Client *client, char *text)
{
	write_frame(client, WS_TEXT, text, strlen(text));
	g_free(text);
}

static void
start(Client *client)
{
	static const char request[] = "GET / HTTP/1.1\r\n"
				      "Host: signal.test\r\n"
				      "Upgrade: websocket\r\n"
				      "Connection: Upgrade\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				      "Sec-WebSocket-Version: 13\r\n"
				      "Sec-WebSocket-Protocol: " SIG_WIRE_SUBPROTOCOL "\r\n\r\n";

	stream_write(&client->stream, request, sizeof request - 1);
}

/* ---- in ---- */

static gssize
take_upgrade(Client *client, const guint8 *data, gsize len)
{
	static const char ok[] = "HTTP/1.1 101 ";
	const guint8 *end = memmem(data, len, "\r\n\r\n", 4);

	if (!end)
		return len < 4096 ? 0 : -1;
	if (len < sizeof ok || memcmp(data, ok, sizeof ok - 1) != 0)
		return -1;
	client->state = GREETED;
	return end + 4 - data;
}

static gboolean
take_hello(Client *client, const SigHello *hello)
{
	char *login = sig_login_answer(hello, &client->private_key, AUTHORITY, NULL);

	if (!login || client->state != GREETED)
		return FALSE;
	client->state = LOGGED_IN;
	write_text_take(client, login);
	client->funcs->login_sent(client);
	return TRUE;
}

static void
take_presence(Client *client, const SigKeys *keys, gboolean online)
{
	for (guint i = 0; i < keys->n && client->funcs->presence; i++)
		client->funcs->presence(client, &keys->keys[i], online);
}

static gboolean
take_text(Client *client, const char *text, gsize len)
{
	const ClientFuncs *funcs = client->funcs;
	g_auto(SigFrame) frame = {0};

	if (!sig_wire_decode(text, len, &frame, NULL))
		return FALSE;
	switch (frame.type) {
	case SIG_FRAME_HELLO:
		return take_hello(client, &frame.hello);
	case SIG_FRAME_WELCOME:
		client->ready = TRUE;
		funcs->ready(client);
		return TRUE;
	case SIG_FRAME_PRESENCE:
		take_presence(client, &frame.presence.online, TRUE);
		take_presence(client, &frame.presence.offline, FALSE);
		return TRUE;
	case SIG_FRAME_UNAVAILABLE:
		for (guint i = 0; i < frame.unavailable.to.n && funcs->unavailable; i++)
			funcs->unavailable(client, &frame.unavailable.to.keys[i]);
		return TRUE;
	case SIG_FRAME_ERROR:
		if (funcs->error)
			funcs->error(client, frame.error.code);
		return TRUE;
	case SIG_FRAME_DRAIN:
		if (funcs->drain)
			funcs->drain(client, frame.drain.within_s);
		return TRUE;
	case SIG_FRAME_TURN:
		return TRUE;
	case SIG_FRAME_UNKNOWN:
	case SIG_FRAME_LOGIN:
	case SIG_FRAME_INTEREST:
	case SIG_FRAME_TURN_WANTED:
		break;
	}
	return FALSE;
}

static gboolean
take_binary(Client *client, const guint8 *data, gsize len)
{
	WgKey from;
	const guint8 *body;
	gsize body_len;

	if (!sig_wire_decode_binary(data, len, &from, &body, &body_len, NULL))
		return FALSE;
	if (client->funcs->message)
		client->funcs->message(client, &from, body, body_len);
	return TRUE;
}

static gboolean
take_frame(Client *client, const WsFrame *frame)
{
	switch (frame->op) {
	case WS_TEXT:
		return frame->final && take_text(client, (const char *)frame->data, frame->len);
	case WS_BINARY:
		return frame->final && take_binary(client, frame->data, frame->len);
	case WS_PING:
		write_frame(client, WS_PONG, frame->data, frame->len);
		return TRUE;
	case WS_PONG:
		return TRUE;
	case WS_CLOSE:
		if (frame->len >= 2)
			client->close_code = (guint)frame->data[0] << 8 | frame->data[1];
		if (client->state != CLOSING) /* else it answers ours */
			write_frame(client, WS_CLOSE, frame->data, MIN(frame->len, 2));
		client->state = CLOSING;
		return TRUE;
	default:
		return FALSE;
	}
}

static gssize
take(Client *client, const guint8 *data, gsize len)
{
	WsFrame frame;
	gssize n;

	if (client->state == UPGRADING)
		return take_upgrade(client, data, len);
	n = ws_parse(data, len, &frame);
	return n > 0 && !take_frame(client, &frame) ? -1 : n;
}

/* ---- out ---- */

static void
make_message(guint8 *message, const WgKey *to, const guint8 *body, gsize len)
{
	g_assert(len <= SIG_WIRE_BODY_MAX);
	message[0] = SIG_WIRE_BINARY_VERSION;
	memcpy(message + 1, to->b, sizeof to->b);
	memcpy(message + SIG_WIRE_BINARY_HEADER, body, len);
}

static void
send_message(Client *client, const WgKey *to, const guint8 *body, gsize len)
{
	static guint8 message[SIG_WIRE_MAX];

	make_message(message, to, body, len);
	write_frame(client, WS_BINARY, message, SIG_WIRE_BINARY_HEADER + len);
}

const Protocol sig_protocol = {start, take, send_message};

void
sig_client_interest(Client *client, const WgKey *add, gsize n_add, const WgKey *remove,
		    gsize n_remove)
{
	write_text_take(client, sig_wire_encode_interest(add, n_add, remove, n_remove));
}

void
sig_client_send_pieces(Client *client, const WgKey *to, const guint8 *body, gsize len, guint pieces)
{
	static guint8 message[SIG_WIRE_MAX];
	gsize whole = SIG_WIRE_BINARY_HEADER + len;

	make_message(message, to, body, len);
	for (guint i = 0; i < pieces; i++) {
		g_autoptr(GByteArray) frame = g_byte_array_new();
		gsize at = whole * i / pieces, end = whole * (i + 1) / pieces;

		ws_append(frame, i == 0 ? WS_BINARY : WS_CONTINUATION, i + 1 == pieces,
			  message + at, end - at);
		stream_write(&client->stream, frame->data, frame->len);
	}
}

void
sig_client_send_half(Client *client)
{
	g_autoptr(GByteArray) frame = g_byte_array_new();
	guint8 message[512] = {SIG_WIRE_BINARY_VERSION};

	ws_append(frame, WS_BINARY, TRUE, message, sizeof message);
	stream_write(&client->stream, frame->data, frame->len / 2);
}

void
sig_client_ping(Client *client)
{
	write_frame(client, WS_PING, "soak", 4);
}

void
sig_client_close(Client *client)
{
	const guint8 code[2] = {CLOSE_NORMAL >> 8, CLOSE_NORMAL & 0xff};

	write_frame(client, WS_CLOSE, code, sizeof code);
	client->state = CLOSING;
}
