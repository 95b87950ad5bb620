/* SPDX-License-Identifier: MIT */
#include "tests/signal/client.h"

#define READ_SIZE 65536

void
client_init(Client *client, const Protocol *protocol, const ClientFuncs *funcs)
{
	*client = (Client){.stream.fd = -1, .protocol = protocol, .funcs = funcs};
	wg_key_generate_private(&client->private_key);
	wg_key_public_from_private(&client->private_key, &client->public_key);
}

void
client_clear(Client *client)
{
	client_stop(client, TRUE);
	wg_key_clear(&client->private_key);
}

gboolean
client_is_open(const Client *client)
{
	return client->stream.fd >= 0;
}

void
client_stop(Client *client, gboolean reset)
{
	stream_close(&client->stream, reset);
	g_clear_pointer(&client->in, g_byte_array_unref);
	client->ready = FALSE;
}

gboolean
client_start(Client *client, int epoll, const struct sockaddr_in *from,
	     const struct sockaddr_in *to, StreamTls *tls)
{
	client->ready = FALSE;
	client->state = 0;
	client->close_code = 0;
	if (!stream_open(&client->stream, epoll, client, from, to, tls))
		return FALSE;
	client->protocol->start(client);
	return TRUE;
}

static void
end(Client *client)
{
	client_stop(client, FALSE);
	client->funcs->ended(client);
}

/* Bytes handled, in whole units. */
static gsize
take_all(Client *client, const guint8 *data, gsize len)
{
	gsize done = 0;

	while (done < len && client_is_open(client)) {
		gssize n = client->protocol->take(client, data + done, len - done);

		if (n < 0)
			end(client);
		if (n <= 0)
			break;
		done += (gsize)n;
	}
	return done;
}

static void
feed(Client *client, const guint8 *data, gsize len)
{
	GByteArray *whole = g_steal_pointer(&client->in);
	gsize done;

	if (whole) {
		g_byte_array_append(whole, data, (guint)len);
		data = whole->data;
		len = whole->len;
	}
	done = take_all(client, data, len);
	if (done < len && client_is_open(client)) {
		client->in = g_byte_array_new();
		g_byte_array_append(client->in, data + done, (guint)(len - done));
	}
	if (whole)
		g_byte_array_unref(whole);
}

void
client_event(Client *client)
{
	static guint8 buffer[READ_SIZE];
	gssize n;

	if (!client_is_open(client))
		return; /* closed by what another one heard in the same round */
	if (!stream_advance(&client->stream)) {
		end(client);
		return;
	}
	do {
		n = stream_read(&client->stream, buffer, sizeof buffer);
		if (n < 0)
			end(client);
		else if (n > 0)
			feed(client, buffer, (gsize)n);
		/* TLS may hold more than epoll knows of */
	} while (n > 0 && client_is_open(client) &&
		 (client->stream.tls || n == (gssize)sizeof buffer));
}

void
client_send(Client *client, const WgKey *to, const guint8 *body, gsize len)
{
	client->protocol->send(client, to, body, len);
}
