/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-procnet.h"
#include "tests/unit/net-util.h"

#include <string.h>

#define HEADER                                                                                     \
	"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "     \
	"timeout inode ref pointer drops            \n"
#define REST                                                                                       \
	" 07 00000000:00000000 00:00000000 00000000     0        0 21031 2 0000000000000000 0   "  \
	"      \n"

static const char UDP[] =
	HEADER "  325: 00000000:CA6C 00000000:0000" REST  /* 51820 */
	       " 4022: 0100007F:0035 0100007F:9C40" REST; /* 53, connected to 40000 */

static const char UDP6[] = HEADER
	" 1301: 00000000000000000000000000000000:CA6C 00000000000000000000000000000000:0000" REST
	" 2222: 000080FE00000000FF005450B6AD1DFE:0222 00000000000000000000000000000000:0000" REST;

static void
test_ipv4(void)
{
	g_assert_true(nat_procnet_has_port(UDP, 51820));
	g_assert_true(nat_procnet_has_port(UDP, 53));
	g_assert_false(nat_procnet_has_port(UDP, 40000)); /* the other end's */
	g_assert_false(nat_procnet_has_port(UDP, 0));
	g_assert_false(nat_procnet_has_port(UDP, 0xA6C));
	g_assert_false(nat_procnet_has_port(UDP, 51821));
	g_assert_false(nat_procnet_has_port(UDP, 0x325));
}

static void
test_ipv6(void)
{
	g_assert_true(nat_procnet_has_port(UDP6, 51820));
	g_assert_true(nat_procnet_has_port(UDP6, 0x222)); /* leading zero */
	g_assert_false(nat_procnet_has_port(UDP6, 0x1DFE));
}

static void
test_odd_text(void)
{
	g_autoptr(GString) text = g_string_new("1: ");

	g_assert_false(nat_procnet_has_port("", 51820));
	g_assert_false(nat_procnet_has_port("\n\n", 51820));
	g_assert_false(nat_procnet_has_port(HEADER, 51820));
	g_assert_false(nat_procnet_has_port(" 1: CA6C", 51820));
	g_assert_false(nat_procnet_has_port(" 1 00000000:CA6C", 51820));
	for (int i = 0; i < 100000; i++)
		g_string_append(text, "0:CA6");
	g_assert_false(nat_procnet_has_port(text->str, 51820));
}

static char *
problem(guint16 port, gboolean with_key, gboolean *fatal)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg7");

	dev->listen_port = port;
	if (with_key)
		wg_key_generate_private(&dev->private_key);
	return nat_procnet_problem(dev, fatal);
}

static void
expect_problem(guint16 port, gboolean with_key, const char *word, gboolean want_fatal)
{
	gboolean fatal;
	g_autofree char *text = problem(port, with_key, &fatal);

	g_assert_nonnull(text);
	g_assert_nonnull(strstr(text, word));
	g_assert_null(strchr(text, '\n'));
	g_assert_cmpint(fatal, ==, want_fatal);
}

/* /proc/self/net is the namespace of the process's first thread: the daemon's host thread, and this
 * test's. */
static void
test_problem(void)
{
	int v4 = net_udp("127.0.0.1:0");
	WgEndpoint own = net_own_address(v4);
	guint16 port = wg_endpoint_port(&own);
	g_autofree char *none = NULL;
	gboolean fatal;

	expect_problem(port, FALSE, "private-key", FALSE);
	expect_problem(0, TRUE, "ip link set wg7 up", FALSE);
	none = problem(port, TRUE, &fatal);
	g_assert_null(none);
	close(v4);
	expect_problem(port, TRUE, "not bound", TRUE);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/procnet/ipv4", test_ipv4);
	g_test_add_func("/procnet/ipv6", test_ipv6);
	g_test_add_func("/procnet/odd-text", test_odd_text);
	g_test_add_func("/procnet/problem", test_problem);
	return g_test_run();
}
