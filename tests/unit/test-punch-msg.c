/* SPDX-License-Identifier: MIT */
#include <gio/gio.h>
#include <string.h>

#include "agent/punch/punch-msg.h"

static PunchMsg
a_message(void)
{
	PunchMsg msg = {.step = PUNCH_ASK,
			.number = 7,
			.from = 0x1122334455667788,
			.to = 0x99aabbccddeeff00,
			.role = PUNCH_OPEN,
			.ports = {.ports = {40001, 40002, 65535},
				  .n_ports = 3,
				  .lowest = 1024,
				  .highest = 65535}};

	g_assert_true(wg_endpoint_parse("203.0.113.7:51820", &msg.address));
	return msg;
}

static gboolean
decodes(const PunchMsg *msg, PunchMsg *out)
{
	g_autoptr(GBytes) bytes = punch_msg_encode(msg);
	gsize len;
	const guint8 *data = g_bytes_get_data(bytes, &len);

	g_assert_true(punch_msg_is(data, len));
	return punch_msg_decode(data, len, out);
}

static void
test_round(void)
{
	PunchMsg msg = a_message(), got;

	g_assert_true(decodes(&msg, &got));
	g_assert_cmpint(got.step, ==, PUNCH_ASK);
	g_assert_cmpint(got.role, ==, PUNCH_OPEN);
	g_assert_cmpuint(got.number, ==, 7);
	g_assert_cmpuint(got.from, ==, msg.from);
	g_assert_cmpuint(got.to, ==, msg.to);
	g_assert_true(wg_endpoint_equal(&got.address, &msg.address));
	g_assert_cmpuint(got.ports.n_ports, ==, 3);
	g_assert_cmpuint(got.ports.ports[2], ==, 65535);
	g_assert_cmpuint(got.ports.highest, ==, 65535);
	msg = (PunchMsg){.step = PUNCH_AGREE,
			 .number = 1,
			 .from = 1,
			 .to = 2,
			 .role = PUNCH_AIM,
			 .wait_ms = 40};
	g_assert_true(wg_endpoint_parse("203.0.113.7:9000", &msg.address));
	g_assert_true(decodes(&msg, &got));
	g_assert_cmpuint(got.wait_ms, ==, 40);
	msg = (PunchMsg){.step = PUNCH_END, .number = 1, .from = 1, .to = 2};
	g_assert_true(decodes(&msg, &got));
	g_assert_false(wg_endpoint_is_set(&got.address));
}

/* Who opens must say where, who aims must say at what; the rest is malformed. */
static void
test_incomplete(void)
{
	PunchMsg msg = a_message(), got;

	memset(&msg.address, 0, sizeof msg.address);
	g_assert_false(decodes(&msg, &got));
	g_assert_cmpuint(got.number, ==, 0);
	msg.role = PUNCH_SPRAY;
	g_assert_true(decodes(&msg, &got));
	msg.role = PUNCH_NONE;
	g_assert_false(decodes(&msg, &got));
	msg = a_message();
	memset(&msg.ports, 0, sizeof msg.ports);
	g_assert_false(decodes(&msg, &got));
	msg = a_message();
	msg.role = PUNCH_AIM;
	wg_endpoint_set_port(&msg.address, 0);
	g_assert_false(decodes(&msg, &got));
	msg = a_message();
	msg.ports.lowest = 9;
	msg.ports.highest = 8;
	g_assert_false(decodes(&msg, &got));
	msg = a_message();
	msg.ports.ports[1] = 0;
	g_assert_false(decodes(&msg, &got));
	/* services' ports are nobody's mapping */
	msg.ports.ports[1] = 1023;
	g_assert_false(decodes(&msg, &got));
	msg = a_message();
	msg.ports.lowest = 1;
	g_assert_false(decodes(&msg, &got));
	msg.role = PUNCH_AIM;
	msg.ports.lowest = 1024;
	wg_endpoint_set_port(&msg.address, 53);
	g_assert_false(decodes(&msg, &got));
	msg = a_message();
	msg.from = 0;
	g_assert_false(decodes(&msg, &got));
	msg = a_message();
	msg.step = 5;
	g_assert_false(decodes(&msg, &got));
}

/* Cut off anywhere it is malformed; longer it is of a later version. */
static void
test_lengths(void)
{
	PunchMsg msg = a_message(), got;
	g_autoptr(GBytes) bytes = punch_msg_encode(&msg);
	gsize len;
	const guint8 *data = g_bytes_get_data(bytes, &len);
	g_autofree guint8 *longer = g_malloc0(len + 9);

	for (gsize i = 0; i < len; i++)
		g_assert_false(punch_msg_decode(data, i, &got));
	memcpy(longer, data, len);
	g_assert_true(punch_msg_decode(longer, len + 9, &got));
	longer[0] = 1; /* a session message */
	g_assert_false(punch_msg_is(longer, len));
	g_assert_false(punch_msg_decode(longer, len, &got));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/punch-msg/round", test_round);
	g_test_add_func("/punch-msg/incomplete", test_incomplete);
	g_test_add_func("/punch-msg/lengths", test_lengths);
	return g_test_run();
}
