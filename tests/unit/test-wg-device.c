/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-device.h"

#include <string.h>

static void
check_allowed_ip(const char *text, const char *expected)
{
	g_autofree char *formatted = NULL;
	WgAllowedIp ip;

	g_assert_true(wg_allowed_ip_parse(text, &ip));
	formatted = wg_allowed_ip_format(&ip);
	g_assert_cmpstr(formatted, ==, expected);
}

static void
test_allowed_ip(void)
{
	check_allowed_ip("10.0.0.0/8", "10.0.0.0/8");
	check_allowed_ip("10.1.2.3/8", "10.0.0.0/8");
	check_allowed_ip("10.1.2.255/31", "10.1.2.254/31");
	check_allowed_ip("192.0.2.7", "192.0.2.7/32");
	check_allowed_ip("192.0.2.7/0", "0.0.0.0/0");
	check_allowed_ip("2001:db8::1", "2001:db8::1/128");
	check_allowed_ip("2001:db8:ffff::1/33", "2001:db8:8000::/33");
	check_allowed_ip("::1/0", "::/0");
}

static void
test_bad_allowed_ip(void)
{
	static const char *const bad[] = {
		"",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0/8",
		"10.0.0.0/8 ",
		"10.0.0.0/+8",
		"::/129",
		"fe80::1%1/64",
		"example/8",
		"10.0.0.0/8/8",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/1",
	};
	WgAllowedIp ip;

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		if (wg_allowed_ip_parse(bad[i], &ip))
			g_error("'%s' was taken for an allowed IP", bad[i]);
		g_assert_cmpint(ip.family, ==, 0);
	}
}

static void
test_find(void)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	WgKey absent = {{9}};

	for (guint8 i = 0; i < 3; i++) {
		WgPeer *peer = wg_peer_new();

		peer->public_key.b[0] = i + 1;
		g_ptr_array_add(dev->peers, peer);
	}
	g_assert_true(wg_device_find(dev, &((WgPeer *)dev->peers->pdata[2])->public_key) ==
		      dev->peers->pdata[2]);
	g_assert_null(wg_device_find(dev, &absent));
}

static void
test_copy_is_deep(void)
{
	g_autoptr(WgPeer) peer = wg_peer_new();
	g_autoptr(WgPeer) copy = NULL;
	WgAllowedIp ip = {.family = 2, .cidr = 8};

	peer->keepalive = 25;
	g_array_append_val(peer->allowed_ips, ip);
	copy = wg_peer_copy(peer);
	g_array_set_size(peer->allowed_ips, 0);
	g_assert_cmpuint(copy->keepalive, ==, 25);
	g_assert_cmpuint(copy->allowed_ips->len, ==, 1);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wg/device/allowed-ip", test_allowed_ip);
	g_test_add_func("/wg/device/bad-allowed-ip", test_bad_allowed_ip);
	g_test_add_func("/wg/device/find", test_find);
	g_test_add_func("/wg/device/copy-is-deep", test_copy_is_deep);
	return g_test_run();
}
