/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-channel.h"

#define MSG(text) (const guint8 *)(text), sizeof(text) - 1

static void
test_parse(void)
{
	NatChannelData data;

	g_assert_true(nat_channel_parse(MSG("\x4f\xff\x00\x03"
					    "abc"),
					&data));
	g_assert_cmpuint(data.channel, ==, 0x4fff);
	g_assert_cmpmem(data.data, data.len, "abc", 3);
	/* padding */
	g_assert_true(nat_channel_parse(MSG("\x40\x00\x00\x01"
					    "abcd"),
					&data));
	g_assert_cmpmem(data.data, data.len, "a", 1);
	g_assert_true(nat_channel_parse(MSG("\x40\x00\x00\x00"), &data));
	g_assert_cmpuint(data.len, ==, 0);
}

static void
test_refuse(void)
{
	NatChannelData data;

	g_assert_false(nat_channel_parse(MSG("\x40\x00\x00\x02"
					     "a"),
					 &data));
	g_assert_null(data.data);
	g_assert_false(nat_channel_parse(MSG("\x40\x00\x00"), &data));
	g_assert_false(nat_channel_parse(MSG(""), &data));
	g_assert_false(nat_channel_parse(MSG("\x3f\xff\x00\x00"), &data));
	g_assert_false(nat_channel_parse(MSG("\x50\x00\x00\x00"), &data));
}

static void
test_head(void)
{
	guint8 head[NAT_CHANNEL_HEAD];

	nat_channel_put_head(head, 0x4102, 0x0304);
	g_assert_cmpmem(head, sizeof head, "\x41\x02\x03\x04", 4);
}

static void
test_wireguard(void)
{
	for (guint8 type = 0; type < 6; type++) {
		const guint8 data[] = {type, 0, 0, 0, 9};

		g_assert_cmpint(nat_channel_is_wireguard(data, sizeof data), ==,
				type >= 1 && type <= 4);
	}
	g_assert_false(nat_channel_is_wireguard(MSG("\x01\x01\x00\x00\x21\x12\xa4\x42")));
	g_assert_false(nat_channel_is_wireguard(MSG("\x00\x01\x00\x00\x21\x12\xa4\x42")));
	g_assert_false(nat_channel_is_wireguard(MSG("\x01\x00\x00")));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/channel/parse", test_parse);
	g_test_add_func("/channel/refuse", test_refuse);
	g_test_add_func("/channel/head", test_head);
	g_test_add_func("/channel/wireguard", test_wireguard);
	return g_test_run();
}
