/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-beacon.h"

#include <string.h>

static void
add(GArray *array, NatCandType type, const char *text)
{
	NatCandidate cand = {.type = type};

	g_assert_true(wg_endpoint_parse(text, &cand.endpoint));
	g_array_append_val(array, cand);
}

/* As the server gives it back: the entries of the list, and perhaps one of its own. */
static guint
entries(const char *list, WgEndpoint *out, guint max)
{
	g_auto(GStrv) parts = g_strsplit(list, "\"", -1);
	guint n = 0;

	for (guint i = 1; parts[i] != NULL && parts[i + 1] != NULL; i += 2) {
		g_assert_cmpuint(n, <, max);
		g_assert_true(wg_endpoint_parse(parts[i], &out[n++]));
	}
	return n;
}

static void
test_round_trip(void)
{
	g_autoptr(GArray) own = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	g_autoptr(GArray) made = NULL;
	g_autofree char *list = NULL;
	WgEndpoint got[16];
	InnBeacon beacon;
	guint n;

	add(own, NAT_CAND_HOST, "192.168.1.2:51820");
	add(own, NAT_CAND_SRFLX, "203.0.113.1:40001");
	add(own, NAT_CAND_HOST, "[2001:db8::2]:51820");
	add(own, NAT_CAND_RELAY, "192.0.2.20:50000");
	made = inn_beacon_list(0x0102030405060708, 0xdeadbeef,
			       NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT, own);
	list = inn_beacon_json(made);
	g_assert_cmpstr(list, ==,
			"[\"[100::102:304:506:708]:28225\",\"[100::dead:beef:12:4]:28226\","
			"\"192.0.2.20:50000\",\"[2001:db8::2]:51820\",\"203.0.113.1:40001\","
			"\"192.168.1.2:51820\"]");
	n = entries(list, got, 16);
	g_assert_true(inn_beacon_is(&got[0]) && inn_beacon_is(&got[1]) && !inn_beacon_is(&got[2]));
	/* the server appends what it sees where an endpoint is set by hand */
	g_assert_true(wg_endpoint_parse("203.0.113.1:40009", &got[n++]));
	g_assert_true(inn_beacon_read(got, n, &beacon));
	g_assert_true(beacon.generation == 0x0102030405060708 && beacon.watch == 0xdeadbeef);
	g_assert_cmpint(beacon.mapping, ==, NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT);
	g_assert_cmpuint(beacon.n_candidates, ==, 5);
	for (guint i = 0; i < own->len; i++) {
		const NatCandidate *want = &g_array_index(own, NatCandidate, i);

		g_assert_true(
			wg_endpoint_equal(&want->endpoint, &beacon.candidates[i + 1].endpoint));
		g_assert_cmpint(want->type, ==, beacon.candidates[i + 1].type);
	}
	g_assert_true(wg_endpoint_equal(&beacon.candidates[0].endpoint, &got[n - 1]));
}

/* Ten entries are all that a server takes; what has no meaning elsewhere is no entry. */
static void
test_limits(void)
{
	g_autoptr(GArray) own = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	g_autoptr(GArray) made = NULL;
	g_autofree char *list = NULL;
	WgEndpoint got[16];
	InnBeacon beacon;
	gboolean relay = FALSE;

	for (guint i = 0; i < 12; i++) {
		g_autofree char *text = g_strdup_printf("192.168.1.%u:51820", i + 1);

		add(own, NAT_CAND_HOST, text);
	}
	add(own, NAT_CAND_HOST, "[fe80::1%1]:51820");
	add(own, NAT_CAND_HOST, "127.0.0.1:51820");
	add(own, NAT_CAND_RELAY, "192.0.2.20:50000");
	made = inn_beacon_list(1, 1, NAT_MAPPING_UNKNOWN, own);
	list = inn_beacon_json(made);
	g_assert_cmpuint(entries(list, got, 16), ==, INN_BEACON_LIST);
	g_assert_true(inn_beacon_read(got, INN_BEACON_LIST, &beacon));
	g_assert_cmpuint(beacon.n_candidates, ==, INN_BEACON_CANDIDATES);
	for (guint i = 0; i < beacon.n_candidates; i++)
		relay |= beacon.candidates[i].type == NAT_CAND_RELAY;
	g_assert_true(relay);
	g_assert_null(strstr(list, "fe80"));
	g_assert_null(strstr(list, "127.0"));
}

static void
test_strangers(void)
{
	static const char *const LISTS[] = {
		"192.168.1.2:51820",		     /* a plain peer's */
		"[100::102:304:506:708]:28227",	     /* another port */
		"[100:0:0:1:102:304:506:708]:28225", /* another prefix */
		"[100::]:28225",		     /* no generation */
		"[2001:db8::102:304:506:708]:28225",
	};
	WgEndpoint list[2];
	InnBeacon beacon;

	for (guint i = 0; i < G_N_ELEMENTS(LISTS); i++) {
		g_assert_true(wg_endpoint_parse(LISTS[i], &list[0]));
		g_assert_false(inn_beacon_read(list, 1, &beacon));
	}
	g_assert_false(inn_beacon_read(list, 0, &beacon));
	/* unset entries are what the server's names and nonsense become */
	memset(list, 0, sizeof list);
	g_assert_false(inn_beacon_read(list, 2, &beacon));
}

/* Without the second beacon: types by the look of the address, and a watch id all the same. */
static void
test_guessed(void)
{
	WgEndpoint list[4];
	InnBeacon beacon;

	g_assert_true(wg_endpoint_parse("[100::1:2:3:4]:28225", &list[0]));
	g_assert_true(wg_endpoint_parse("203.0.113.1:40001", &list[1]));
	g_assert_true(wg_endpoint_parse("10.0.0.2:51820", &list[2]));
	g_assert_true(wg_endpoint_parse("0.0.0.0:51820", &list[3]));
	g_assert_true(inn_beacon_read(list, 4, &beacon));
	g_assert_cmpuint(beacon.n_candidates, ==, 2);
	g_assert_cmpint(beacon.candidates[0].type, ==, NAT_CAND_HOST);
	g_assert_cmpint(beacon.candidates[1].type, ==, NAT_CAND_SRFLX);
	g_assert_cmpuint(beacon.watch, !=, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/inn-beacon/round-trip", test_round_trip);
	g_test_add_func("/inn-beacon/limits", test_limits);
	g_test_add_func("/inn-beacon/strangers", test_strangers);
	g_test_add_func("/inn-beacon/guessed", test_guessed);
	return g_test_run();
}
