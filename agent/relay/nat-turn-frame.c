/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-frame.h"

#define STUN_HEADER 20u
#define CHANNEL_HEADER 4u

gsize
nat_turn_frame_padding(gsize len)
{
	return (4 - len % 4) % 4;
}

/* The first byte tells them apart (RFC 8656 §12, table 4): 0…3 STUN, 64…79 ChannelData. */
NatTurnFrameResult
nat_turn_frame_next(const guint8 *bytes, gsize len, NatTurnFrame *out)
{
	gsize header;

	out->len = out->whole = 0;
	if (len == 0)
		return NAT_TURN_FRAME_MORE;
	if (bytes[0] < 4)
		header = STUN_HEADER;
	else if (bytes[0] >= 0x40 && bytes[0] <= 0x4f)
		header = CHANNEL_HEADER;
	else
		return NAT_TURN_FRAME_BAD;
	if (len < CHANNEL_HEADER)
		return NAT_TURN_FRAME_MORE;
	out->len = header + (gsize)(bytes[2] << 8 | bytes[3]);
	if (header == STUN_HEADER && out->len % 4 != 0)
		return NAT_TURN_FRAME_BAD;
	out->whole = out->len + nat_turn_frame_padding(out->len);
	return len < out->whole ? NAT_TURN_FRAME_MORE : NAT_TURN_FRAME_COMPLETE;
}
