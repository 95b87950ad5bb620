/* SPDX-License-Identifier: MIT */
/*
 * ChannelData of TURN (RFC 8656 §12.4): channel, length, data, perhaps padding. Pure: bytes in,
 * bytes out; input may be hostile.
 */
#pragma once

#include <glib.h>

#define NAT_CHANNEL_HEAD 4u
#define NAT_CHANNEL_FIRST 0x4000
#define NAT_CHANNELS 0x1000 /* RFC 8656 §12: 0x5000 and above are reserved */

typedef struct {
	guint16 channel;
	const guint8 *data; /* points into the message */
	gsize len;
} NatChannelData;

/* FALSE: another kind of message, or its length exceeds it. Bytes after the data are padding, which
 * streams need and UDP allows (§12.5). */
gboolean nat_channel_parse(const guint8 *msg, gsize len, NatChannelData *out);
/* The head of len bytes of data; len at most 65535. */
void nat_channel_put_head(guint8 head[NAT_CHANNEL_HEAD], guint16 channel, gsize len);
/* A message of WireGuard's: type 1 to 4 and three zeroes (whitepaper §5.4). STUN does not begin so:
 * its type's second byte is no zero in any message that agents send. */
gboolean nat_channel_is_wireguard(const guint8 *data, gsize len);
