/* SPDX-License-Identifier: MIT */
/* Whatever decodes must encode to something that decodes to the same. */
#include <gio/gio.h>
#include <string.h>

#include "agent/session/nat-msg.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	NatMsg one, two;
	g_autoptr(GBytes) bytes = NULL, again = NULL;

	if (!nat_msg_decode(data, size, &one, NULL))
		return 0;
	g_assert_true(one.sid != 0 && one.n_candidates <= NAT_MSG_MAX_CANDIDATES);
	g_assert_true(one.nat.lowest <= one.nat.highest);
	g_assert_true((one.nat.ports == NAT_PORTS_SEQUENTIAL) == (one.nat.step != 0));
	g_assert_true(strlen(one.ufrag) >= 4 && strlen(one.pwd) >= 22);
	bytes = nat_msg_encode(&one);
	g_assert_true(
		nat_msg_decode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &two, NULL));
	again = nat_msg_encode(&two);
	g_assert_true(g_bytes_equal(bytes, again));
	return 0;
}
