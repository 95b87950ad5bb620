/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-state.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/innernet/inn-order.h"
#include "agent/innernet/inn-poll.h"
#include "agent/innernet/inn-sync.h"

#define KEY_A "/wTBW0HqEyJiRYE9/eLlG2+9JxCcVXzHeLtlDl0BuCw="
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define CIDRS                                                                                      \
	",\"cidrs\":[{\"id\":1,\"name\":\"evilcorp\",\"cidr\":\"10.66.0.0/16\",\"parent\":null}]}"

static char *
record(guint id, const char *name, const char *ip, const char *key, const char *more)
{
	return g_strdup_printf("{\"id\":%u,\"name\":\"%s\",\"ip\":\"%s\",\"cidr_id\":3,"
			       "\"public_key\":\"%s\",\"persistent_keepalive_interval\":25,"
			       "\"is_admin\":true,\"is_disabled\":false,\"is_redeemed\":true,"
			       "\"invite_expires\":{\"secs_since_epoch\":1798010684,"
			       "\"nanos_since_epoch\":0},%s}",
			       id, name, ip, key, more);
}

#define NOTHING "\"endpoint\":null,\"candidates\":[]"

static InnState *
parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	InnState *state = inn_state_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	return state;
}

static InnState *
state_of(const char *first, const char *second)
{
	g_autofree char *text = g_strconcat("{\"peers\":[", first, second ? "," : "",
					    second ? second : "", "]" CIDRS, NULL);

	return parse(text);
}

static void
expect_endpoint(const WgEndpoint *ep, const char *text)
{
	char buf[WG_ENDPOINT_STRLEN];

	g_assert_cmpstr(wg_endpoint_format(ep, buf), ==, text);
}

static void
test_state(void)
{
	g_autofree char *a = record(2, "pa", "10.66.1.1", KEY_A,
				    "\"endpoint\":\"198.51.100.10:45944\",\"candidates\":["
				    "\"192.168.1.2:45944\",\"[::ffff:102:304]:5\",\"host.name:7\","
				    "\"[2001:db8::1]:9\"]");
	g_autofree char *b = record(3, "pb", "10.66.1.2", KEY_B,
				    "\"endpoint\":\"vpn.example.org:7\",\"candidates\":[]");
	g_autoptr(InnState) state = state_of(a, b);
	const InnPeer *peer;
	WgKey key;

	g_assert_true(wg_key_parse(KEY_A, &key));
	peer = inn_state_find(state, &key);
	g_assert_nonnull(peer);
	g_assert_cmpstr(peer->name, ==, "pa");
	g_assert_cmpuint(peer->keepalive, ==, 25);
	expect_endpoint(&peer->endpoint, "198.51.100.10:45944");
	g_assert_cmpuint(peer->n_candidates, ==, 4);
	expect_endpoint(&peer->candidates[0], "192.168.1.2:45944");
	expect_endpoint(&peer->candidates[1], "1.2.3.4:5");
	g_assert_false(wg_endpoint_is_set(&peer->candidates[2]));
	expect_endpoint(&peer->candidates[3], "[2001:db8::1]:9");
	g_assert_true(wg_key_parse(KEY_B, &key));
	peer = inn_state_find(state, &key);
	g_assert_false(wg_endpoint_is_set(&peer->endpoint));
	g_assert_cmpstr(peer->endpoint_host, ==, "vpn.example.org");
	g_assert_cmpuint(peer->endpoint_port, ==, 7);
}

/* A text is taken whole or not at all, and what is wrong is said. */
static void
test_refused(void)
{
	static const struct {
		const char *text, *word;
	} CASES[] = {
		{"", "object"},
		{"[]", "object"},
		{"{}", "no list of peers"},
		{"{\"peers\":{}" CIDRS, "peers"},
		{"{\"peers\":[]}", "CIDR"},
		{"{\"peers\":[1]" CIDRS, "peers[0]: not an object"},
		{"{\"peers\":[{}]" CIDRS, "peers[0]: name"},
		{"{\"peers\":[{\"id\":1,\"name\":\"x\",\"ip\":\"10.66.0.999\"}]" CIDRS, "ip: no"},
		{"{\"peers\":[{\"id\":1,\"name\":\"x\",\"ip\":\"10.66.0.1\",\"public_key\":\"AA=\"}"
		 "]" CIDRS,
		 "public_key"},
		{"{\"peers\":[{\"id\":\"1\",\"name\":\"x\",\"ip\":\"10.66.0.1\"}]" CIDRS, "id"},
		{"{\"peers\":[{\"id\":1,\"name\":\"x\",\"ip\":\"10.66.0.1\",\"public_key\":\"" KEY_A
		 "\",\"candidates\":[7]}]" CIDRS,
		 "candidates"},
		{"{\"peers\":[{\"id\":1,\"name\":\"x\",\"ip\":\"10.66.0.1\",\"public_key\":\"" KEY_A
		 "\",\"is_disabled\":0}]" CIDRS,
		 "is_disabled"},
		{"{\"peers\":[{\"id\":1,\"name\":\"x\",\"ip\":\"10.66.0.1\",\"public_key\":\"" KEY_A
		 "\",\"persistent_keepalive_interval\":99999}]" CIDRS,
		 "keepalive"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(inn_state_parse(CASES[i].text, strlen(CASES[i].text), &error));
		g_assert_nonnull(error);
		if (strstr(error->message, CASES[i].word) == NULL)
			g_error("case %u: \"%s\" does not say \"%s\"", i, error->message,
				CASES[i].word);
		g_assert_null(strchr(error->message, '\n'));
	}
}

/* Each peer may set its own endpoint: an odd one is none, and spoils nobody else's network. */
static void
test_odd_endpoint(void)
{
	static const char *const ODD[] = {"1.2.3.4:0", "host:0", "a~b:5", "no port",
					  "",	       ":7",	 "[::1",  "x:99999"};

	for (guint i = 0; i < G_N_ELEMENTS(ODD); i++) {
		g_autofree char *more = g_strdup_printf(
			"\"endpoint\":\"%s\",\"candidates\":[\"%s\"]", ODD[i], ODD[i]);
		g_autofree char *a = record(2, "pa", "10.66.1.1", KEY_A, more);
		g_autoptr(InnState) state = state_of(a, NULL);
		const InnPeer *peer = g_ptr_array_index(state->peers, 0);

		g_assert_false(wg_endpoint_is_set(&peer->endpoint));
		g_assert_null(peer->endpoint_host);
		g_assert_false(wg_endpoint_is_set(&peer->candidates[0]));
	}
}

static void
test_twice(void)
{
	g_autofree char *a = record(2, "pa", "10.66.1.1", KEY_A, NOTHING);
	g_autofree char *key = record(3, "pb", "10.66.1.2", KEY_A, NOTHING);
	g_autofree char *ip = record(3, "pb", "10.66.1.1", KEY_B, NOTHING);
	const char *seconds[] = {key, ip};

	for (guint i = 0; i < G_N_ELEMENTS(seconds); i++) {
		g_autofree char *text =
			g_strconcat("{\"peers\":[", a, ",", seconds[i], "]" CIDRS, NULL);
		g_autoptr(GError) error = NULL;

		g_assert_null(inn_state_parse(text, strlen(text), &error));
		g_assert_nonnull(strstr(error->message, "twice"));
	}
}

/* ---- the store ---- */

static void
test_store(void)
{
	g_autofree char *dir = g_dir_make_tmp("inn-state.XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "sub", "wg0.json", NULL);
	g_autofree char *sub = g_path_get_dirname(path);
	g_autofree char *a = record(2, "pa", "10.66.1.1", KEY_A, NOTHING);
	g_autofree char *b = record(3, "pb", "10.66.1.2", KEY_B, NOTHING);
	g_autofree char *renamed = record(2, "new-name", "10.66.1.1", KEY_A, NOTHING);
	g_autofree char *stolen = record(4, "pb", "10.66.1.2", KEY_C, NOTHING);
	g_autoptr(InnState) both = state_of(a, b), one = state_of(renamed, NULL);
	g_autoptr(InnState) other = state_of(renamed, stolen);
	g_autoptr(GError) error = NULL;
	g_autoptr(InnState) store = inn_store_load(path, &error), again = NULL;
	g_autofree char *text = NULL;
	g_autoptr(GPtrArray) refused = NULL;
	struct stat st;
	WgKey key_a, key_b;

	g_assert_no_error(error);
	g_assert_true(wg_key_parse(KEY_A, &key_a) && wg_key_parse(KEY_B, &key_b));
	g_assert_cmpuint(store->peers->len, ==, 0);
	g_assert_true(inn_store_update(store, both));
	g_assert_true(inn_store_update(store, one));
	g_assert_cmpuint(store->peers->len, ==, 2);
	g_assert_true(inn_state_find(store, &key_b)->disabled);
	g_assert_cmpstr(inn_state_find(store, &key_a)->name, ==, "new-name");
	/* the address belongs to the first key for ever, disabled or not; nothing is changed */
	g_assert_false(inn_store_update(store, other));
	g_assert_cmpuint(store->peers->len, ==, 2);
	refused = inn_state_pin(other, store);
	g_assert_cmpuint(refused->len, ==, 1);
	g_assert_cmpint(((InnPeer *)g_ptr_array_index(refused, 0))->id, ==, 4);
	g_assert_cmpuint(other->peers->len, ==, 1);
	g_assert_true(inn_store_update(store, other));

	g_assert_true(inn_store_save(store, path, &error));
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0600);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	/* all that the server said is there, as innernet's client wants it */
	g_assert_nonnull(strstr(text, "\"version\":\"1\""));
	g_assert_nonnull(strstr(text, "\"nanos_since_epoch\":0"));
	g_assert_nonnull(strstr(text, "\"is_disabled\":true"));
	again = inn_store_load(path, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(again->peers->len, ==, 2);
	g_assert_true(inn_state_find(again, &key_b)->disabled);
	g_unlink(path);
	g_rmdir(sub);
	g_rmdir(dir);
}

/* A key that moved has two addresses in the store: one of them is its own now. */
static void
test_moved_key(void)
{
	g_autofree char *a = record(2, "pa", "10.66.1.1", KEY_A, NOTHING);
	g_autofree char *moved = record(2, "pa", "10.66.1.9", KEY_A, NOTHING);
	g_autofree char *thief = record(3, "pb", "10.66.1.1", KEY_B, NOTHING);
	g_autofree char *other = record(4, "pc", "10.66.1.9", KEY_C, NOTHING);
	g_autoptr(InnState) before = state_of(a, NULL), after = state_of(moved, NULL);
	g_autoptr(InnState) hostile = state_of(thief, other);
	g_autoptr(InnState) store = inn_store_load("/nonexistent/none", NULL), members = NULL;
	g_autoptr(GPtrArray) refused = NULL;
	const InnPeer *peer;

	g_assert_true(inn_store_update(store, before) && inn_store_update(store, after));
	g_assert_cmpuint(store->peers->len, ==, 2);
	members = inn_store_members(store);
	g_assert_cmpuint(members->peers->len, ==, 1);
	peer = g_ptr_array_index(members->peers, 0);
	g_assert_false(peer->disabled);
	expect_endpoint(&peer->address, "10.66.1.9:0");
	/* nobody else gets either, and the key keeps the one it has */
	refused = inn_state_pin(hostile, store);
	g_assert_cmpuint(refused->len, ==, 2);
	g_assert_cmpuint(hostile->peers->len, ==, 1);
	peer = g_ptr_array_index(hostile->peers, 0);
	expect_endpoint(&peer->address, "10.66.1.9:0");
	g_assert_true(inn_store_update(store, hostile));
}

/* The network of the largest size whose server gives every address another key: in the time of a
 * reading, not of hours. */
static InnState *
large_state(guint n, guint8 salt)
{
	GString *text = g_string_new("{\"peers\":[");
	g_autofree char *json = NULL;

	for (guint i = 0; i < n; i++) {
		g_autofree char *ip = g_strdup_printf("10.66.%u.%u", i / 256, i % 256);
		g_autofree char *one = NULL;
		char b64[WG_KEY_STRLEN];
		WgKey key = {{salt, (guint8)(i / 256), (guint8)i, 1}};

		one = record(i, "p", ip, wg_key_format(&key, b64), NOTHING);
		g_string_append_printf(text, "%s%s", i ? "," : "", one);
	}
	g_string_append(text, "]" CIDRS);
	json = g_string_free(text, FALSE);
	return parse(json);
}

static void
test_all_refused(void)
{
	g_autoptr(InnState) state = large_state(INN_STATE_PEERS, 1);
	g_autoptr(InnState) hostile = large_state(INN_STATE_PEERS, 2);
	g_autoptr(InnState) store = inn_store_load("/nonexistent/none", NULL);
	g_autoptr(GPtrArray) refused = NULL;
	gint64 began = g_get_monotonic_time();

	g_assert_true(inn_store_update(store, state));
	refused = inn_state_pin(hostile, store);
	g_assert_cmpuint(refused->len, ==, INN_STATE_PEERS);
	g_assert_cmpuint(hostile->peers->len, ==, INN_STATE_PEERS);
	g_assert_true(inn_store_update(store, hostile));
	g_assert_cmpint(g_get_monotonic_time() - began, <, 10 * G_TIME_SPAN_SECOND);
}

/* The store keeps a record for ever: what a server could fill it with is bounded, however it is
 * put. */
static void
test_long_record(void)
{
	static const char *const FILL[] = {"a", "\\u0001", "\\\"", "[],"};

	for (guint i = 0; i < G_N_ELEMENTS(FILL); i++) {
		GString *fill = g_string_new(NULL);
		g_autofree char *more = NULL, *a = NULL, *text = NULL;
		g_autoptr(GError) error = NULL;
		gboolean array = FILL[i][0] == '[';

		for (guint j = 0; j < INN_STATE_RECORD; j++)
			g_string_append(fill, FILL[i]);
		more = g_strdup_printf("%s,\"x\":%s%s%s", NOTHING, array ? "[" : "\"", fill->str,
				       array ? "0]" : "\"");
		a = record(2, "pa", "10.66.1.1", KEY_A, more);
		text = g_strconcat("{\"peers\":[", a, "]" CIDRS, NULL);
		g_assert_null(inn_state_parse(text, strlen(text), &error));
		g_assert_cmpstr(error->message, ==, "peers[0]: too long");
		g_string_free(fill, TRUE);
	}
}

static void
test_damaged_store(void)
{
	static const char *const TEXTS[] = {"{", "{\"version\":\"2\",\"peers\":[],\"cidrs\":[]}",
					    "{\"peers\":[],\"cidrs\":[]}", "garbage"};
	g_autofree char *dir = g_dir_make_tmp("inn-state.XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "wg0.json", NULL);

	for (guint i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(g_file_set_contents(path, TEXTS[i], -1, NULL));
		g_assert_null(inn_store_load(path, &error));
		g_assert_true(g_str_has_prefix(error->message, path));
	}
	g_unlink(path);
	g_rmdir(dir);
}

/* ---- the device ---- */

static void
add_wg(WgDevice *device, const char *key, const char *ip)
{
	WgPeer *wg = wg_peer_new();
	WgAllowedIp allowed;

	g_assert_true(wg_key_parse(key, &wg->public_key));
	g_assert_true(wg_allowed_ip_parse(ip, &allowed));
	g_array_append_val(wg->allowed_ips, allowed);
	g_ptr_array_add(device->peers, wg);
}

static void
test_sync(void)
{
	g_autofree char *a = record(2, "pa", "10.66.1.1", KEY_A, NOTHING);
	g_autofree char *b = record(3, "pb", "10.66.1.2", KEY_B, NOTHING);
	g_autofree char *far = record(4, "pc", "8.8.8.8", KEY_C, NOTHING);
	g_autofree char *usurper = record(5, "pd", "10.66.0.1", KEY_B, NOTHING);
	g_autofree char *moved = record(1, "server", "10.66.0.9", KEY_C, NOTHING);
	g_autoptr(InnState) state = state_of(a, b), strange = state_of(a, far);
	g_autoptr(InnState) usurped = state_of(usurper, moved);
	g_autoptr(WgDevice) device = wg_device_new("wg0");
	g_auto(InnSync) sync = {0};
	InnConf conf = {.prefix = 16};
	WgKey own;
	guint strangers;

	g_assert_true(wg_key_parse(KEY_A, &own) && wg_key_parse(KEY_C, &conf.server_key));
	g_assert_true(wg_endpoint_parse_address("10.66.1.1", 0, &conf.address));
	g_assert_true(wg_endpoint_parse("10.66.0.1:51820", &conf.server_internal));
	add_wg(device, KEY_C, "10.66.0.1/32");
	inn_sync_init(&sync, device, state, &own, &conf, &strangers);
	/* neither we nor the server: one that comes */
	g_assert_cmpuint(sync.changes->len, ==, 1);
	g_assert_cmpuint(sync.added, ==, 1);
	g_assert_true(g_array_index(sync.changes, WgPeerChange, 0).flags ==
		      (WG_CHANGE_CREATE | WG_CHANGE_ALLOWED_IPS));
	g_assert_cmpuint(g_array_index(sync.changes, WgPeerChange, 0).allowed_ips[0].cidr, ==, 32);
	inn_sync_clear(&sync);

	add_wg(device, KEY_B, "10.66.0.0/16");
	inn_sync_init(&sync, device, state, &own, &conf, &strangers);
	g_assert_cmpuint(sync.changed, ==, 1);
	g_assert_cmpuint(sync.changes->len, ==, 1);
	inn_sync_clear(&sync);

	/* gone from the state; and a stranger whose address is not the network's */
	inn_sync_init(&sync, device, strange, &own, &conf, &strangers);
	g_assert_cmpuint(sync.removed, ==, 1);
	g_assert_cmpuint(sync.changes->len, ==, 1);
	g_assert_cmpuint(strangers, ==, 1);
	inn_sync_clear(&sync);

	/* nobody gets the server's address, nor the server another one */
	inn_sync_init(&sync, device, usurped, &own, &conf, &strangers);
	g_assert_cmpuint(sync.added + sync.changed, ==, 0);
	g_assert_cmpuint(strangers, ==, 2);
}

static void
test_within(void)
{
	static const struct {
		const char *address, *network;
		guint8 prefix;
		gboolean within;
	} CASES[] = {
		{"10.66.255.255", "10.66.1.1", 16, TRUE}, {"10.67.0.1", "10.66.1.1", 16, FALSE},
		{"10.66.1.2", "10.66.1.1", 30, TRUE},	  {"10.66.1.4", "10.66.1.1", 30, FALSE},
		{"8.8.8.8", "10.66.1.1", 0, TRUE},	  {"10.66.1.1", "10.66.1.1", 32, TRUE},
		{"fd00::1", "10.66.1.1", 0, FALSE},	  {"fd00::1", "fd00::2", 64, TRUE},
		{"fd00:0:0:1::1", "fd00::2", 64, FALSE},  {"fd00:0:0:1::1", "fd00::2", 63, TRUE},
	};

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		WgEndpoint address, network;

		g_assert_true(wg_endpoint_parse_address(CASES[i].address, 0, &address));
		g_assert_true(wg_endpoint_parse_address(CASES[i].network, 0, &network));
		g_assert_true(inn_sync_within(&address, &network, CASES[i].prefix) ==
			      CASES[i].within);
	}
}

/* ---- the order of a plain peer's endpoints ---- */

static char *
order_of(const char *more, const char *own_public, const char *named)
{
	g_autoptr(GArray) resolved = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_autofree char *a = record(2, "pa", "10.66.1.1", KEY_A, more);
	g_autoptr(InnState) state = state_of(a, NULL);
	g_autoptr(GArray) own = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	GString *text = g_string_new(NULL);
	char buf[WG_ENDPOINT_STRLEN];
	WgEndpoint ep;

	g_assert_true(wg_endpoint_parse(own_public, &ep));
	g_array_append_val(own, ep);
	if (named != NULL) {
		g_assert_true(wg_endpoint_parse(named, &ep));
		g_array_append_val(resolved, ep);
	}
	inn_order(g_ptr_array_index(state->peers, 0), own, resolved, out);
	for (guint i = 0; i < out->len; i++)
		g_string_append_printf(text, "%s%s", i ? " " : "",
				       wg_endpoint_format(&g_array_index(out, WgEndpoint, i), buf));
	return g_string_free(text, FALSE);
}

static void
test_order(void)
{
	static const char RECORD[] = "\"endpoint\":\"198.51.100.1:4000\",\"candidates\":["
				     "\"192.0.2.9:50000\",\"127.0.0.1:1\",\"[100::1]:28225\","
				     "\"192.168.2.2:51820\",\"198.51.100.1:4000\"]";
	g_autofree char *far = order_of(RECORD, "203.0.113.1:9", NULL);
	g_autofree char *near = order_of(RECORD, "198.51.100.1:9", NULL);

	g_assert_cmpstr(far, ==, "198.51.100.1:4000 192.168.2.2:51820 192.0.2.9:50000");
	g_assert_cmpstr(near, ==, "192.168.2.2:51820 198.51.100.1:4000 192.0.2.9:50000");
}

static void
test_order_named(void)
{
	static const char RECORD[] = "\"endpoint\":\"vpn.example.org:7\",\"candidates\":["
				     "\"192.168.2.2:51820\",\"192.0.2.9:50000\"]";
	g_autofree char *far = order_of(RECORD, "203.0.113.1:9", "198.51.100.1:7");
	g_autofree char *near = order_of(RECORD, "198.51.100.1:9", "198.51.100.1:7");

	g_assert_cmpstr(far, ==, "198.51.100.1:7 192.0.2.9:50000 192.168.2.2:51820");
	g_assert_cmpstr(near, ==, "192.168.2.2:51820 198.51.100.1:7 192.0.2.9:50000");
}

/* ---- when the server is asked ---- */

static void
test_poll(void)
{
	InnPoll poll = {0};
	InnPollFacts facts = {.unconnected = TRUE};
	gint64 now = 1000 * (gint64)G_USEC_PER_SEC, began;
	guint calls = 0;

	inn_poll_event(&poll, now);
	began = now;
	while (now - began < INN_POLL_KEEN_US) {
		guint ms = inn_poll_next(&poll, &facts, now);

		g_assert_cmpuint(ms, ==, INN_POLL_FAST_MS);
		now += ms * (gint64)1000;
	}
	/* a peer that is away for long costs little */
	began = now;
	for (; now - began < 3600 * (gint64)G_USEC_PER_SEC; calls++)
		now += inn_poll_next(&poll, &facts, now) * (gint64)1000;
	g_assert_cmpuint(calls, <=, 3600 / 30 + 10);
	facts.unconnected = FALSE;
	g_assert_cmpuint(inn_poll_next(&poll, &facts, now), ==, INN_POLL_REST_MS);
	facts.in_use = TRUE;
	g_assert_cmpuint(inn_poll_next(&poll, &facts, now), ==, INN_POLL_USED_MS);
	/* a server that is away */
	facts.failed = TRUE;
	g_assert_cmpuint(inn_poll_next(&poll, &facts, now), ==, INN_POLL_FAST_MS);
	for (guint i = 0; i < 20; i++)
		inn_poll_next(&poll, &facts, now);
	g_assert_cmpuint(inn_poll_next(&poll, &facts, now), ==, INN_POLL_REST_MS);
	inn_poll_event(&poll, now);
	g_assert_cmpuint(inn_poll_next(&poll, &facts, now), ==, INN_POLL_FAST_MS);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/inn-state/state", test_state);
	g_test_add_func("/inn-state/refused", test_refused);
	g_test_add_func("/inn-state/odd-endpoint", test_odd_endpoint);
	g_test_add_func("/inn-state/twice", test_twice);
	g_test_add_func("/inn-state/store", test_store);
	g_test_add_func("/inn-state/moved-key", test_moved_key);
	g_test_add_func("/inn-state/all-refused", test_all_refused);
	g_test_add_func("/inn-state/long-record", test_long_record);
	g_test_add_func("/inn-state/damaged-store", test_damaged_store);
	g_test_add_func("/inn-state/sync", test_sync);
	g_test_add_func("/inn-state/within", test_within);
	g_test_add_func("/inn-state/order", test_order);
	g_test_add_func("/inn-state/order-named", test_order_named);
	g_test_add_func("/inn-state/poll", test_poll);
	return g_test_run();
}
