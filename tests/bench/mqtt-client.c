/* SPDX-License-Identifier: MIT */
/*
 * MQTT 3.1.1, as much of it as two clients of a broker need to do what agents do at nat-signald:
 * each subscribes to the topic of its own key, at QoS 0, and publishes to its peer's. No will, no
 * session, no keepalive, so that the broker has nothing to do besides.
 */
#include <string.h>

#include "tests/signal/client.h"

#define TOPIC_LEN (WG_KEY_HEXLEN - 1) /* base64 has characters that are the broker's */

enum { CONNACK = 2, PUBLISH = 3, SUBACK = 9 };

/* Fixed header and remaining length (§2.2.3): two bytes of it go up to 16383. */
static gsize
put_header(guint8 *out, guint8 first, gsize remaining)
{
	gsize n = 0;

	out[n++] = first;
	do {
		guint8 byte = remaining & 0x7f;

		remaining >>= 7;
		out[n++] = remaining > 0 ? byte | 0x80 : byte;
	} while (remaining > 0);
	return n;
}

static gsize
put_topic(guint8 *out, const WgKey *key)
{
	char hex[WG_KEY_HEXLEN];

	out[0] = 0;
	out[1] = TOPIC_LEN;
	memcpy(out + 2, wg_key_format_hex(key, hex), TOPIC_LEN);
	return 2 + TOPIC_LEN;
}

static void
start(Client *client)
{
	guint8 out[256];
	gsize n = put_header(out, 0x10, 10 + 2 + 32);
	char hex[WG_KEY_HEXLEN];

	/* "MQTT", level 4, clean session, keepalive 0, client id */
	memcpy(out + n, "\0\4MQTT\4\2\0\0\0\40", 12);
	memcpy(out + n + 12, wg_key_format_hex(&client->public_key, hex), 32);
	n += 12 + 32;
	n += put_header(out + n, 0x82, 2 + 2 + TOPIC_LEN + 1);
	out[n++] = 0;
	out[n++] = 1; /* packet id */
	n += put_topic(out + n, &client->public_key);
	out[n++] = 0; /* QoS */
	stream_write(&client->stream, out, n);
}

static gboolean
take_packet(Client *client, guint8 first, const guint8 *data, gsize len)
{
	switch (first >> 4) {
	case CONNACK:
		if (len != 2 || data[1] != 0)
			return FALSE;
		client->funcs->login_sent(client);
		return TRUE;
	case SUBACK:
		client->ready = TRUE;
		client->funcs->ready(client);
		return len == 3 && data[2] == 0;
	case PUBLISH:
		if (len < 2 + TOPIC_LEN)
			return FALSE;
		if (client->funcs->message)
			client->funcs->message(client, NULL, data + 2 + TOPIC_LEN,
					       len - 2 - TOPIC_LEN);
		return TRUE;
	default:
		return FALSE;
	}
}

static gssize
take(Client *client, const guint8 *data, gsize len)
{
	gsize remaining = 0, n = 1;
	guint shift = 0;

	do {
		if (n >= len)
			return 0;
		if (n > 4)
			return -1;
		remaining |= (gsize)(data[n] & 0x7f) << shift;
		shift += 7;
	} while (data[n++] & 0x80);
	if (len < n + remaining)
		return 0;
	return take_packet(client, data[0], data + n, remaining) ? (gssize)(n + remaining) : -1;
}

static void
send_message(Client *client, const WgKey *to, const guint8 *body, gsize len)
{
	guint8 out[4096];
	gsize n = put_header(out, 0x30, 2 + TOPIC_LEN + len);

	g_assert(n + 2 + TOPIC_LEN + len <= sizeof out);
	n += put_topic(out + n, to);
	memcpy(out + n, body, len);
	stream_write(&client->stream, out, n + len);
}

const Protocol mqtt_protocol = {start, take, send_message};
