/* SPDX-License-Identifier: MIT */
#include "signaling/sig-gather.h"

#include "signaling/sig-wire.h"

/* RFC 6455 §5.2; all of ours are whole messages */
#define FIN 0x80
#define TEXT 0x1
#define BINARY 0x2
#define CLOSE 0x8
#define PING 0x9
#define LEN_16 126 /* the length follows in two bytes */

/* A server's frames are not masked (RFC 6455 §5.1). */
static void
append_frame(GByteArray *to, guint8 opcode, const guint8 *data, gsize len)
{
	guint8 header[4] = {FIN | opcode, LEN_16, len >> 8, len & 0xff};

	if (len < LEN_16)
		header[1] = len;
	g_byte_array_append(to, header, len < LEN_16 ? 2 : 4);
	g_byte_array_append(to, data, len);
}

/* RFC 6455 §5.5.1 */
static void
append_close(GByteArray *to, SigClose why)
{
	const guint8 code[] = {why >> 8, why & 0xff};

	append_frame(to, CLOSE, code, sizeof code);
}

gboolean
sig_gather(SigConn *conn, GByteArray *to)
{
	/* Not empty: lws tells us nothing of a pong without payload (ops-ws.c, "already_done"). */
	static const guint8 ping[1];
	const gsize start = to->len;
	SigClose why;

	if (sig_conn_take_ping(conn))
		append_frame(to, PING, ping, sizeof ping);
	while (to->len - start < SIG_GATHER_BOUND) {
		g_autofree SigOut *out = sig_conn_pop(conn);

		if (!out)
			break;
		append_frame(to, out->kind == SIG_OUT_MESSAGE ? BINARY : TEXT, out->data, out->len);
	}
	why = sig_conn_take_close(conn);
	if (why != SIG_CLOSE_NONE)
		append_close(to, why);
	return to->len - start < SIG_GATHER_BOUND;
}
