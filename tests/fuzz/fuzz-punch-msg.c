/* SPDX-License-Identifier: MIT */
/* Whatever decodes must encode to something that decodes to the same. */
#include <gio/gio.h>

#include "agent/punch/punch-msg.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	PunchMsg one, two;
	g_autoptr(GBytes) bytes = NULL, again = NULL;

	if (!punch_msg_decode(data, size, &one))
		return 0;
	g_assert_true(one.ports.n_ports <= PUNCH_GUESS_MAX &&
		      one.ports.lowest <= one.ports.highest);
	bytes = punch_msg_encode(&one);
	g_assert_true(
		punch_msg_decode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &two));
	again = punch_msg_encode(&two);
	g_assert_true(g_bytes_equal(bytes, again));
	return 0;
}
