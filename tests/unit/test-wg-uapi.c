/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-uapi.h"

#include <string.h>

#define KEY_A "0100000000000000000000000000000000000000000000000000000000000000"
#define KEY_B "0200000000000000000000000000000000000000000000000000000000000000"

static WgDevice *
parse(const char *text, GError **error)
{
	g_autofree char *copy = g_strdup(text);

	return wg_uapi_parse("wg0", copy, error);
}

static WgDevice *
parse_good(const char *text)
{
	g_autoptr(GError) error = NULL;
	WgDevice *dev = parse(text, &error);

	g_assert_no_error(error);
	return dev;
}

static void
check_bad(const char *text, WgError code)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(parse(text, &error));
	g_assert_error(error, WG_ERROR, (int)code);
	g_assert_null(strchr(error->message, '\n'));
}

static void
test_full_device(void)
{
	g_autoptr(WgDevice) dev = parse_good(
		"private_key=" KEY_A "\nlisten_port=51820\nfwmark=51\n"
		"public_key=" KEY_A "\npreshared_key=" KEY_B "\nprotocol_version=1\n"
		"endpoint=[fe80::1%3]:7\nlast_handshake_time_sec=1700000000\n"
		"last_handshake_time_nsec=999999999\ntx_bytes=18446744073709551615\n"
		"rx_bytes=2\npersistent_keepalive_interval=25\n"
		"allowed_ip=10.0.0.0/8\nallowed_ip=::/0\n"
		"public_key=" KEY_B "\nendpoint=[::ffff:192.0.2.1]:9\nsome_new_key=maybe\n"
		"errno=0\n\n");
	const WgPeer *a, *b;
	WgEndpoint ep;

	g_assert_cmpint(dev->backend, ==, WG_BACKEND_USERSPACE);
	g_assert_cmpuint(dev->private_key.b[0], ==, 1);
	g_assert_cmpuint(dev->listen_port, ==, 51820);
	g_assert_cmpuint(dev->fwmark, ==, 51);
	g_assert_cmpuint(dev->peers->len, ==, 2);
	a = g_ptr_array_index(dev->peers, 0);
	b = g_ptr_array_index(dev->peers, 1);
	g_assert_cmpuint(a->endpoint.v6.sin6_scope_id, ==, 3);
	g_assert_cmpint(a->last_handshake_s, ==, 1700000000);
	g_assert_cmpint(a->last_handshake_ns, ==, 999999999);
	g_assert_cmpuint(a->tx_bytes, ==, G_MAXUINT64);
	g_assert_cmpuint(a->rx_bytes, ==, 2);
	g_assert_cmpuint(a->keepalive, ==, 25);
	g_assert_cmpuint(a->allowed_ips->len, ==, 2);
	g_assert_cmpuint(a->preshared_key.b[0], ==, 2);
	g_assert_true(wg_endpoint_parse("192.0.2.1:9", &ep));
	g_assert_true(wg_endpoint_equal(&b->endpoint, &ep));
}

static void
test_empty_device(void)
{
	g_autoptr(WgDevice) dev = parse_good("errno=0\n\n");

	g_assert_true(wg_key_is_zero(&dev->private_key));
	g_assert_cmpuint(dev->peers->len, ==, 0);
}

/* An interface named in a scope can go at any time: the rest must stay readable. */
static void
test_unreadable_endpoint(void)
{
	g_autoptr(WgDevice) dev =
		parse_good("public_key=" KEY_A "\nendpoint=[fe80::1%gone0]:7\nerrno=0\n\n");

	g_assert_false(wg_endpoint_is_set(&((WgPeer *)dev->peers->pdata[0])->endpoint));
}

static void
test_malformed(void)
{
	static const char *const bad[] = {
		"",
		"\n",
		"\n\n",
		"errno",
		"errno=0", /* cut before its newline */
		"errno=\n\n",
		"errno=x\n\n",
		"listen_port=1\n\n", /* no errno */
		"listen_port\nerrno=0\n\n",
		"listen_port=65536\nerrno=0\n\n",
		"listen_port=-1\nerrno=0\n\n",
		"listen_port= 1\nerrno=0\n\n",
		"fwmark=4294967296\nerrno=0\n\n",
		"private_key=00\nerrno=0\n\n",
		"public_key=" KEY_A "00\nerrno=0\n\n",
		"public_key=" KEY_A "\npreshared_key=1\nerrno=0\n\n",
		"public_key=" KEY_A "\nallowed_ip=10.0.0.0/33\nerrno=0\n\n",
		"public_key=" KEY_A "\nrx_bytes=18446744073709551616\nerrno=0\n\n",
		"public_key=" KEY_A "\npersistent_keepalive_interval=65536\nerrno=0\n\n",
		"public_key=" KEY_A "\nlast_handshake_time_nsec=1000000000\nerrno=0\n\n",
		"public_key=" KEY_A "\nlast_handshake_time_sec=9223372036854775808\nerrno=0\n\n",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
		check_bad(bad[i], WG_ERROR_PROTOCOL);
}

/* A malformed answer may hold keys: they must not reach a log. */
static void
test_error_shows_no_value(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(parse("private_key=secret\nerrno=0\n\n", &error));
	g_assert_null(strstr(error->message, "secret"));
	g_assert_nonnull(strstr(error->message, "private_key"));
}

static void
test_refused(void)
{
	char good[] = "errno=0\n\n", bad[] = "errno=-22\n\n", odd[] = "errno=48\n\n";
	g_autoptr(GError) error = NULL;

	check_bad("errno=-5\n\n", WG_ERROR_FAILED);
	g_assert_true(wg_uapi_parse_result("wg0", good, &error));
	g_assert_no_error(error);
	g_assert_false(wg_uapi_parse_result("wg0", bad, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_FAILED);
	g_assert_nonnull(strstr(error->message, "Invalid argument"));
	g_clear_error(&error);
	g_assert_false(wg_uapi_parse_result("wg0", odd, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_FAILED);
	g_clear_error(&error);
	g_assert_false(wg_uapi_parse_result("wg0", good + 8, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_PROTOCOL);
}

static void
test_format_set(void)
{
	g_autoptr(WgPlan) plan = wg_plan_new();
	guint16 port = 51820;
	guint32 fwmark = 0;
	WgKey private_key = {{1}};
	WgAllowedIp ip;
	WgPlanEntry entry = {
		.public_key = {{2}},
		.flags = WG_ENTRY_UPDATE_ONLY | WG_ENTRY_ENDPOINT | WG_ENTRY_KEEPALIVE |
			 WG_ENTRY_PSK | WG_ENTRY_REPLACE_ALLOWED_IPS,
		.keepalive = 25,
		.preshared_key = {{1}},
		.allowed_ips = &ip,
		.n_allowed_ips = 1,
	};
	WgPlanEntry gone = {.public_key = {{1}}, .flags = WG_ENTRY_REMOVE};
	GString *text;

	plan->private_key = &private_key;
	plan->listen_port = &port;
	plan->fwmark = &fwmark;
	g_assert_true(wg_endpoint_parse("[2001:db8::1]:9", &entry.endpoint));
	g_assert_true(wg_allowed_ip_parse("10.0.0.0/8", &ip));
	g_array_append_val(plan->entries, gone);
	g_array_append_val(plan->entries, entry);
	text = wg_uapi_format_set(plan);
	g_assert_cmpstr(text->str, ==,
			"set=1\nprivate_key=" KEY_A "\nlisten_port=51820\nfwmark=0\n"
			"public_key=" KEY_A "\nremove=true\n"
			"public_key=" KEY_B "\nupdate_only=true\npreshared_key=" KEY_A "\n"
			"endpoint=[2001:db8::1]:9\npersistent_keepalive_interval=25\n"
			"replace_allowed_ips=true\nallowed_ip=10.0.0.0/8\n\n");
	g_string_free(text, TRUE);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wg/uapi/full-device", test_full_device);
	g_test_add_func("/wg/uapi/empty-device", test_empty_device);
	g_test_add_func("/wg/uapi/unreadable-endpoint", test_unreadable_endpoint);
	g_test_add_func("/wg/uapi/malformed", test_malformed);
	g_test_add_func("/wg/uapi/error-shows-no-value", test_error_shows_no_value);
	g_test_add_func("/wg/uapi/refused", test_refused);
	g_test_add_func("/wg/uapi/format-set", test_format_set);
	return g_test_run();
}
