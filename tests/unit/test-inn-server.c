/* SPDX-License-Identifier: MIT */
/*
 * The laboratory's innernet server (tests/innernet) against what is known of the real one: what it
 * takes, which status it gives to whom, what others are told. The expectations are the real
 * server's.
 */
#include "api.h"
#include "db-file.h"
#include "form.h"
#include "net-util.h"
#include "server.h"
#include "strict.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define KEY_C "AgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICE="
#define NOW 1000000

static void
endpoints(void)
{
	static const struct {
		const char *text, *printed;
	} cases[] = {
		{"198.51.100.10:45944", "198.51.100.10:45944"},
		{"198.51.100.10:0", "198.51.100.10:0"},
		{"198.51.100.10:+7", "198.51.100.10:7"},
		{"198.51.100.10:00007", "198.51.100.10:7"},
		{"198.51.100.10:65536", NULL},
		{"198.51.100.10:-1", NULL},
		{"198.51.100.10:", NULL},
		{"198.51.100.10", NULL},
		{":7", NULL},
		{"0xc6.0x33.100.10:7", "198.51.100.10:7"},
		{"0306.063.0144.012:7", "198.51.100.10:7"},
		{"198.51.25610:7", "198.51.100.10:7"},
		{"3325256714:7", "198.51.100.10:7"},
		{"198.51.100.10.:7", "198.51.100.10:7"},
		{"198.51.100.256:7", NULL},
		{"1.2.3.4.5:7", NULL},
		{"name.1:7", NULL},
		{"08:7", NULL},
		{"[2001:DB8:0:0:0:0:0:1]:7", "[2001:db8::1]:7"},
		{"[2001:db8:0:0:1:0:0:1]:7", "[2001:db8::1:0:0:1]:7"},
		{"[2001:db8:0:1:1:1:1:1]:7", "[2001:db8:0:1:1:1:1:1]:7"},
		{"[::]:7", "[::]:7"},
		{"[1::]:7", "[1::]:7"},
		{"[::ffff:1.2.3.4]:5", "[::ffff:102:304]:5"},
		{"[fe80::1%eth0]:5", NULL},
		{"[fe80::1%3]:5", NULL},
		{"[::1:5", NULL},
		{"[]:5", NULL},
		{"2001:db8::1:51820", NULL},
		{"[100::1:2:3:4]:28225", "[100::1:2:3:4]:28225"},
		{"Host.Example:7", "host.example:7"},
		{"under_score:7", "under_score:7"},
		{"b\xc3\xbc"
		 "cher.example:7",
		 "xn--bcher-kva.example:7"},
		{"a%62c:7", "abc:7"},
		{"a b:7", NULL},
		{"user@host:7", NULL},
		{"http://host:7", NULL},
		{"host/:7", NULL},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *printed = text_endpoint(cases[i].text);

		g_test_message("%s", cases[i].text);
		g_assert_cmpstr(printed, ==, cases[i].printed);
	}
}

static void
names(void)
{
	g_autofree char *longest = g_strnfill(63, 'a'), *longer = g_strnfill(64, 'a');

	g_assert_true(text_is_name("a"));
	g_assert_true(text_is_name("a-1"));
	g_assert_true(text_is_name(longest));
	g_assert_false(text_is_name(longer));
	g_assert_false(text_is_name(""));
	g_assert_false(text_is_name("-a"));
	g_assert_false(text_is_name("a-"));
	g_assert_false(text_is_name("a--b"));
	g_assert_false(text_is_name("A"));
	g_assert_false(text_is_name("a.b"));
}

static void
json(void)
{
	static const struct {
		const char *text;
		gboolean good;
	} cases[] = {
		{"[]", TRUE},
		{" {\"a\" : [1, -0.5e+3, true, null, \"\\u00e9\\ud83d\\ude00\\n\"]}\r\n", TRUE},
		{"", FALSE},
		{"[] []", FALSE},
		{"[1,]", FALSE},
		{"{\"a\":1,}", FALSE},
		{"{a:1}", FALSE},
		{"{'a':1}", FALSE},
		{"{\"a\":1,\"a\":2}", FALSE},
		{"[01]", FALSE},
		{"[1.]", FALSE},
		{"[+1]", FALSE},
		{"[NaN]", FALSE},
		{"[1] // no", FALSE},
		{"[/**/1]", FALSE},
		{"[\"\t\"]", FALSE},
		{"[\"\\x\"]", FALSE},
		{"[\"\\ud800\"]", FALSE},
		{"[\"\xff\"]", FALSE},
		{"[", FALSE},
		{"nul", FALSE},
	};
	g_autofree char *deep = g_strnfill(200, '[');

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(JsonNode) node = strict_parse(cases[i].text, strlen(cases[i].text), NULL);

		g_test_message("%s", cases[i].text);
		g_assert_true((node != NULL) == cases[i].good);
	}
	g_assert_null(strict_parse(deep, strlen(deep), NULL));
}

static void
requests(void)
{
	static const struct {
		const char *text;
		gssize status; /* 0: more is needed, 1: good */
	} cases[] = {
		{"GET /v1 HTTP/1.1\r\n\r\n", 1},
		{"\r\nGET /v1 HTTP/1.1\nA: b\n\n", 1},
		{"GET /v1 HTTP/1.1\r\nA: b\r\n", 0},
		{"GET /v1 HTTP/1.0\r\n\r\n", 1},
		{"GET /v1 HTTP/2.0\r\n\r\n", -400},
		{"GET  /v1 HTTP/1.1\r\n\r\n", -400},
		{"GET v1 HTTP/1.1\r\n\r\n", -400},
		{"G{T /v1 HTTP/1.1\r\n\r\n", -400},
		{"GET /v1\r\n\r\n", -400},
		{"GET /v1 HTTP/1.1\r\nA : b\r\n\r\n", -400},
		{"GET /v1 HTTP/1.1\r\nA: b\r\n c\r\n\r\n", -400},
		{"GET /v1 HTTP/1.1\r\nA: \x01\r\n\r\n", -400},
		{"GET /v1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n", -400},
		{"GET /v1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", -400},
		{"GET /v1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 1},
		{"GET /v1 HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", -400},
		{"GET /v1 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
		{"GET /v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 1},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(Request) request = {0};
		gssize n = request_parse(cases[i].text, strlen(cases[i].text), &request);

		g_test_message("%s", cases[i].text);
		g_assert_cmpint(n > 0 ? 1 : n, ==, cases[i].status);
		if (n > 0)
			g_assert_cmpint(n, ==, strlen(cases[i].text));
	}
}

static void
many_headers(void)
{
	for (guint n = 100; n <= 101; n++) {
		g_autoptr(GString) text = g_string_new("GET / HTTP/1.1\r\n");
		g_auto(Request) request = {0};
		gssize got;

		for (guint i = 0; i < n; i++)
			g_string_append(text, "A: b\r\n");
		g_string_append(text, "\r\n");
		got = request_parse(text->str, text->len, &request);
		g_assert_cmpint(got, ==, n == 100 ? (gssize)text->len : -431);
	}
}

/* A network as it comes out of the box, with CIDR humans (3) of 10.66.1.0/24, and pa and pb there.
 */
typedef struct {
	Db *db;
	Api api;
	char key[WG_KEY_STRLEN];
	gboolean swapped;
} World;

static gboolean
on_added(const DbPeer *peer, gpointer user_data)
{
	return TRUE;
}

static void
on_redeemed(const DbPeer *peer, const char *old_key, gpointer user_data)
{
	World *world = user_data;

	world->swapped = TRUE;
}

static DbPeer *
add_peer(World *world, const char *name, const char *ip, const char *key)
{
	WgEndpoint address = net_ep(ip);
	g_autoptr(GError) error = NULL;
	DbPeer *peer = db_peer_new(name, &address, db_cidr_for(world->db, &address)->id, key);

	peer->is_redeemed = TRUE;
	peer = db_peer_add_take(world->db, peer, &error);
	g_assert_no_error(error);
	return peer;
}

static DbCidr *
add_cidr(World *world, const char *name, const char *net, gint64 parent)
{
	g_autoptr(GError) error = NULL;
	TextNet parsed;
	DbCidr *cidr;

	g_assert_true(text_net_parse(net, &parsed));
	cidr = db_cidr_add(world->db, name, &parsed, parent, &error);
	g_assert_no_error(error);
	return cidr;
}

static void
world_init(World *world)
{
	WgKey private_key = {{1}}, public;
	TextNet net;

	memset(world, 0, sizeof *world);
	text_net_parse("10.66.0.1/16", &net);
	world->db =
		db_new("/nonexistent", "evilcorp", &net, 51820, &private_key, "s.example:51820");
	add_cidr(world, "humans", "10.66.1.0/24", DB_ROOT_CIDR);
	add_peer(world, "pa", "10.66.1.1", KEY_A);
	add_peer(world, "pb", "10.66.1.2", KEY_B);
	wg_key_public_from_private(&private_key, &public);
	wg_key_format(&public, world->key);
	world->api = (Api){
		.db = world->db,
		.public_key = public,
		.observed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
		.peer_added = on_added,
		.peer_redeemed = on_redeemed,
		.user_data = world,
	};
}

static void
world_clear(World *world)
{
	g_hash_table_unref(world->api.observed);
	db_free(world->db);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_clear)

static void
observe(World *world, const char *key, const char *endpoint)
{
	WgEndpoint ep = net_ep(endpoint);

	g_hash_table_insert(world->api.observed, g_strdup(key), g_memdup2(&ep, sizeof ep));
}

/* "METHOD PATH"; the body's length is announced where there is one. */
static guint
call_from(World *world, const char *source, const char *what, const char *body, char **answer)
{
	g_auto(GStrv) words = g_strsplit(what, " ", 2);
	Request request = {.method = words[0], .path = words[1], .server_key = world->key};
	ApiCall call = {&request, net_ep(source), body, body == NULL ? 0 : strlen(body), NOW};
	g_auto(ApiAnswer) reply = {0};

	request.has_length = body != NULL;
	request.length = call.body_len;
	api_answer(&world->api, &call, &reply);
	if (answer != NULL)
		*answer = g_steal_pointer(&reply.body);
	else if (reply.status >= 400)
		g_assert_null(reply.body);
	return reply.status;
}

static guint
call(World *world, const char *what, const char *body)
{
	return call_from(world, "10.66.1.1", what, body, NULL);
}

static void
statuses(void)
{
	g_auto(World) world = {0};
	DbPeer *invited;

	world_init(&world);
	invited = add_peer(&world, "pc", "10.66.1.3", KEY_C);
	invited->is_redeemed = FALSE;
	g_assert_cmpuint(call(&world, "GET /v1/user/state", NULL), ==, 200);
	g_assert_cmpuint(call(&world, "GET //v1/user/state/more", NULL), ==, 200);
	g_assert_cmpuint(call(&world, "GET /v1/user/capabilities", NULL), ==, 200);
	g_assert_cmpuint(call(&world, "POST /v1/user/state", NULL), ==, 404);
	g_assert_cmpuint(call(&world, "HEAD /v1/user/state", NULL), ==, 404);
	g_assert_cmpuint(call(&world, "GET /v1/user/nothing", NULL), ==, 404);
	g_assert_cmpuint(call(&world, "GET /v1/user", NULL), ==, 404);
	g_assert_cmpuint(call(&world, "GET /v1", NULL), ==, 404);
	g_assert_cmpuint(call(&world, "GET /v2/user/state", NULL), ==, 404);
	g_assert_cmpuint(call(&world, "GET /", NULL), ==, 404);
	g_assert_cmpuint(call(&world, "GET /v1/admin/peers", NULL), ==, 401);
	g_assert_cmpuint(call(&world, "GET /v1/admin/nothing", NULL), ==, 401);
	g_assert_cmpuint(call(&world, "POST /v1/user/redeem", "{\"public_key\":\"x\"}"), ==, 401);
	/* strangers, the invited, the disabled */
	g_assert_cmpuint(call_from(&world, "10.66.9.9", "GET /v1/user/state", NULL, NULL), ==, 401);
	g_assert_cmpuint(call_from(&world, "10.66.9.9", "GET /v2", NULL, NULL), ==, 404);
	g_assert_cmpuint(call_from(&world, "10.66.1.3", "GET /v1/user/state", NULL, NULL), ==, 401);
	g_assert_cmpuint(call_from(&world, "10.66.1.3", "PUT /v1/user/candidates", "[]", NULL), ==,
			 401);
	g_assert_cmpuint(call_from(&world, "10.66.1.3", "GET /v1/user/capabilities", NULL, NULL),
			 ==, 200);
	db_peer_by_name(world.db, "pa")->is_disabled = TRUE;
	g_assert_cmpuint(call(&world, "GET /v1/user/state", NULL), ==, 401);
	g_assert_cmpuint(call(&world, "GET /v1/user/capabilities", NULL), ==, 401);
}

static void
keys(void)
{
	static const char *const bad[] = {KEY_A, "", "!!!", NULL};
	g_auto(World) world = {0};

	world_init(&world);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		Request request = {.method = (char *)"GET",
				   .path = (char *)"/v1/user/state",
				   .server_key = (char *)bad[i]};
		ApiCall with_bad_key = {&request, net_ep("10.66.1.1"), NULL, 0, NOW};
		g_auto(ApiAnswer) reply = {0};

		api_answer(&world.api, &with_bad_key, &reply);
		g_assert_cmpuint(reply.status, ==, 401);
	}
}

static void
bodies(void)
{
	g_auto(World) world = {0};
	Request request = {.method = (char *)"PUT", .path = (char *)"/v1/user/candidates"};
	ApiCall put = {&request, net_ep("10.66.1.1"), NULL, 0, NOW};
	ApiAnswer reply;

	world_init(&world);
	request.server_key = world.key;
	api_answer(&world.api, &put, &reply);
	g_assert_cmpuint(reply.status, ==, 400); /* no length */
	request.has_length = TRUE;
	request.length = 16385;
	api_answer(&world.api, &put, &reply);
	g_assert_cmpuint(reply.status, ==, 400);
	request.length = 16384;
	api_answer(&world.api, &put, &reply);
	g_assert_cmpuint(reply.status, ==, 0); /* to be read */
	request.is_chunked = TRUE;
	api_answer(&world.api, &put, &reply);
	g_assert_cmpuint(reply.status, ==, 400);
}

static char *
state_of(World *world, const char *source)
{
	char *answer;

	g_assert_cmpuint(call_from(world, source, "GET /v1/user/state", NULL, &answer), ==, 200);
	return answer;
}

static void
state(void)
{
	g_auto(World) world = {0};
	g_autofree char *answer = NULL, *expected = NULL;
	DbPeer *pa;

	world_init(&world);
	pa = db_peer_by_name(world.db, "pa");
	pa->is_admin = TRUE;
	pa->invite_expires = 1798010684;
	observe(&world, KEY_A, "198.51.100.10:45944");
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", "[\"192.168.1.2:45944\"]"), ==,
			 204);
	answer = state_of(&world, "10.66.1.2");
	expected = g_strdup_printf(
		"{\"peers\":[{\"id\":1,\"name\":\"innernet-server\",\"ip\":\"10.66.0.1\",\"cidr_"
		"id\":2,"
		"\"public_key\":\"%s\",\"endpoint\":\"s.example:51820\","
		"\"persistent_keepalive_interval\":25,\"is_admin\":true,\"is_disabled\":false,"
		"\"is_redeemed\":true,\"invite_expires\":null,\"candidates\":[]},"
		"{\"id\":2,\"name\":\"pa\",\"ip\":\"10.66.1.1\",\"cidr_id\":3,\"public_key\":"
		"\"" KEY_A
		"\",\"endpoint\":\"198.51.100.10:45944\",\"persistent_keepalive_interval\":25,"
		"\"is_admin\":true,\"is_disabled\":false,\"is_redeemed\":true,\"invite_expires\":"
		"{\"secs_since_epoch\":1798010684,\"nanos_since_epoch\":0},"
		"\"candidates\":[\"192.168.1.2:45944\"]},"
		"{\"id\":3,\"name\":\"pb\",\"ip\":\"10.66.1.2\",\"cidr_id\":3,\"public_key\":"
		"\"" KEY_B
		"\",\"endpoint\":null,\"persistent_keepalive_interval\":25,\"is_admin\":false,"
		"\"is_disabled\":false,\"is_redeemed\":true,\"invite_expires\":null,"
		"\"candidates\":[]}],"
		"\"cidrs\":[{\"id\":1,\"name\":\"evilcorp\",\"cidr\":\"10.66.0.0/"
		"16\",\"parent\":null},"
		"{\"id\":2,\"name\":\"innernet-server\",\"cidr\":\"10.66.0.1/32\",\"parent\":1},"
		"{\"id\":3,\"name\":\"humans\",\"cidr\":\"10.66.1.0/24\",\"parent\":1}]}",
		world.key);
	g_assert_cmpstr(answer, ==, expected);
}

/* The endpoint of pa and its candidates, as pb is told. */
static void
told(World *world, const char *endpoint, const char *candidates)
{
	g_autofree char *answer = state_of(world, "10.66.1.2");
	const char *pa = strstr(answer, "\"name\":\"pa\"");
	g_autofree char *wanted_endpoint = g_strdup_printf("\"endpoint\":%s,", endpoint);
	g_autofree char *wanted = g_strdup_printf("\"candidates\":[%s]}", candidates);
	const char *end;

	g_assert_nonnull(pa);
	end = strstr(pa, "]}");
	g_assert_nonnull(g_strstr_len(pa, end + 2 - pa, wanted_endpoint));
	g_assert_nonnull(g_strstr_len(pa, end + 2 - pa, wanted));
}

static void
observed(void)
{
	g_auto(World) world = {0};

	world_init(&world);
	told(&world, "null", "");
	g_assert_cmpuint(call(&world, "PUT /v1/user/endpoint",
			      "{\"option\":\"Set\",\"content\":\"0.0.0.0:40000\"}"),
			 ==, 204);
	told(&world, "null", ""); /* nothing to complete it with */
	observe(&world, KEY_A, "198.51.100.10:777");
	told(&world, "\"198.51.100.10:40000\"", "\"198.51.100.10:777\"");
	g_assert_cmpuint(call(&world, "PUT /v1/user/endpoint",
			      "{\"option\":\"Set\",\"content\":\"[::]:777\"}"),
			 ==, 204);
	told(&world, "\"198.51.100.10:777\"", "");
	g_assert_cmpuint(call(&world, "PUT /v1/user/endpoint", "{\"option\":\"Unset\"}"), ==, 204);
	told(&world, "\"198.51.100.10:777\"", "");
	observe(&world, KEY_A, "[2001:db8::7]:777");
	told(&world, "\"[2001:db8::7]:777\"", "");
	for (guint i = 0; i < 4; i++) {
		static const char *const bad[] = {"endpoint=blah", "{\"option\":\"Set\"}",
						  "{\"option\":\"set\",\"content\":\"1.2.3.4:5\"}",
						  "{\"option\":\"Set\",\"content\":\"nothing\"}"};

		g_assert_cmpuint(call(&world, "PUT /v1/user/endpoint", bad[i]), ==, 400);
	}
}

static void
candidates(void)
{
	g_auto(World) world = {0};
	g_autoptr(GString) ten = g_string_new(NULL), eleven = NULL;
	g_autofree char *body = NULL, *more = NULL, *with_observed = NULL;

	world_init(&world);
	/* order and duplicates are kept; a beacon is as good as any */
	g_string_append(ten, "\"[100::1:2:3:4]:28225\",\"1.2.3.4:5\",\"1.2.3.4:5\"");
	for (guint i = 3; i < 10; i++)
		g_string_append_printf(ten, ",\"1.2.3.4:%u\"", 100 - i);
	body = g_strdup_printf("[%s]", ten->str);
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", body), ==, 204);
	told(&world, "null", ten->str);
	eleven = g_string_new(ten->str);
	g_string_append(eleven, ",\"9.9.9.9:9\"");
	more = g_strdup_printf("[%s]", eleven->str);
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", more), ==, 413);
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", "[\"[fe80::1%eth0]:5\"]"), ==,
			 400);
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", "{\"a\":1}"), ==, 400);
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", "[1]"), ==, 400);
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", "[\"1.2.3.4:5\"] x"), ==, 400);
	told(&world, "null", ten->str);
	/* the server's own word makes eleven of them */
	g_assert_cmpuint(call(&world, "PUT /v1/user/endpoint",
			      "{\"option\":\"Set\",\"content\":\"5.6.7.8:1\"}"),
			 ==, 204);
	observe(&world, KEY_A, "198.51.100.10:777");
	with_observed = g_strdup_printf("%s,\"198.51.100.10:777\"", ten->str);
	told(&world, "\"5.6.7.8:1\"", with_observed);
	/* all of them are replaced */
	g_assert_cmpuint(call(&world, "PUT /v1/user/candidates", "[\"198.51.100.10:777\"]"), ==,
			 204);
	told(&world, "\"5.6.7.8:1\"", "\"198.51.100.10:777\"");
}

static void
redeem(void)
{
	g_auto(World) world = {0};
	const char *body = "{\"public_key\":\"" KEY_C "\"}", *from = "10.66.1.3";
	const char *what = "POST /v1/user/redeem";
	DbPeer *pc;

	world_init(&world);
	pc = add_peer(&world, "pc", from, "YBVIgpfLbi/knrMCTEb0L6eVy0daiZnJJQkxBK9s+2I=");
	pc->is_redeemed = FALSE;
	pc->invite_expires = NOW - 1;
	g_assert_cmpuint(call_from(&world, from, what, "[", NULL), ==, 400);
	g_assert_cmpuint(call_from(&world, from, what, "{}", NULL), ==, 400);
	g_assert_cmpuint(call_from(&world, from, what, body, NULL), ==, 401);
	pc->invite_expires = NOW;
	g_assert_cmpuint(call_from(&world, from, what, "{\"public_key\":\"" KEY_A "\"}", NULL), ==,
			 400);
	g_assert_false(world.swapped);
	g_assert_cmpuint(call_from(&world, from, what, body, NULL), ==, 204);
	g_assert_true(world.swapped);
	g_assert_cmpstr(pc->public_key, ==, KEY_C);
	g_assert_cmpuint(call_from(&world, from, what, body, NULL), ==, 401);
	g_assert_cmpuint(call_from(&world, from, "GET /v1/user/state", NULL, NULL), ==, 200);
}

static void
sweep(void)
{
	g_auto(World) world = {0};
	DbPeer *pa, *pb;

	world_init(&world);
	pa = db_peer_by_name(world.db, "pa");
	pb = db_peer_by_name(world.db, "pb");
	pa->is_redeemed = pb->is_redeemed = FALSE;
	pa->invite_expires = NOW - 1;
	pb->invite_expires = NOW;
	g_assert_cmpuint(db_sweep(world.db, NOW), ==, 1);
	g_assert_null(db_peer_by_name(world.db, "pa"));
	g_assert_nonnull(db_peer_by_name(world.db, "pb"));
}

static void
sees(World *world, const char *source, const char *const *expected)
{
	g_autoptr(GPtrArray) list = NULL;
	WgEndpoint ip = net_ep(source);

	list = db_visible(world->db, db_peer_by_ip(world->db, &ip));
	g_assert_cmpuint(list->len, ==, g_strv_length((char **)expected));
	for (guint i = 0; i < list->len; i++)
		g_assert_true(g_strv_contains(expected, ((DbPeer *)list->pdata[i])->name));
}

#define SEES(world, source, ...) sees(world, source, (const char *const[]){__VA_ARGS__, NULL})

static void
visibility(void)
{
	g_auto(World) world = {0};
	DbCidr *lab, *sub;

	world_init(&world);
	lab = add_cidr(&world, "lab", "10.66.2.0/24", DB_ROOT_CIDR);
	sub = add_cidr(&world, "sub", "10.66.2.128/25", lab->id);
	add_peer(&world, "deep", "10.66.2.130", KEY_C);
	SEES(&world, "10.66.1.1", "innernet-server", "pa", "pb");
	SEES(&world, "10.66.2.130", "innernet-server", "deep");
	/* with the parent of the other's CIDR: all below see each other */
	db_associate(world.db, 3, lab->id, NULL);
	SEES(&world, "10.66.1.1", "innernet-server", "pa", "pb", "deep");
	SEES(&world, "10.66.2.130", "innernet-server", "pa", "pb", "deep");
	g_assert_null(db_associate(world.db, lab->id, 3, NULL));
	db_dissociate(world.db, lab->id, 3);
	db_associate(world.db, sub->id, 3, NULL);
	SEES(&world, "10.66.2.130", "innernet-server", "pa", "pb", "deep");
	db_peer_by_name(world.db, "pb")->is_disabled = TRUE;
	db_peer_by_name(world.db, "deep")->is_redeemed = FALSE;
	SEES(&world, "10.66.1.1", "innernet-server", "pa");
	/* the server's CIDR is a leaf: it sees itself and whom it is associated with */
	SEES(&world, "10.66.0.1", "innernet-server");
}

static void
administration(void)
{
	static const char *const created =
		"{\"name\":\"pc\",\"ip\":\"10.66.1.3\",\"cidr_id\":3,\"public_key\":\"" KEY_C
		"\",\"endpoint\":null,\"persistent_keepalive_interval\":25,\"is_admin\":false,"
		"\"is_disabled\":false,\"is_redeemed\":false,\"invite_expires\":null}";
	g_auto(World) world = {0};

	world_init(&world);
	db_peer_by_name(world.db, "pa")->is_admin = TRUE;
	g_assert_cmpuint(call(&world, "POST /v1/admin/peers", created), ==, 201);
	g_assert_cmpuint(call(&world, "POST /v1/admin/peers", created), ==, 400);
	g_assert_cmpuint(call(&world, "POST /v1/admin/peers", "{}"), ==, 400);
	g_assert_cmpuint(call(&world, "GET /v1/admin/peers", NULL), ==, 200);
	g_assert_cmpuint(call(&world, "DELETE /v1/admin/peers/4", NULL), ==, 204);
	g_assert_cmpuint(call(&world, "DELETE /v1/admin/peers/9", NULL), ==, 404);
	g_assert_true(db_peer_by_name(world.db, "pc")->is_disabled);
	g_assert_cmpuint(
		call(&world, "POST /v1/admin/associations", "{\"cidr_id_1\":2,\"cidr_id_2\":3}"),
		==, 201);
	g_assert_cmpuint(call(&world, "POST /v1/admin/cidrs",
			      "{\"name\":\"x\",\"cidr\":\"10.66.1.0/25\",\"parent\":1}"),
			 ==, 400);
	g_assert_cmpuint(call(&world, "POST /v1/admin/cidrs",
			      "{\"name\":\"x\",\"cidr\":\"10.66.3.0/24\",\"parent\":1}"),
			 ==, 201);
}

static void
file(void)
{
	g_auto(World) world = {0};
	g_autofree char *dir = g_dir_make_tmp("inn-server-XXXXXX", NULL);
	g_autofree char *before = NULL, *after = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(Db) again = NULL;

	world_init(&world);
	db_associate(world.db, 2, 3, NULL);
	g_assert_cmpuint(call(&world, "PUT /v1/user/endpoint",
			      "{\"option\":\"Set\",\"content\":\"0.0.0.0:40000\"}"),
			 ==, 204);
	g_free(world.db->path);
	world.db->path = g_build_filename(dir, "db", NULL);
	db_save(world.db, &error);
	g_assert_no_error(error);
	g_file_get_contents(world.db->path, &before, NULL, NULL);
	again = db_load(world.db->path, &error);
	g_assert_no_error(error);
	db_save(again, &error);
	g_assert_no_error(error);
	g_file_get_contents(world.db->path, &after, NULL, NULL);
	g_assert_cmpstr(before, ==, after);
	g_unlink(world.db->path);
	g_rmdir(dir);
}

/* The same over a connection: a child serves, at an address of this process's own network. */
typedef struct {
	char *dir;
	pid_t pid;
	char key[WG_KEY_STRLEN];
} Child;

static void
serve(const char *path, int ready)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GError) error = NULL;
	Server *server = server_new_take(db_load(path, &error), NULL);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!server_start(server, NULL, NULL, &error) || write(ready, "", 1) != 1)
		g_error("%s", error == NULL ? "pipe" : error->message);
	g_main_loop_run(loop);
}

static gboolean
child_start(Child *child)
{
	g_auto(World) world = {0};
	int pipe_ends[2];
	char byte;

	if (!net_fresh())
		return FALSE;
	net_run("ip link set lo up");
	net_run("ip addr add 10.66.0.1/32 dev lo");
	net_run("ip addr add 10.66.1.1/32 dev lo");
	world_init(&world);
	memcpy(child->key, world.key, sizeof world.key);
	child->dir = g_dir_make_tmp("inn-server-XXXXXX", NULL);
	g_free(world.db->path);
	world.db->path = g_build_filename(child->dir, "db", NULL);
	g_assert_true(db_save(world.db, NULL));
	g_assert_cmpint(pipe(pipe_ends), ==, 0);
	child->pid = fork();
	if (child->pid == 0)
		serve(world.db->path, pipe_ends[1]);
	close(pipe_ends[1]);
	g_assert_cmpint(read(pipe_ends[0], &byte, 1), ==, 1);
	close(pipe_ends[0]);
	return TRUE;
}

static void
child_end(Child *child)
{
	g_autofree char *path = g_build_filename(child->dir, "db", NULL);

	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	g_unlink(path);
	g_rmdir(child->dir);
	g_free(child->dir);
}

static int
dial(void)
{
	struct timeval limit = {20, 0};
	WgEndpoint from = net_ep("10.66.1.1"), to = net_ep("10.66.0.1:51820");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	g_assert_cmpint(bind(fd, &from.sa, sizeof from.v4), ==, 0);
	g_assert_cmpint(connect(fd, &to.sa, sizeof to.v4), ==, 0);
	return fd;
}

static void
put(int fd, const char *text)
{
	g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

/* Reads until the text has come; FALSE: the connection has ended before. */
static gboolean
comes(int fd, GString *got, const char *text)
{
	char buf[4096];
	const char *found;

	while ((found = strstr(got->str, text)) == NULL) {
		gssize n = recv(fd, buf, sizeof buf, 0);

		if (n == 0)
			return FALSE;
		g_assert_cmpint(n, >, 0);
		g_string_append_len(got, buf, n);
	}
	g_string_erase(got, 0, found + (gssize)strlen(text) - got->str);
	return TRUE;
}

static void
connection(void)
{
	g_autoptr(GString) got = g_string_new(NULL);
	g_autofree char *head = NULL, *text = NULL;
	Child child;
	int fd;

	if (!child_start(&child))
		return;
	head = g_strdup_printf("Host: x\r\nX-Innernet-Server-Key: %s\r\n", child.key);
	fd = dial();
	/* two at once, the second with a body that the first's answer must not take */
	text = g_strdup_printf("GET /v1/user/capabilities HTTP/1.1\r\n%s\r\n"
			       "PUT /v1/user/candidates HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n[",
			       head, head);
	put(fd, text);
	g_assert_true(comes(fd, got, "HTTP/1.1 200 OK\r\n"));
	g_assert_true(comes(fd, got, "override_endpoint\":true}"));
	put(fd, "]");
	g_assert_true(comes(fd, got, "HTTP/1.1 204 No Content\r\n"));
	g_assert_true(comes(fd, got, "\r\n\r\n"));
	/* who waits for the word to go on hears it */
	g_free(text);
	text = g_strdup_printf("PUT /v1/user/candidates HTTP/1.1\r\n%sContent-Length: 2\r\n"
			       "Expect: 100-continue\r\n\r\n",
			       head);
	put(fd, text);
	g_assert_true(comes(fd, got, "HTTP/1.1 100 Continue\r\n\r\n"));
	put(fd, "[]");
	g_assert_true(comes(fd, got, "HTTP/1.1 204"));
	g_assert_true(comes(fd, got, "\r\n\r\n"));
	/* a body in chunks is refused unread, which ends the connection */
	g_free(text);
	text = g_strdup_printf(
		"PUT /v1/user/candidates HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n"
		"\r\n2\r\n[]\r\n0\r\n\r\n",
		head);
	put(fd, text);
	g_assert_true(comes(fd, got, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n"));
	g_assert_false(comes(fd, got, "never"));
	close(fd);
	child_end(&child);
}

static void
no_http(void)
{
	g_autoptr(GString) got = g_string_new(NULL);
	Child child;
	int fd;

	if (!child_start(&child))
		return;
	fd = dial();
	put(fd, "good morning\r\n\r\n");
	g_assert_true(comes(fd, got, "HTTP/1.1 400"));
	g_assert_false(comes(fd, got, "never"));
	close(fd);
	fd = dial();
	put(fd, "GET /v1/user/state HTTP/1.1\r\n\r\n");
	g_assert_true(comes(fd, got, "HTTP/1.1 401"));
	close(fd);
	child_end(&child);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/inn-server/endpoints", endpoints);
	g_test_add_func("/inn-server/names", names);
	g_test_add_func("/inn-server/json", json);
	g_test_add_func("/inn-server/requests", requests);
	g_test_add_func("/inn-server/many-headers", many_headers);
	g_test_add_func("/inn-server/statuses", statuses);
	g_test_add_func("/inn-server/keys", keys);
	g_test_add_func("/inn-server/bodies", bodies);
	g_test_add_func("/inn-server/state", state);
	g_test_add_func("/inn-server/observed", observed);
	g_test_add_func("/inn-server/candidates", candidates);
	g_test_add_func("/inn-server/redeem", redeem);
	g_test_add_func("/inn-server/sweep", sweep);
	g_test_add_func("/inn-server/visibility", visibility);
	g_test_add_func("/inn-server/administration", administration);
	g_test_add_func("/inn-server/file", file);
	g_test_add_func("/inn-server/connection", connection);
	g_test_add_func("/inn-server/no-http", no_http);
	return g_test_run();
}
