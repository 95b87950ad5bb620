/* SPDX-License-Identifier: MIT */
/*
 * Where one TURN message ends and the next begins on a stream (RFC 8656 §12.5): ChannelData is
 * padded to four bytes there, STUN is a multiple of four anyway. Pure; any thread; hostile input.
 */
#pragma once

#include <glib.h>

#define NAT_TURN_FRAME_MAX 65552 /* the largest that a 16-bit length can tell */

typedef struct {
	gsize len;   /* of the message, as a datagram would carry it: without padding */
	gsize whole; /* bytes of the stream it takes */
} NatTurnFrame;

typedef enum {
	NAT_TURN_FRAME_COMPLETE,
	NAT_TURN_FRAME_MORE, /* not all there yet */
	NAT_TURN_FRAME_BAD,  /* neither STUN nor ChannelData: the stream has lost its beat */
} NatTurnFrameResult;

NatTurnFrameResult nat_turn_frame_next(const guint8 *bytes, gsize len, NatTurnFrame *out);
/* How many zero bytes must follow a message of this length. */
gsize nat_turn_frame_padding(gsize len);
