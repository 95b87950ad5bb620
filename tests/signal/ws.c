/* SPDX-License-Identifier: MIT */
#include "tests/signal/ws.h"

#include <string.h>

static void
mask_copy(guint8 *to, const guint8 *from, gsize len, const guint8 mask[4])
{
	guint32 word, key;
	gsize i = 0;

	memcpy(&key, mask, sizeof key);
	for (; i + sizeof word <= len; i += sizeof word) {
		memcpy(&word, from + i, sizeof word);
		word ^= key;
		memcpy(to + i, &word, sizeof word);
	}
	for (; i < len; i++)
		to[i] = from[i] ^ mask[i % 4];
}

void
ws_append(GByteArray *out, guint op, gboolean final, gconstpointer data, gsize len)
{
	static const guint8 mask[4] = {0x3a, 0xc5, 0x96, 0x71}; /* who guards proxies is not here */
	guint8 header[4] = {(guint8)((final ? 0x80 : 0) | op)};
	gsize n = 2, at;

	if (len < 126) {
		header[1] = (guint8)(0x80 | len);
	} else {
		header[1] = 0x80 | 126;
		header[2] = (guint8)(len >> 8);
		header[3] = (guint8)len;
		n = 4;
	}
	g_assert(len <= G_MAXUINT16);
	g_byte_array_append(out, header, (guint)n);
	g_byte_array_append(out, mask, sizeof mask);
	at = out->len;
	g_byte_array_set_size(out, (guint)(at + len));
	mask_copy(out->data + at, data, len, mask);
}

gssize
ws_parse(const guint8 *data, gsize len, WsFrame *out)
{
	gsize header = 2, size;

	if (len < header)
		return 0;
	size = data[1] & 0x7f;
	if ((data[0] & 0x70) != 0 || (data[1] & 0x80) != 0 || size == 127)
		return -1; /* reserved bits, masked, longer than any frame of ours */
	if (size == 126) {
		header = 4;
		if (len < header)
			return 0;
		size = (gsize)data[2] << 8 | data[3];
	}
	if (len < header + size)
		return 0;
	*out = (WsFrame){data[0] & 0xf, (data[0] & 0x80) != 0, data + header, size};
	return (gssize)(header + size);
}
