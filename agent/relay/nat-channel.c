/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-channel.h"

static guint16
get16(const guint8 *p)
{
	return (guint16)(p[0] << 8 | p[1]);
}

gboolean
nat_channel_parse(const guint8 *msg, gsize len, NatChannelData *out)
{
	*out = (NatChannelData){0};
	if (len < NAT_CHANNEL_HEAD || get16(msg) < NAT_CHANNEL_FIRST ||
	    get16(msg) >= NAT_CHANNEL_FIRST + NAT_CHANNELS ||
	    get16(msg + 2) > len - NAT_CHANNEL_HEAD)
		return FALSE;
	out->channel = get16(msg);
	out->data = msg + NAT_CHANNEL_HEAD;
	out->len = get16(msg + 2);
	return TRUE;
}

void
nat_channel_put_head(guint8 head[NAT_CHANNEL_HEAD], guint16 channel, gsize len)
{
	head[0] = (guint8)(channel >> 8);
	head[1] = (guint8)channel;
	head[2] = (guint8)(len >> 8);
	head[3] = (guint8)len;
}

gboolean
nat_channel_is_wireguard(const guint8 *data, gsize len)
{
	return len >= 4 && data[0] >= 1 && data[0] <= 4 && data[1] == 0 && data[2] == 0 &&
	       data[3] == 0;
}
