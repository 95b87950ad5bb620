/* SPDX-License-Identifier: MIT */
/* A client of the built nat-signald, by libsoup's WebSocket: what it is told is kept in order. */
#pragma once

#include "signaling/sig-login.h"
#include "tests/unit/sig-process.h"

#include <libsoup/soup.h>

#define DEADLINE (30 * G_USEC_PER_SEC)

typedef struct {
	SoupSession *session;
	SoupWebsocketConnection *ws;
	GQueue frames;	 /* of SigFrame*, in order */
	GQueue messages; /* of GBytes* */
	GString *order;	 /* one character for each that came: p(resence) m(essage) … */
	WgKey private, key;
	char *authority;
	gboolean failed, closed;
} Client;

static inline void
on_message(SoupWebsocketConnection *ws, int type, GBytes *bytes, Client *client)
{
	gsize len;
	const char *data = g_bytes_get_data(bytes, &len);
	g_autoptr(GError) error = NULL;
	SigFrame *frame;

	if (type == SOUP_WEBSOCKET_DATA_BINARY) {
		g_queue_push_tail(&client->messages, g_bytes_ref(bytes));
		g_string_append_c(client->order, 'm');
		return;
	}
	frame = g_new0(SigFrame, 1);
	sig_wire_decode(data, len, frame, &error);
	g_assert_no_error(error);
	g_queue_push_tail(&client->frames, frame);
	g_string_append_c(client->order, "?hlwipuedtn"[frame->type]);
}

static inline void
on_closed(SoupWebsocketConnection *ws, Client *client)
{
	client->closed = TRUE;
}

static inline void
on_connected(GObject *session, GAsyncResult *result, gpointer user_data)
{
	Client *client = user_data;

	client->ws = soup_session_websocket_connect_finish(SOUP_SESSION(session), result, NULL);
	if (!client->ws) {
		client->failed = TRUE;
		return;
	}
	g_signal_connect(client->ws, "message", G_CALLBACK(on_message), client);
	g_signal_connect(client->ws, "closed", G_CALLBACK(on_closed), client);
}

/* Runs the loop until *condition; fails after the deadline. */
#define WAIT(condition)                                                                            \
	G_STMT_START                                                                               \
	{                                                                                          \
		gint64 until_ = g_get_monotonic_time() + DEADLINE;                                 \
		guint tick_ = g_timeout_add(50, wake_up, NULL);                                    \
		while (!(condition)) {                                                             \
			g_assert_cmpint(g_get_monotonic_time(), <, until_);                        \
			g_main_context_iteration(NULL, TRUE);                                      \
		}                                                                                  \
		g_source_remove(tick_);                                                            \
	}                                                                                          \
	G_STMT_END

static inline gboolean
wake_up(gpointer unused)
{
	return G_SOURCE_CONTINUE;
}

/* key: NULL: a new one. database: whose certificates are believed, for wss; NULL: the system's. */
static inline Client *
client_dial_url(const char *url, const char *subprotocol, const WgKey *private,
		GTlsDatabase *database)
{
	const char *subprotocols[] = {subprotocol, NULL};
	g_autoptr(SoupMessage) message = soup_message_new("GET", url);
	GUri *uri = soup_message_get_uri(message);
	Client *client = g_new0(Client, 1);

	if (private)
		client->private = *private;
	else
		wg_key_generate_private(&client->private);
	wg_key_public_from_private(&client->private, &client->key);
	client->authority = sig_login_authority(g_uri_get_host(uri), g_uri_get_port(uri));
	client->order = g_string_new(NULL);
	client->session = soup_session_new();
	if (database)
		soup_session_set_tls_database(client->session, database);
	soup_session_websocket_connect_async(client->session, message, NULL, (char **)subprotocols,
					     G_PRIORITY_DEFAULT, NULL, on_connected, client);
	WAIT(client->ws || client->failed);
	return client;
}

static inline Client *
client_dial(const Server *server, const char *subprotocol)
{
	g_autofree char *url = g_strdup_printf("ws://127.0.0.1:%u/any/path", server->port);

	return client_dial_url(url, subprotocol, NULL, NULL);
}

static inline void
client_free(Client *client)
{
	SigFrame *frame;
	GBytes *bytes;

	while ((frame = g_queue_pop_head(&client->frames))) {
		sig_frame_clear(frame);
		g_free(frame);
	}
	while ((bytes = g_queue_pop_head(&client->messages)))
		g_bytes_unref(bytes);
	if (client->ws) {
		g_signal_handlers_disconnect_by_data(client->ws, client);
		if (!client->closed)
			soup_websocket_connection_close(client->ws, 1000, NULL);
		WAIT(soup_websocket_connection_get_state(client->ws) ==
		     SOUP_WEBSOCKET_STATE_CLOSED);
		g_object_unref(client->ws);
	}
	g_object_unref(client->session);
	g_string_free(client->order, TRUE);
	g_free(client->authority);
	g_free(client);
}

/* The next frame of this type; others are skipped. *out is replaced. */
static inline void
client_expect(Client *client, SigFrameType type, SigFrame *out)
{
	sig_frame_clear(out);
	for (;;) {
		g_autofree SigFrame *frame = NULL;

		WAIT(client->frames.length > 0);
		frame = g_queue_pop_head(&client->frames);
		if (frame->type == type) {
			*out = *frame;
			return;
		}
		sig_frame_clear(frame);
	}
}

static inline void
client_expect_error(Client *client, const char *code, guint16 close_code)
{
	g_auto(SigFrame) frame = {0};

	client_expect(client, SIG_FRAME_ERROR, &frame);
	g_assert_cmpstr(frame.error.code, ==, code);
	WAIT(client->closed);
	g_assert_cmpuint(soup_websocket_connection_get_close_code(client->ws), ==, close_code);
}

static inline void
send_text_take(Client *client, char *text)
{
	soup_websocket_connection_send_text(client->ws, text);
	g_free(text);
}

static inline char *
make_login(Client *client, SigHello *hello_out)
{
	g_auto(SigFrame) hello = {0};
	g_autoptr(GError) error = NULL;
	char *login;

	client_expect(client, SIG_FRAME_HELLO, &hello);
	login = sig_login_answer(&hello.hello, &client->private, client->authority, &error);
	g_assert_no_error(error);
	if (hello_out)
		*hello_out = hello.hello;
	return login;
}

static inline void
send_interest(Client *client, const WgKey *add, const WgKey *remove)
{
	send_text_take(client, sig_wire_encode_interest(add, add ? 1 : 0, remove, remove ? 1 : 0));
}

static inline void
send_message(Client *client, const WgKey *to, const char *body)
{
	g_autoptr(GBytes) frame = sig_wire_encode_binary(to, (const guint8 *)body, strlen(body));

	soup_websocket_connection_send_message(client->ws, SOUP_WEBSOCKET_DATA_BINARY, frame);
}

static inline void
client_log_in(Client *client)
{
	g_auto(SigFrame) welcome = {0};

	send_text_take(client, make_login(client, NULL));
	client_expect(client, SIG_FRAME_WELCOME, &welcome);
	g_assert_true(g_str_has_prefix(welcome.welcome.seen, "127.0.0.1:"));
}

static inline Client *
client_new(const Server *server)
{
	Client *client = client_dial(server, SIG_WIRE_SUBPROTOCOL);

	g_assert_nonnull(client->ws);
	client_log_in(client);
	return client;
}

static inline void
expect_presence(Client *client, const WgKey *key, gboolean online)
{
	g_auto(SigFrame) frame = {0};
	const SigKeys *keys = online ? &frame.presence.online : &frame.presence.offline;

	client_expect(client, SIG_FRAME_PRESENCE, &frame);
	g_assert_cmpuint(frame.presence.online.n + frame.presence.offline.n, ==, 1);
	g_assert_cmpuint(keys->n, ==, 1);
	g_assert_true(wg_key_equal(&keys->keys[0], key));
}

static inline void
expect_message(Client *client, const WgKey *from, const char *body)
{
	g_autoptr(GBytes) bytes = NULL;
	const guint8 *data;
	gsize len;
	WgKey key;

	WAIT(client->messages.length > 0);
	bytes = g_queue_pop_head(&client->messages);
	g_assert_true(sig_wire_decode_binary(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
					     &key, &data, &len, NULL));
	g_assert_true(wg_key_equal(&key, from));
	g_assert_cmpmem(data, len, body, strlen(body));
}
