/* SPDX-License-Identifier: MIT */
/*
 * The STUN responder's sockets: answers really leave from where CHANGE-REQUEST wants them, and what
 * they tell of addresses is true, for a pair, for one address and for a wildcard.
 */
#include "signaling/sig-stun-site.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/net-own.h"
#include "tests/unit/net-util.h"

enum {
	CHANGE_REQUEST = 0x0003,
	ERROR_CODE = 0x0009,
	PADDING = 0x0026,
	RESPONSE_PORT = 0x0027,
	RESPONSE_ORIGIN = 0x802b,
	OTHER_ADDRESS = 0x802c,
};

#define CHANGE_IP 4u
#define CHANGE_PORT 2u
#define FULL 116 /* room for all by IPv6 */
#define DEADLINE_MS 10000

typedef struct {
	SigStunSite *site;
	SigRateLimit *limit;
	GArray *externals;
	SigStunCounts counts;
	gint64 now;
	guint16 port, next;
} World;

/* second NULL: one address; externals: "LOCAL=PUBLIC"s */
static void
world_open(World *w, const char *first, const char *second, const char *const *externals)
{
	g_autoptr(GArray) stun = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	SigStunPair pair = {.first = net_ep(first)};
	g_autoptr(GError) error = NULL;

	memset(w, 0, sizeof *w);
	if (second)
		pair.second = net_ep(second);
	g_array_append_val(stun, pair.first);
	g_array_append_val(stun, pair.second);
	w->externals = g_array_new(FALSE, FALSE, sizeof(SigStunExternal));
	g_assert_true(sig_stun_external_parse(w->externals, externals, stun, &error));
	w->site = sig_stun_site_new(&pair, w->externals, &error);
	g_assert_no_error(error);
	w->limit = sig_rate_limit_new(64, 50, 10000);
	w->now = G_USEC_PER_SEC;
	w->port = sig_stun_site_port(w->site, &w->next);
	g_assert_cmpuint(w->port, !=, 0);
}

static void
world_close(World *w)
{
	const SigStunCounts *c = &w->counts;

	g_assert_cmpuint(c->requests, ==,
			 c->answered + c->refused + c->malformed + c->rate_limited + c->unsent);
	sig_stun_site_free(w->site);
	sig_rate_limit_free(w->limit);
	g_array_unref(w->externals);
}

static void
serve(World *w)
{
	for (guint i = 0; i < SIG_STUN_SITE_SOCKETS; i++)
		if (sig_stun_site_fd(w->site, i) >= 0)
			sig_stun_site_serve(w->site, i, w->limit, &w->counts, w->now);
}

/* Serves until so many packets have come in. */
static void
serve_until(World *w, guint64 requests)
{
	gint64 end = g_get_monotonic_time() + DEADLINE_MS * G_TIME_SPAN_MILLISECOND;

	for (serve(w); w->counts.requests < requests; serve(w)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_usleep(500);
	}
}

/* ---- a client ---- */

typedef struct {
	guint8 b[1600];
	gsize len;
	WgEndpoint from;
} Packet;

static void
add(Packet *p, guint16 type, gconstpointer value, gsize len)
{
	guint8 *at = p->b + p->len;

	memset(at, 0, 4 + len);
	at[0] = (guint8)(type >> 8);
	at[1] = (guint8)type;
	at[2] = (guint8)(len >> 8);
	at[3] = (guint8)len;
	if (value)
		memcpy(at + 4, value, len);
	p->len += 4 + len;
	p->b[2] = (guint8)((p->len - 20) >> 8);
	p->b[3] = (guint8)(p->len - 20);
}

/* len 0: not padded */
static Packet
request(guint flags, gsize len)
{
	static const guint8 header[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1,  2,
					  3, 4, 5, 6, 7,    8,	  9,	10,   11, 12};
	Packet p = {.len = sizeof header};

	memcpy(p.b, header, sizeof header);
	if (flags != 0)
		add(&p, CHANGE_REQUEST, (const guint8[]){0, 0, 0, (guint8)flags}, 4);
	if (len > p.len)
		add(&p, PADDING, NULL, len - p.len - 4);
	return p;
}

static void
send_to(int fd, const Packet *p, const char *address, guint16 port)
{
	WgEndpoint to = net_ep(address);

	wg_endpoint_set_port(&to, port);
	g_assert_cmpint(sendto(fd, p->b, p->len, 0, &to.sa, wg_endpoint_socklen(&to)), ==, p->len);
}

/* Packet by packet, for the kernel of a loaded machine may lose one. */
static gboolean
serve_one(World *w, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
	guint64 before = w->counts.requests;

	for (serve(w); w->counts.requests == before; serve(w)) {
		if (g_get_monotonic_time() > end)
			return FALSE;
		g_usleep(500);
	}
	return TRUE;
}

static Packet
hear(int fd)
{
	Packet p = {0};
	gssize len = net_recv(fd, p.b, sizeof p.b, DEADLINE_MS, &p.from);

	g_assert_cmpint(len, >=, 20);
	p.len = (gsize)len;
	return p;
}

static Packet
ask(World *w, int fd, const Packet *p, const char *address, guint16 port)
{
	Packet answer = {0};
	gssize len = 0;

	for (int i = 0; i < 20 && len <= 0; i++) {
		send_to(fd, p, address, port);
		if (serve_one(w, 1000))
			len = net_recv(fd, answer.b, sizeof answer.b, 1000, &answer.from);
	}
	g_assert_cmpint(len, >=, 20);
	answer.len = (gsize)len;
	return answer;
}

static void
assert_from(const Packet *p, const char *address, guint16 port)
{
	WgEndpoint wanted = net_ep(address);
	char a[WG_ENDPOINT_STRLEN], b[WG_ENDPOINT_STRLEN];

	wg_endpoint_set_port(&wanted, port);
	g_assert_cmpstr(wg_endpoint_format(&p->from, a), ==, wg_endpoint_format(&wanted, b));
}

static const guint8 *
find(const Packet *p, guint16 type, gsize *len)
{
	for (gsize at = 20; at + 4 <= p->len;) {
		*len = (gsize)(p->b[at + 2] << 8 | p->b[at + 3]);
		if ((p->b[at] << 8 | p->b[at + 1]) == type)
			return p->b + at + 4;
		at += 4 + *len;
	}
	return NULL;
}

/* address NULL: it must not be there */
static void
assert_says(const Packet *p, guint16 type, const char *address, guint16 port)
{
	gsize len = 0;
	const guint8 *value = find(p, type, &len);
	WgEndpoint said, wanted;
	char a[WG_ENDPOINT_STRLEN], b[WG_ENDPOINT_STRLEN];

	if (!address) {
		g_assert_null(value);
		return;
	}
	g_assert_nonnull(value);
	g_assert_true(wg_endpoint_from_bytes(&said, value + 4, len - 4,
					     (guint16)(value[2] << 8 | value[3])));
	wanted = net_ep(address);
	wg_endpoint_set_port(&wanted, port);
	g_assert_cmpstr(wg_endpoint_format(&said, a), ==, wg_endpoint_format(&wanted, b));
}

static guint
error_code(const Packet *p)
{
	gsize len = 0;
	const guint8 *value = find(p, ERROR_CODE, &len);

	return value ? value[2] * 100u + value[3] : 0;
}

/* ---- a pair ---- */

/* All of Table 1, RFC 5780 §6.1, at each of the four sockets. names: as clients are told */
static void
check_table(World *w, int fd, const char *const addresses[2], const char *const names[2])
{
	const guint16 ports[2] = {w->port, w->next};

	for (guint i = 0; i < 4; i++)
		for (guint flags = 0; flags <= (CHANGE_IP | CHANGE_PORT); flags += 2) {
			guint a = i / 2, p = i % 2;
			guint from_a = flags & CHANGE_IP ? !a : a;
			guint from_p = flags & CHANGE_PORT ? !p : p;
			Packet question = request(flags, FULL);
			Packet answer = ask(w, fd, &question, addresses[a], ports[p]);

			assert_from(&answer, addresses[from_a], ports[from_p]);
			g_assert_cmpuint(answer.b[0] << 8 | answer.b[1], ==, 0x0101);
			assert_says(&answer, RESPONSE_ORIGIN, names[from_a], ports[from_p]);
			assert_says(&answer, OTHER_ADDRESS, names[!a], ports[!p]);
			g_assert_cmpuint(answer.len, <=, FULL);
			/* the same without padding is obeyed as well */
			question = request(flags, 0);
			answer = ask(w, fd, &question, addresses[a], ports[p]);
			assert_from(&answer, addresses[from_a], ports[from_p]);
			assert_says(&answer, OTHER_ADDRESS, NULL, 0);
		}
	g_assert_cmpuint(w->counts.answered, >=, 32);
}

static void
test_pair(void)
{
	static const char *const addresses[] = {"127.0.0.1", "127.0.0.2"};
	int fd = net_udp("127.0.0.1");
	World w;

	world_open(&w, "127.0.0.1:0", "127.0.0.2:0", NULL);
	g_assert_true(sig_stun_site_is_pair(w.site));
	g_assert_cmpuint(w.next, ==, w.port + 1);
	check_table(&w, fd, addresses, addresses);
	close(fd);
	world_close(&w);
}

/* A one-to-one NAT is between: clients are told what they can reach. */
static void
test_pair_external(void)
{
	static const char *const addresses[] = {"127.0.0.1", "127.0.0.2"};
	static const char *const names[] = {"203.0.113.4", "203.0.113.5"};
	static const char *const externals[] = {"127.0.0.1=203.0.113.4", "127.0.0.2=203.0.113.5",
						NULL};
	int fd = net_udp("127.0.0.1");
	World w;

	world_open(&w, "127.0.0.1:0", "127.0.0.2:0", externals);
	check_table(&w, fd, addresses, names);
	close(fd);
	world_close(&w);
}

static void
test_pair_v6(void)
{
	static const char *const addresses[] = {"fd00::1", "fd00::2"};
	int fd;
	World w;

	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	net_run("ip addr add fd00::1/64 dev lo nodad");
	net_run("ip addr add fd00::2/64 dev lo nodad");
	fd = net_udp("::1");
	world_open(&w, "[fd00::1]:0", "[fd00::2]:0", NULL);
	check_table(&w, fd, addresses, addresses);
	close(fd);
	world_close(&w);
}

/* P + 1 belongs to somebody else at the second address: no pair, and nothing is told of one. */
static void
test_pair_incomplete(void)
{
	SigStunPair pair = {.first = net_ep("127.0.0.1:0"), .second = net_ep("127.0.0.2:0")};
	int fd = net_udp("127.0.0.1"), taken;
	g_autofree char *other = NULL;
	Packet question = request(0, FULL), answer;
	WgEndpoint next;
	World w;

	/* where all four are free */
	world_open(&w, "127.0.0.1:0", "127.0.0.2:0", NULL);
	wg_endpoint_set_port(&pair.first, w.port);
	wg_endpoint_set_port(&pair.second, w.port);
	sig_stun_site_free(w.site);
	next = pair.second;
	wg_endpoint_set_port(&next, w.next);
	other = g_strdup_printf("127.0.0.2:%u", w.next);
	taken = net_udp(other);
	w.site = sig_stun_site_new(&pair, w.externals, NULL);
	g_assert_nonnull(w.site);
	g_assert_false(sig_stun_site_is_pair(w.site));
	answer = ask(&w, fd, &question, "127.0.0.2", w.port);
	assert_says(&answer, OTHER_ADDRESS, NULL, 0);
	assert_says(&answer, RESPONSE_ORIGIN, "127.0.0.2", w.port);
	question = request(CHANGE_IP, 0);
	answer = ask(&w, fd, &question, "127.0.0.2", w.port);
	g_assert_cmpuint(error_code(&answer), ==, 420);
	assert_from(&answer, "127.0.0.2", w.port);
	question = request(CHANGE_PORT, 0);
	answer = ask(&w, fd, &question, "127.0.0.2", w.port);
	g_assert_cmpuint(error_code(&answer), ==, 420);
	answer = ask(&w, fd, &question, "127.0.0.1", w.port);
	assert_from(&answer, "127.0.0.1", w.next);
	close(taken);
	close(fd);
	world_close(&w);
}

static void
test_second_taken(void)
{
	SigStunPair pair = {.first = net_ep("127.0.0.1:0"), .second = net_ep("192.0.2.77:0")};
	g_autoptr(GArray) externals = g_array_new(FALSE, FALSE, sizeof(SigStunExternal));
	g_autoptr(GError) error = NULL;

	g_assert_null(sig_stun_site_new(&pair, externals, &error));
	g_assert_nonnull(strstr(error->message, "192.0.2.77:"));
	g_assert_nonnull(strstr(error->message, "ip address"));
}

/* ---- one address ---- */

static void
check_one(World *w, int fd, const char *address)
{
	Packet question = request(0, FULL), answer;

	answer = ask(w, fd, &question, address, w->next);
	assert_from(&answer, address, w->next);
	assert_says(&answer, RESPONSE_ORIGIN, address, w->next);
	assert_says(&answer, OTHER_ADDRESS, NULL, 0);
	question = request(CHANGE_PORT, FULL);
	answer = ask(w, fd, &question, address, w->port);
	assert_from(&answer, address, w->next);
	assert_says(&answer, RESPONSE_ORIGIN, address, w->next);
	answer = ask(w, fd, &question, address, w->next);
	assert_from(&answer, address, w->port);
	for (guint flags = CHANGE_IP; flags <= (CHANGE_IP | CHANGE_PORT); flags += 2) {
		question = request(flags, 0);
		answer = ask(w, fd, &question, address, w->port);
		assert_from(&answer, address, w->port);
		g_assert_cmpuint(error_code(&answer), ==, 420);
		g_assert_cmpuint(answer.len, ==, 28);
	}
}

static void
test_one(void)
{
	int fd = net_udp("127.0.0.1");
	World w;

	world_open(&w, "127.0.0.3:0", NULL, NULL);
	g_assert_false(sig_stun_site_is_pair(w.site));
	check_one(&w, fd, "127.0.0.3");
	g_assert_cmpuint(w.counts.answered, >=, 3);
	g_assert_cmpuint(w.counts.refused, >=, 2);
	close(fd);
	world_close(&w);
}

/* At a wildcard each answer leaves from, and tells of, the address that was asked. */
static void
test_wildcard(void)
{
	int fd = net_udp("127.0.0.1");
	World w;

	world_open(&w, "0.0.0.0:0", NULL, NULL);
	check_one(&w, fd, "127.0.0.1");
	check_one(&w, fd, "127.0.0.5");
	check_one(&w, fd, "127.0.0.6");
	close(fd);
	world_close(&w);
}

static void
test_wildcard_external(void)
{
	static const char *const externals[] = {"127.0.0.5=203.0.113.5", NULL};
	int fd = net_udp("127.0.0.1");
	Packet question = request(CHANGE_PORT, FULL), answer;
	World w;

	world_open(&w, "0.0.0.0:0", NULL, externals);
	answer = ask(&w, fd, &question, "127.0.0.5", w.port);
	assert_from(&answer, "127.0.0.5", w.next);
	assert_says(&answer, RESPONSE_ORIGIN, "203.0.113.5", w.next);
	answer = ask(&w, fd, &question, "127.0.0.6", w.port);
	assert_says(&answer, RESPONSE_ORIGIN, "127.0.0.6", w.next);
	close(fd);
	world_close(&w);
}

static void
test_v6(void)
{
	int fd;
	World w;

	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	net_run("ip addr add fd00::2/64 dev lo nodad");
	fd = net_udp("::1");
	world_open(&w, "[::1]:0", NULL, NULL);
	check_one(&w, fd, "::1");
	world_close(&w);
	world_open(&w, "[::]:0", NULL, NULL);
	check_one(&w, fd, "::1");
	check_one(&w, fd, "fd00::2");
	world_close(&w);
	close(fd);
}

/* ---- RESPONSE-PORT ---- */

/* To another socket, and from another one: what asked hears nothing. */
static void
test_response_port(void)
{
	int asks = net_udp("127.0.0.1"), hears = net_udp("127.0.0.1");
	struct sockaddr_in own;
	socklen_t len = sizeof own;
	Packet question = request(CHANGE_IP | CHANGE_PORT, 0), answer;
	World w;

	world_open(&w, "127.0.0.1:0", "127.0.0.2:0", NULL);
	g_assert_cmpint(getsockname(hears, (struct sockaddr *)&own, &len), ==, 0);
	add(&question, RESPONSE_PORT, &own.sin_port, 2);
	question.len += 2; /* padding */
	question.b[3] += 2;
	send_to(asks, &question, "127.0.0.1", w.port);
	serve_until(&w, 1);
	answer = hear(hears);
	assert_from(&answer, "127.0.0.2", w.next);
	g_assert_cmpuint(answer.len, ==, 32);
	g_assert_cmpint(net_recv(asks, answer.b, sizeof answer.b, 0, NULL), ==, 0);
	close(asks);
	close(hears);
	world_close(&w);
}

/* ---- bounds ---- */

/* A source has its rate, whatever it sends, and whichever of the sockets it asks. */
static void
test_rate(void)
{
	int fd = net_udp("127.0.0.1"), other = net_udp("127.0.0.9");
	Packet question = request(CHANGE_IP, 0), broken = request(0, 0);
	guint8 answer[200];
	World w;

	world_open(&w, "127.0.0.1:0", "127.0.0.2:0", NULL);
	sig_rate_limit_free(w.limit);
	w.limit = sig_rate_limit_new(4096, 10, 6);
	broken.b[2] = 0xff;
	for (guint i = 0; i < 4; i++) {
		send_to(fd, &question, i % 2 ? "127.0.0.1" : "127.0.0.2", i < 2 ? w.port : w.next);
		serve_until(&w, w.counts.requests + 1);
	}
	send_to(fd, &broken, "127.0.0.1", w.port); /* costs as much */
	send_to(fd, &broken, "127.0.0.1", w.port);
	serve_until(&w, 6);
	for (guint i = 0; i < 5; i++)
		send_to(fd, &question, "127.0.0.1", w.port);
	serve_until(&w, 11);
	g_assert_cmpuint(w.counts.answered, ==, 4);
	g_assert_cmpuint(w.counts.malformed, ==, 2);
	g_assert_cmpuint(w.counts.rate_limited, ==, 5);
	for (guint i = 0; i < 4; i++)
		g_assert_cmpint(net_recv(fd, answer, sizeof answer, DEADLINE_MS, NULL), ==, 32);
	g_assert_cmpint(net_recv(fd, answer, sizeof answer, 0, NULL), ==, 0);
	/* others are served meanwhile, and it again a while later */
	ask(&w, other, &question, "127.0.0.1", w.port);
	w.now += G_USEC_PER_SEC / 10;
	ask(&w, fd, &question, "127.0.0.1", w.port);
	g_assert_cmpuint(w.counts.answered, ==, 6);
	close(fd);
	close(other);
	world_close(&w);
}

/* What is no request at all is dropped before anything, and counted. */
static void
test_malformed(void)
{
	int fd = net_udp("127.0.0.1");
	Packet question = request(0, 0), answer;
	World w;

	world_open(&w, "127.0.0.1:0", NULL, NULL);
	g_assert_cmpint(w.next, !=, 0);
	for (guint type = 0; type < 4; type++) {
		static const guint8 types[][2] = {{1, 1}, {1, 0x11}, {0, 0x11}, {0, 3}};
		Packet p = question;

		memcpy(p.b, types[type], 2);
		send_to(fd, &p, "127.0.0.1", w.port);
	}
	question.len = 0;
	send_to(fd, &question, "127.0.0.1", w.port);
	question.len = 19;
	send_to(fd, &question, "127.0.0.1", w.port);
	question.len = 20;
	answer = ask(&w, fd, &question, "127.0.0.1", w.port);
	g_assert_cmpuint(answer.len, ==, 32);
	serve_until(&w, 7);
	g_assert_cmpuint(w.counts.malformed, ==, 6);
	g_assert_cmpuint(w.counts.answered, ==, 1);
	close(fd);
	world_close(&w);
}

/* A request from one of our sockets to another, as a forged source would make it: silence. */
static void
test_own_source(void)
{
	Packet question = request(CHANGE_IP | CHANGE_PORT, FULL);
	World w;

	world_open(&w, "127.0.0.1:0", "127.0.0.2:0", NULL);
	for (guint i = 0; i < SIG_STUN_SITE_SOCKETS; i++)
		send_to(sig_stun_site_fd(w.site, i), &question, "127.0.0.1", w.port);
	serve_until(&w, 4);
	serve(&w);
	g_assert_cmpuint(w.counts.requests, ==, 4);
	g_assert_cmpuint(w.counts.malformed, ==, 4);
	world_close(&w);
}

/* Two servers, a forged request between them: one answer, which the other drops. */
static void
test_two_servers(void)
{
	Packet question = request(CHANGE_IP | CHANGE_PORT, FULL);
	World a, b;

	world_open(&a, "127.0.0.1:0", "127.0.0.2:0", NULL);
	world_open(&b, "127.0.0.3:0", "127.0.0.4:0", NULL);
	send_to(sig_stun_site_fd(b.site, 0), &question, "127.0.0.1", a.port);
	serve_until(&a, 1);
	serve_until(&b, 1);
	serve(&a);
	serve(&b);
	g_assert_cmpuint(a.counts.requests, ==, 1);
	g_assert_cmpuint(a.counts.answered, ==, 1);
	g_assert_cmpuint(b.counts.requests, ==, 1);
	g_assert_cmpuint(b.counts.malformed, ==, 1);
	world_close(&a);
	world_close(&b);
}

/* A wildcard socket hears broadcasts: no answer, the address is nobody's. */
static void
test_broadcast(void)
{
	Packet question = request(0, 0);
	int fd, on = 1;
	World w;

	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	net_run("ip addr add 192.0.2.1/24 brd 192.0.2.255 dev lo");
	fd = net_udp("192.0.2.1");
	g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on), ==, 0);
	world_open(&w, "0.0.0.0:0", NULL, NULL);
	send_to(fd, &question, "192.0.2.255", w.port);
	serve_until(&w, 1);
	g_assert_cmpuint(w.counts.unsent, ==, 1);
	close(fd);
	world_close(&w);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/stun-site/pair", test_pair);
	g_test_add_func("/sig/stun-site/pair-external", test_pair_external);
	g_test_add_func("/sig/stun-site/pair-incomplete", test_pair_incomplete);
	g_test_add_func("/sig/stun-site/second-taken", test_second_taken);
	g_test_add_func("/sig/stun-site/one", test_one);
	g_test_add_func("/sig/stun-site/wildcard", test_wildcard);
	g_test_add_func("/sig/stun-site/wildcard-external", test_wildcard_external);
	g_test_add_func("/sig/stun-site/response-port", test_response_port);
	g_test_add_func("/sig/stun-site/rate", test_rate);
	g_test_add_func("/sig/stun-site/malformed", test_malformed);
	g_test_add_func("/sig/stun-site/own-source", test_own_source);
	g_test_add_func("/sig/stun-site/two-servers", test_two_servers);
	/* these leave the machine's network */
	g_test_add_func("/sig/stun-site/v6", test_v6);
	g_test_add_func("/sig/stun-site/pair-v6", test_pair_v6);
	g_test_add_func("/sig/stun-site/broadcast", test_broadcast);
	return g_test_run();
}
