/* SPDX-License-Identifier: MIT */
/*
 * Input: what one or more recv() of a dump could return. What was understood is also built into
 * the messages that make it again, and those are understood in turn.
 */
#include "wgctl/wg-netlink.h"

#include <libmnl/libmnl.h>
#include <stdint.h>
#include <string.h>

#define FAMILY 31

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gboolean
parse_all(WgDevice *dev, const void *buf, int len)
{
	const struct nlmsghdr *nlh = buf;

	for (; wg_netlink_is_whole(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
		if (!wg_netlink_parse(dev, nlh, NULL))
			return FALSE;
	return TRUE;
}

static void
check_replace(const WgDevice *dev)
{
	g_autofree WgPeerChange *changes = g_new0(WgPeerChange, dev->peers->len);
	g_autoptr(WgDevice) again = wg_device_new("wg0");
	g_autoptr(WgPlan) plan = NULL;
	g_autoptr(GPtrArray) messages = NULL;

	for (guint i = 0; i < dev->peers->len; i++) {
		const WgPeer *peer = g_ptr_array_index(dev->peers, i);

		changes[i].public_key = peer->public_key;
		changes[i].flags = WG_CHANGE_REPLACE;
	}
	plan = wg_plan_new_changes(dev, changes, dev->peers->len, NULL);
	g_assert_nonnull(plan);
	messages = wg_netlink_build_set(FAMILY, "wg0", plan);
	for (guint i = 0; i < messages->len; i++) {
		const struct nlmsghdr *nlh = g_ptr_array_index(messages, i);

		g_assert_true(wg_netlink_parse(again, nlh, NULL));
	}
	g_assert_cmpuint(again->peers->len, ==, dev->peers->len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its own, so that reading past the end is seen; malloc aligns it. */
	g_autofree void *buf = g_memdup2(data, size);
	g_autoptr(WgDevice) dev = wg_device_new("wg0");

	if (buf && parse_all(dev, buf, size))
		check_replace(dev);
	return 0;
}
