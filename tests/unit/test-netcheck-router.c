/* SPDX-License-Identifier: MIT */
/* What netcheck asks routers, and what it takes from them: the messages, and a fake router on
 * loopback that misbehaves as told. */
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/netcheck/net-portmap.h"
#include "agent/netcheck/net-router.h"
#include "agent/netcheck/net-stun.h"
#include "agent/netcheck/net-thread.h"
#include "tests/unit/net-own.h"
#include "tests/unit/net-util.h"

#define DEADLINE_MS 30000

#define SSDP(st, location)                                                                         \
	"HTTP/1.1 200 OK\r\nST: " st "\r\nEXT:\r\nLocation:  " location "\r\n\r\n"
#define IGD "urn:schemas-upnp-org:device:InternetGatewayDevice:1"

static const guint8 PMP[] = {0, 0x80, 0, 0, 0, 0, 0, 9, 203, 0, 113, 7};
static const guint8 PMP_OFF[] = {0, 0x80, 0, 2, 0, 0, 0, 9};
static const guint8 PMP_VERSION[] = {0, 0x80, 0, 1, 0, 0, 0, 9};
static const guint8 PCP[24] = {2, 0x80};
static const guint8 PCP_VERSION[24] = {2, 0x80, 0, 1};

static void
test_portmap_parse(void)
{
	static const guint8 OWN_REQUEST[] = {0, 0};
	guint8 bytes[NET_PORTMAP_ANSWER_MAX + 1] = {2, 0x80};
	NetPortmapAnswer answer;
	WgEndpoint expected;

	g_assert_true(net_portmap_parse(PMP, sizeof PMP, FALSE, &answer));
	g_assert_cmpint(answer.kind, ==, NET_PORTMAP_PMP);
	expected = net_ep("203.0.113.7");
	g_assert_true(wg_endpoint_equal(&answer.external, &expected));
	g_assert_true(net_portmap_parse(PMP_OFF, sizeof PMP_OFF, FALSE, &answer));
	g_assert_cmpuint(answer.code, ==, 2);
	g_assert_true(net_portmap_parse(PCP, sizeof PCP, FALSE, &answer));
	g_assert_cmpint(answer.kind, ==, NET_PORTMAP_PCP);
	/* requests, what is cut, what is too long */
	g_assert_false(net_portmap_parse(OWN_REQUEST, sizeof OWN_REQUEST, FALSE, &answer));
	g_assert_false(net_portmap_parse(PMP, sizeof PMP - 1, FALSE, &answer));
	g_assert_false(net_portmap_parse(PCP, sizeof PCP - 4, FALSE, &answer));
	g_assert_false(net_portmap_parse(bytes, 1104, FALSE, &answer));
	g_assert_false(net_portmap_parse(bytes, sizeof bytes, FALSE, &answer));
	/* 0.0.0.0 is no address */
	memcpy(bytes, PMP, 8);
	g_assert_true(net_portmap_parse(bytes, sizeof PMP, FALSE, &answer));
	g_assert_false(wg_endpoint_is_set(&answer.external));
}

static void
ssdp_gives(const char *text, const char *host)
{
	NetPortmapAnswer answer;

	g_assert_true(net_portmap_parse((const guint8 *)text, strlen(text), TRUE, &answer));
	g_assert_cmpint(answer.kind, ==, NET_PORTMAP_UPNP);
	g_assert_cmpstr(answer.host, ==, host);
}

static void
ssdp_is_none(const char *text)
{
	NetPortmapAnswer answer;

	g_assert_false(net_portmap_parse((const guint8 *)text, strlen(text), TRUE, &answer));
}

static void
test_ssdp_parse(void)
{
	ssdp_gives(SSDP(IGD, "http://192.168.1.1:5000/root.xml"), "192.168.1.1:5000");
	ssdp_gives("HTTP/1.0 200 OK\nlocation:http://r.lan\nst: " IGD, "r.lan");
	/* it is there, though what it says of itself is not shown */
	ssdp_gives(SSDP(IGD, "https://192.168.1.1/"), "");
	ssdp_gives(SSDP(IGD, "http://user:secret@192.168.1.1/"), "");
	ssdp_gives(SSDP(IGD, "http://\033[2J/"), "");
	ssdp_gives(SSDP(IGD,
			"http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"),
		   "");
	ssdp_is_none(SSDP("upnp:rootdevice", "http://192.168.1.1/"));
	ssdp_is_none("HTTP/1.1 404 No\r\nST: " IGD "\r\nLOCATION: http://x/\r\n\r\n");
	ssdp_is_none("HTTP/1.1 200 OK\r\nST: " IGD "\r\n\r\n");
	ssdp_is_none("NOTIFY * HTTP/1.1\r\nNT: " IGD "\r\nLOCATION: http://x/\r\n\r\n");
	ssdp_is_none("HTTP/1.1 200");
	ssdp_is_none("");
}

static void
test_portmap_requests(void)
{
	static const guint8 MAPPED[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2};
	guint8 buf[NET_PORTMAP_REQUEST_MAX];
	WgEndpoint own = net_ep("192.168.1.2"), to = net_ep("239.255.255.250:1900");
	gsize len;

	g_assert_cmpuint(net_portmap_request(NET_PORTMAP_PMP, &own, &to, buf), ==, 2);
	g_assert_true(buf[0] == 0 && buf[1] == 0);
	g_assert_cmpuint(net_portmap_request(NET_PORTMAP_PCP, &own, &to, buf), ==, 24);
	g_assert_true(buf[0] == 2 && buf[1] == 0);
	g_assert_cmpmem(buf + 8, 16, MAPPED, sizeof MAPPED);
	len = net_portmap_request(NET_PORTMAP_UPNP, &own, &to, buf);
	g_assert_nonnull(g_strstr_len((char *)buf, (gssize)len, "HOST: 239.255.255.250:1900\r\n"));
	g_assert_cmpmem(buf + len - 4, 4, "\r\n\r\n", 4);
}

typedef struct {
	int fd, ssdp_fd, stranger;
	guint source, ssdp_source;
	guint16 port, ssdp_port;
	const guint8 *pmp, *pcp; /* NULL: silent */
	gsize pmp_len, pcp_len;
	const char *ssdp;
	gboolean garbage; /* before every answer, and other answers from another address */
	NetRouter router;
	gboolean done;
} FakeRouter;

static void
fake_router_send(const FakeRouter *fake, int fd, const WgEndpoint *to, const void *msg, gsize len)
{
	for (guint8 i = 0; fake->garbage && i < 20; i++) {
		guint8 junk[40] = {i, 0x80, i};

		sendto(fd, junk, i, 0, &to->sa, wg_endpoint_socklen(to));
		sendto(fake->stranger, SSDP(IGD, "http://stranger/"), 90, 0, &to->sa,
		       wg_endpoint_socklen(to));
	}
	if (msg)
		sendto(fd, msg, len, 0, &to->sa, wg_endpoint_socklen(to));
}

static gboolean
on_router_asked(int fd, GIOCondition condition, gpointer user_data)
{
	const FakeRouter *fake = user_data;
	guint8 buf[512];
	WgEndpoint from;
	gssize len = net_recv(fd, buf, sizeof buf, 0, &from);

	if (len == 2)
		fake_router_send(fake, fd, &from, fake->pmp, fake->pmp_len);
	else if (len == 24)
		fake_router_send(fake, fd, &from, fake->pcp, fake->pcp_len);
	else if (len > 0)
		fake_router_send(fake, fd, &from, fake->ssdp, fake->ssdp ? strlen(fake->ssdp) : 0);
	return G_SOURCE_CONTINUE;
}

static void
ask_router(gpointer data)
{
	FakeRouter *fake = data;

	net_router_ask_at(&fake->router, 1, fake->port, fake->ssdp_port);
}

static void
on_router_done(gpointer data)
{
	((FakeRouter *)data)->done = TRUE;
}

static void
fake_router_run(FakeRouter *fake)
{
	fake->fd = net_udp("127.0.0.1:0");
	fake->ssdp_fd = net_udp("127.0.0.1:0");
	fake->stranger = net_udp("127.0.0.2:0");
	fake->port = net_stun_local_port(fake->fd);
	fake->ssdp_port = net_stun_local_port(fake->ssdp_fd);
	fake->source = g_unix_fd_add(fake->fd, G_IO_IN, on_router_asked, fake);
	fake->ssdp_source = g_unix_fd_add(fake->ssdp_fd, G_IO_IN, on_router_asked, fake);
	fake->router.gateway = net_ep("127.0.0.1");
	net_thread_run("router", ask_router, on_router_done, fake);
	g_assert_true(net_wait(&fake->done, DEADLINE_MS));
	g_source_remove(fake->source);
	g_source_remove(fake->ssdp_source);
	close(fake->fd);
	close(fake->ssdp_fd);
	close(fake->stranger);
	g_free(fake->router.upnp_host);
}

static void
router_is(const FakeRouter *fake, NetAnswer pmp, NetAnswer pcp, NetAnswer upnp)
{
	g_assert_cmpint(fake->router.pmp, ==, pmp);
	g_assert_cmpint(fake->router.pcp, ==, pcp);
	g_assert_cmpint(fake->router.upnp, ==, upnp);
}

/* One such router; asked up to three times, for an answer that is late is none. */
static FakeRouter
expect_router(const FakeRouter *such, NetAnswer pmp, NetAnswer pcp, NetAnswer upnp)
{
	FakeRouter fake;

	for (int i = 0; i < 3; i++) {
		fake = *such;
		fake_router_run(&fake);
		if (fake.router.pmp == pmp && fake.router.pcp == pcp && fake.router.upnp == upnp)
			break;
	}
	router_is(&fake, pmp, pcp, upnp);
	return fake;
}

static void
test_router_all(void)
{
	FakeRouter fake = {.pmp = PMP,
			   .pmp_len = sizeof PMP,
			   .pcp = PCP,
			   .pcp_len = sizeof PCP,
			   .ssdp = SSDP(IGD, "http://127.0.0.1:5000/")};

	fake = expect_router(&fake, NET_YES, NET_YES, NET_YES);
	g_assert_true(wg_endpoint_is_set(&fake.router.external));
	g_assert_cmpuint(fake.router.pmp_code + fake.router.pcp_code, ==, 0);
}

/* Each protocol's refusal of the other one is no answer to it. */
static void
test_router_one(void)
{
	FakeRouter pmp = {.pmp = PMP_OFF,
			  .pmp_len = sizeof PMP_OFF,
			  .pcp = PMP_VERSION,
			  .pcp_len = sizeof PMP_VERSION};
	FakeRouter pcp = {.pmp = PCP_VERSION,
			  .pmp_len = sizeof PCP_VERSION,
			  .pcp = PCP,
			  .pcp_len = sizeof PCP};

	pmp = expect_router(&pmp, NET_YES, NET_NO, NET_NO);
	g_assert_cmpuint(pmp.router.pmp_code, ==, 2);
	expect_router(&pcp, NET_NO, NET_YES, NET_NO);
}

/* Rubbish, and what others say, changes nothing. */
static void
test_router_hostile(void)
{
	FakeRouter fake = {.garbage = TRUE, .pcp = PCP, .pcp_len = sizeof PCP};

	expect_router(&fake, NET_NO, NET_YES, NET_NO);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/netcheck-router/parse", test_portmap_parse);
	g_test_add_func("/netcheck-router/ssdp", test_ssdp_parse);
	g_test_add_func("/netcheck-router/requests", test_portmap_requests);
	g_test_add_func("/netcheck-router/all", test_router_all);
	g_test_add_func("/netcheck-router/one", test_router_one);
	g_test_add_func("/netcheck-router/hostile", test_router_hostile);
	return g_test_run();
}
