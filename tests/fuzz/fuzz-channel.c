/* SPDX-License-Identifier: MIT */
/* The data lies inside of the message, and its head can be built again from it. */
#include "agent/relay/nat-channel.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	NatChannelData channel;
	guint8 head[NAT_CHANNEL_HEAD];

	if (!nat_channel_parse(data, size, &channel)) {
		if (channel.data || channel.len > 0 || channel.channel != 0)
			abort();
		return 0;
	}
	if (channel.data != data + NAT_CHANNEL_HEAD || channel.len > size - NAT_CHANNEL_HEAD)
		abort();
	nat_channel_put_head(head, channel.channel, channel.len);
	if (memcmp(head, data, sizeof head) != 0)
		abort();
	if (nat_channel_is_wireguard(channel.data, channel.len) && channel.len < 4)
		abort();
	return 0;
}
