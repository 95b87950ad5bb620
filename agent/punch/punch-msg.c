/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-msg.h"

#include <string.h>

/* kind u8, step u8, role u8, number u32, from u64, to u64, wait u16, address 4, port u16, lowest
 * u16, highest u16, n u8, then n ports u16. What follows is of a later version. */
#define HEAD_LEN 36
#define PORT_MIN 1024 /* no NAT maps to services' ports, and nobody has us knock there */

typedef struct {
	const guint8 *data;
	gsize pos;
} Reader;

static void
put(GByteArray *out, guint64 value, guint bytes)
{
	guint8 be[8];

	for (guint i = 0; i < bytes; i++)
		be[i] = (guint8)(value >> 8 * (bytes - 1 - i));
	g_byte_array_append(out, be, bytes);
}

static guint64
get(Reader *in, guint bytes)
{
	guint64 value = 0;

	for (guint i = 0; i < bytes; i++)
		value = value << 8 | in->data[in->pos++];
	return value;
}

gboolean
punch_msg_is(const guint8 *data, gsize len)
{
	return len > 0 && data[0] == PUNCH_MSG_KIND;
}

GBytes *
punch_msg_encode(const PunchMsg *msg)
{
	GByteArray *out = g_byte_array_sized_new(HEAD_LEN + 2 * PUNCH_GUESS_MAX);
	guint n = MIN(msg->ports.n_ports, PUNCH_GUESS_MAX);
	static const guint8 none[4];
	const guint8 *address;
	gsize len = 0;

	put(out, PUNCH_MSG_KIND, 1);
	put(out, msg->step, 1);
	put(out, msg->role, 1);
	put(out, msg->number, 4);
	put(out, msg->from, 8);
	put(out, msg->to, 8);
	put(out, msg->wait_ms, 2);
	address = wg_endpoint_bytes(&msg->address, &len);
	g_byte_array_append(out, address != NULL && len == 4 ? address : none, 4);
	put(out, wg_endpoint_is_set(&msg->address) ? wg_endpoint_port(&msg->address) : 0, 2);
	put(out, msg->ports.lowest, 2);
	put(out, msg->ports.highest, 2);
	put(out, n, 1);
	for (guint i = 0; i < n; i++)
		put(out, msg->ports.ports[i], 2);
	return g_byte_array_free_to_bytes(out);
}

static void
get_address(Reader *in, WgEndpoint *out)
{
	static const guint8 none[4];
	const guint8 *address = in->data + in->pos;
	guint16 port;

	in->pos += 4;
	port = (guint16)get(in, 2);
	if (memcmp(address, none, sizeof none) != 0)
		wg_endpoint_from_bytes(out, address, 4, port);
}

static gboolean
get_ports(Reader *in, gsize len, PunchPorts *out)
{
	guint n;

	out->lowest = (guint16)get(in, 2);
	out->highest = (guint16)get(in, 2);
	n = (guint)get(in, 1);
	if (n > PUNCH_GUESS_MAX || len - in->pos < 2 * (gsize)n || out->lowest > out->highest ||
	    (out->highest != 0 && out->lowest < PORT_MIN))
		return FALSE;
	for (guint i = 0; i < n; i++) {
		guint16 port = (guint16)get(in, 2);

		if (port < PORT_MIN)
			return FALSE;
		out->ports[out->n_ports++] = port;
	}
	return TRUE;
}

/* What a role must say when it asks or agrees. */
static gboolean
is_complete(const PunchMsg *msg)
{
	if (msg->step != PUNCH_ASK && msg->step != PUNCH_AGREE)
		return TRUE;
	switch (msg->role) {
	case PUNCH_OPEN:
		return wg_endpoint_is_set(&msg->address) &&
		       (msg->ports.n_ports > 0 || msg->ports.lowest > 0);
	case PUNCH_AIM:
		return wg_endpoint_is_set(&msg->address) &&
		       wg_endpoint_port(&msg->address) >= PORT_MIN;
	case PUNCH_SPRAY:
		return TRUE;
	case PUNCH_NONE:
		break;
	}
	return FALSE;
}

gboolean
punch_msg_decode(const guint8 *data, gsize len, PunchMsg *out)
{
	Reader in = {.data = data, .pos = 1};
	guint step, role;

	memset(out, 0, sizeof *out);
	if (len < HEAD_LEN || !punch_msg_is(data, len))
		return FALSE;
	step = (guint)get(&in, 1);
	role = (guint)get(&in, 1);
	out->number = (guint32)get(&in, 4);
	out->from = get(&in, 8);
	out->to = get(&in, 8);
	out->wait_ms = (guint16)get(&in, 2);
	get_address(&in, &out->address);
	if (step >= PUNCH_ASK && step <= PUNCH_END && role <= PUNCH_AIM && out->from != 0 &&
	    get_ports(&in, len, &out->ports)) {
		out->step = (PunchStep)step;
		out->role = (PunchRole)role;
		if (is_complete(out))
			return TRUE;
	}
	memset(out, 0, sizeof *out);
	return FALSE;
}
