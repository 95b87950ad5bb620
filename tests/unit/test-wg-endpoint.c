/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-endpoint.h"

#include <arpa/inet.h>
#include <string.h>

static WgEndpoint
parse(const char *text)
{
	WgEndpoint ep;

	g_assert_true(wg_endpoint_parse(text, &ep));
	return ep;
}

static void
test_round_trip(void)
{
	static const char *const good[] = {
		"192.0.2.1:51820",
		"0.0.0.0:0",
		"255.255.255.255:65535",
		"[2001:db8::1]:51820",
		"[::]:1",
		"[fe80::1%7]:51820",
		"[::ffff:192.0.2.1]:5182",
		"[fe80::1]:51820",
		"[fe80:2222:3333:4444:5555:6666:7777:8888%2147483647]:65535",
	};
	char buf[WG_ENDPOINT_STRLEN];

	for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
		WgEndpoint ep = parse(good[i]);

		g_assert_cmpstr(wg_endpoint_format(&ep, buf), ==, good[i]);
	}
}

static void
test_bad_text(void)
{
	static const char *const bad[] = {
		"",
		":",
		":1",
		"192.0.2.1",
		"192.0.2.1:",
		"192.0.2.1:65536",
		"192.0.2.1:-1",
		"192.0.2.1:+1",
		"192.0.2.1: 1",
		"192.0.2.1:1 ",
		"192.0.2.01.5:1",
		"192.0.2:1",
		"example.org:1",
		"2001:db8::1:51820", /* without brackets: an address without a port */
		"[192.0.2.1]:1",
		"[2001:db8::1]",
		"[2001:db8::1]1",
		"[2001:db8::1:1",
		"[]:1",
		"[:1",
		"[2001:db8::1%7]:1", /* a scope where none belongs */
		"[fe80::1%]:1",
		"[fe80::1%0]:1",
		"[fe80::1%nosuchinterface0]:1",
		"[fe80::1%99999999999]:1",
		"[fe80:2222:3333:4444:5555:6666:7777:8888%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:1",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		WgEndpoint ep;

		memset(&ep, 0xff, sizeof ep);
		if (wg_endpoint_parse(bad[i], &ep))
			g_error("'%s' was taken for an endpoint", bad[i]);
		g_assert_false(wg_endpoint_is_set(&ep));
	}
}

static void
test_scope_by_name(void)
{
	WgEndpoint ep = parse("[fe80::1%lo]:9");

	g_assert_cmpuint(ep.v6.sin6_scope_id, ==, 1);
}

static void
test_unset(void)
{
	WgEndpoint ep = {0}, other = {0};
	char buf[WG_ENDPOINT_STRLEN];
	gsize len = 1;

	g_assert_false(wg_endpoint_is_set(&ep));
	g_assert_cmpstr(wg_endpoint_format(&ep, buf), ==, "(none)");
	g_assert_null(wg_endpoint_bytes(&ep, &len));
	g_assert_cmpuint(len, ==, 0);
	g_assert_cmpuint(wg_endpoint_socklen(&ep), ==, 0);
	g_assert_true(wg_endpoint_equal(&ep, &other));
	g_assert_true(wg_endpoint_is_bogus(&ep));
	wg_endpoint_set_port(&ep, 5);
	g_assert_cmpuint(wg_endpoint_port(&ep), ==, 0);
}

static void
test_equal(void)
{
	WgEndpoint a = parse("192.0.2.1:1"), b = parse("192.0.2.1:2");
	WgEndpoint six = parse("[2001:db8::1]:1"), other = parse("[2001:db8::1]:1");
	WgEndpoint here = parse("[fe80::1%1]:1"), there = parse("[fe80::1%2]:1");

	g_assert_false(wg_endpoint_equal(&a, &b));
	g_assert_true(wg_endpoint_same_address(&a, &b));
	g_assert_false(wg_endpoint_equal(&a, &six));
	/* Neither belongs to who the endpoint is. */
	other.v6.sin6_flowinfo = 7;
	other.v6.sin6_scope_id = 7;
	g_assert_true(wg_endpoint_equal(&six, &other));
	g_assert_cmpuint(wg_endpoint_hash(&six), ==, wg_endpoint_hash(&other));
	g_assert_false(wg_endpoint_equal(&here, &there));
}

static void
test_from_sockaddr(void)
{
	WgEndpoint mapped = parse("[::ffff:192.0.2.1]:7"), four = parse("192.0.2.1:7"), out;
	struct {
		guint8 offset;
		struct sockaddr_in6 sa;
	} __attribute__((packed)) odd = {.sa = parse("[fe80::1%3]:9").v6};
	struct sockaddr unix_address = {.sa_family = AF_UNIX};

	g_assert_true(wg_endpoint_from_sockaddr(&out, &mapped, sizeof mapped.v6));
	g_assert_true(wg_endpoint_equal(&out, &four));
	g_assert_true(wg_endpoint_from_sockaddr(&out, (char *)&odd + 1, sizeof odd.sa));
	g_assert_cmpuint(out.v6.sin6_scope_id, ==, 3);
	g_assert_false(wg_endpoint_from_sockaddr(&out, &mapped, sizeof mapped.v6 - 1));
	g_assert_false(wg_endpoint_is_set(&out));
	g_assert_false(wg_endpoint_from_sockaddr(&out, &four, sizeof four.v4 - 1));
	g_assert_false(wg_endpoint_from_sockaddr(&out, &four, 0));
	g_assert_false(wg_endpoint_from_sockaddr(&out, &unix_address, sizeof unix_address));
}

static void
test_from_bytes(void)
{
	static const guint8 bytes[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	WgEndpoint out, expected = parse("[2001:db8::1]:53");
	gsize len;

	g_assert_true(wg_endpoint_from_bytes(&out, bytes, 16, 53));
	g_assert_true(wg_endpoint_equal(&out, &expected));
	g_assert_cmpmem(wg_endpoint_bytes(&out, &len), 16, bytes, 16);
	g_assert_true(wg_endpoint_from_bytes(&out, bytes, 4, 53));
	g_assert_cmpint(wg_endpoint_family(&out), ==, AF_INET);
	g_assert_cmpuint(wg_endpoint_socklen(&out), ==, sizeof(struct sockaddr_in));
	g_assert_false(wg_endpoint_from_bytes(&out, bytes, 5, 53));
}

static void
test_loopback(void)
{
	static const char *const ours[] = {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1"};
	static const char *const others[] = {"128.0.0.1:1", "0.0.0.0:1", "[::]:1", "[::2]:1",
					     "192.0.2.1:1"};
	WgEndpoint unset = {0};

	for (gsize i = 0; i < G_N_ELEMENTS(ours); i++) {
		WgEndpoint ep = parse(ours[i]);

		g_assert_true(wg_endpoint_is_loopback(&ep));
	}
	for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
		WgEndpoint ep = parse(others[i]);

		g_assert_false(wg_endpoint_is_loopback(&ep));
	}
	g_assert_false(wg_endpoint_is_loopback(&unset));
}

static void
test_bogus(void)
{
	static const char *const bogus[] = {
		"127.0.0.1:1",	     "127.9.9.9:1", "0.0.0.0:1",       "0.1.2.3:1",
		"224.0.0.1:1",	     "239.1.1.1:1", "[::]:1",	       "[::1]:1",
		"255.255.255.255:1", "[ff02::1]:1", "[::192.0.2.1]:1", "[::ffff:192.0.2.1]:1",
	};
	static const char *const fine[] = {
		"192.0.2.1:1", "10.0.0.1:1",  "169.254.1.1:1",
		"[fe80::1]:1", "[fd00::1]:1", "[2001:db8::1]:1",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(bogus); i++) {
		WgEndpoint ep = parse(bogus[i]);

		g_assert_true(wg_endpoint_is_bogus(&ep));
	}
	for (gsize i = 0; i < G_N_ELEMENTS(fine); i++) {
		WgEndpoint ep = parse(fine[i]);

		g_assert_false(wg_endpoint_is_bogus(&ep));
	}
}

static void
test_wildcard(void)
{
	static const char *const others[] = {"127.0.0.1:1", "0.0.0.1:1", "192.0.2.1:1", "[::1]:1",
					     "[::ffff:0.0.0.0]:1"};
	WgEndpoint v4 = parse("0.0.0.0:1"), v6 = parse("[::]:1"), unset = {0};

	g_assert_true(wg_endpoint_is_wildcard(&v4));
	g_assert_true(wg_endpoint_is_wildcard(&v6));
	g_assert_false(wg_endpoint_is_wildcard(&unset));
	for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
		WgEndpoint ep = parse(others[i]);

		g_assert_false(wg_endpoint_is_wildcard(&ep));
	}
}

static void
test_private(void)
{
	static const char *const PRIVATE[] = {
		"10.0.0.0:1",	 "10.255.255.255:1",  "172.16.0.1:1", "172.31.255.255:1",
		"192.168.0.1:1", "192.168.255.255:1", "100.64.0.1:1", "100.127.255.255:1",
		"169.254.1.1:1", "[fc00::1]:1",	      "[fdff::1]:1",  "[fe80::1%1]:1",
	};
	static const char *const PUBLIC[] = {
		"9.255.255.255:1", "11.0.0.0:1",      "172.15.255.255:1", "172.32.0.0:1",
		"192.167.1.1:1",   "192.169.0.0:1",   "100.63.255.255:1", "100.128.0.0:1",
		"203.0.113.1:1",   "[2001:db8::1]:1", "[fbff::1]:1",	  "[fe00::1]:1",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(PRIVATE); i++) {
		WgEndpoint ep = parse(PRIVATE[i]);

		g_test_message("%s", PRIVATE[i]);
		g_assert_true(wg_endpoint_is_private(&ep));
	}
	for (gsize i = 0; i < G_N_ELEMENTS(PUBLIC); i++) {
		WgEndpoint ep = parse(PUBLIC[i]);

		g_test_message("%s", PUBLIC[i]);
		g_assert_false(wg_endpoint_is_private(&ep));
	}
	g_assert_false(wg_endpoint_is_private(&(WgEndpoint){0}));
}

static void
test_link_local(void)
{
	WgEndpoint four = parse("169.254.1.1:1"), six = parse("[fe80::1]:1");
	WgEndpoint no = parse("[fec0::1]:1"), none = {0};

	g_assert_true(wg_endpoint_is_link_local(&four));
	g_assert_true(wg_endpoint_is_link_local(&six));
	g_assert_false(wg_endpoint_is_link_local(&no));
	g_assert_false(wg_endpoint_is_link_local(&none));
}

static void
test_arrays(void)
{
	static const char *const TEXTS[] = {"192.0.2.1:1", "192.0.2.1:2", "[2001:db8::1]:1"};
	g_autoptr(GArray) array = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	WgEndpoint eps[3], swapped[3], other;

	for (gsize i = 0; i < 3; i++) {
		g_assert_true(wg_endpoint_parse(TEXTS[i], &eps[i]));
		swapped[2 - i] = eps[i];
		wg_endpoint_array_add(array, &eps[i], wg_endpoint_same);
		wg_endpoint_array_add(array, &eps[i], wg_endpoint_same);
	}
	g_assert_cmpuint(array->len, ==, 3);
	g_assert_true(wg_endpoint_parse("192.0.2.1:3", &other));
	g_assert_false(wg_endpoint_array_has(array, &other, wg_endpoint_same));
	g_assert_true(wg_endpoint_array_has(array, &other, wg_endpoint_same_address));
	g_assert_true(wg_endpoint_array_equal(array, eps, 3));
	g_assert_false(wg_endpoint_array_equal(array, eps, 2));
	g_assert_false(wg_endpoint_array_equal(array, swapped, 3));
	g_assert_true(wg_endpoint_array_equal_set(array, swapped, 3, wg_endpoint_same));
	g_assert_false(wg_endpoint_array_equal_set(array, swapped, 2, wg_endpoint_same));
	swapped[0] = other;
	g_assert_false(wg_endpoint_array_equal_set(array, swapped, 3, wg_endpoint_same));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wg/endpoint/round-trip", test_round_trip);
	g_test_add_func("/wg/endpoint/bad-text", test_bad_text);
	g_test_add_func("/wg/endpoint/scope-by-name", test_scope_by_name);
	g_test_add_func("/wg/endpoint/unset", test_unset);
	g_test_add_func("/wg/endpoint/equal", test_equal);
	g_test_add_func("/wg/endpoint/from-sockaddr", test_from_sockaddr);
	g_test_add_func("/wg/endpoint/from-bytes", test_from_bytes);
	g_test_add_func("/wg/endpoint/bogus", test_bogus);
	g_test_add_func("/wg/endpoint/loopback", test_loopback);
	g_test_add_func("/wg/endpoint/wildcard", test_wildcard);
	g_test_add_func("/endpoint/private", test_private);
	g_test_add_func("/wg/endpoint/link-local", test_link_local);
	g_test_add_func("/wg/endpoint/arrays", test_arrays);
	return g_test_run();
}
