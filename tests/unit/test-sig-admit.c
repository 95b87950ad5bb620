/* SPDX-License-Identifier: MIT */
/* Who may log in, without a network: lists of keys, a device's peers, names; and the metrics page.
 */
#include "signaling/sig-allow-wg.h"
#include "signaling/sig-metrics.h"
#include "tests/unit/sig-world.h"

#define A "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
#define B "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define C "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="

static WgKey
key_of(const char *text)
{
	WgKey key;

	g_assert_true(wg_key_parse(text, &key));
	return key;
}

/* ---- lists ---- */

static SigMembers *
parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	SigMembers *members = sig_members_parse(text, strlen(text), "list", &error);

	g_assert_no_error(error);
	return members;
}

static const SigScope *
find(const SigMembers *members, const char *text)
{
	WgKey key = key_of(text);

	return sig_members_find(members, &key);
}

static void
test_list(void)
{
	g_autoptr(SigMembers) members = parse("# hosts\n\n" A " a's laptop\r\n  " B "# no space\n");

	g_assert_cmpuint(sig_members_n_keys(members), ==, 2);
	g_assert_nonnull(find(members, A));
	g_assert_nonnull(find(members, B));
	g_assert_null(find(members, C));
	g_assert_true(sig_scope_share(find(members, A), find(members, B)));
}

static void
test_networks(void)
{
	g_autoptr(SigMembers) members =
		parse("[team-a]\n" A "\n" C "\n" A "\n[team-b]\n" B "\n" C "\n");

	g_assert_cmpuint(sig_members_n_keys(members), ==, 3);
	g_assert_false(sig_scope_share(find(members, A), find(members, B)));
	g_assert_true(sig_scope_share(find(members, A), find(members, C)));
	g_assert_true(sig_scope_share(find(members, C), find(members, B)));
	g_assert_false(sig_scope_share(find(members, A), NULL));
	g_assert_true(sig_scope_share(NULL, NULL));
}

static void
test_networks_of_another_list(void)
{
	g_autoptr(SigMembers) before = parse("[x]\n" A "\n[y]\n" B "\n" A "\n");
	g_autoptr(SigMembers) after = parse("[y]\n" A "\n" B "\n[x]\n" A "\n" C "\n");

	g_assert_true(sig_scope_equal(find(before, A), find(after, A)));
	g_assert_true(sig_scope_equal(find(before, B), find(after, B)));
	g_assert_false(sig_scope_equal(find(before, B), find(after, C)));
	g_assert_false(sig_scope_equal(find(before, A), find(after, B)));
	g_assert_true(sig_scope_share(find(before, B), find(after, A)));
}

static void
refused(const char *text, const char *where)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sig_members_parse(text, strlen(text), "list", &error));
	g_assert_true(g_str_has_prefix(error->message, where));
}

static void
test_bad_lists(void)
{
	g_autofree char *longest = g_strnfill(SIG_NETWORK_NAME_MAX, 'n');
	g_autofree char *fits = g_strdup_printf("[%s]\n", longest);
	g_autofree char *longer = g_strdup_printf("[%sn]\n", longest);
	g_autoptr(SigMembers) empty = parse("");
	g_autoptr(SigMembers) named = parse(fits);

	g_assert_cmpuint(sig_members_n_keys(empty), ==, 0);
	refused(A "\nnonsense\n", "list:2:");
	refused("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "list:1:");
	refused("[]\n", "list:1:");
	refused("[a\n", "list:1:");
	refused("[a b]\n", "list:1:");
	refused("[\xc3\xa4]\n", "list:1:");
	refused(longer, "list:1:");
	refused("HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw\n", "list:1:");
}

/* ---- a device's peers ---- */

static void
add_peer(WgDevice *device, const char *key, const char *const *ips)
{
	WgPeer *peer = wg_peer_new();

	peer->public_key = key_of(key);
	for (guint i = 0; ips[i]; i++) {
		WgAllowedIp ip;

		g_assert_true(wg_allowed_ip_parse(ips[i], &ip));
		g_array_append_val(peer->allowed_ips, ip);
	}
	g_ptr_array_add(device->peers, peer);
}

static gboolean
may(const SigAllowWg *allow, const char *key_text, const char *from, gboolean from_here)
{
	WgKey key = key_of(key_text);
	WgEndpoint address;

	g_assert_true(wg_endpoint_parse_address(from, 40000, &address));
	return sig_allow_wg_check(allow, &key, &address, from_here);
}

static void
test_device(void)
{
	const char *const a[] = {"10.0.0.2/32", "fd00::2/128", NULL};
	const char *const b[] = {"10.0.0.0/24", "192.168.0.0/16", NULL};
	const char *const all[] = {"0.0.0.0/0", "::/0", NULL};
	g_autoptr(WgDevice) device = wg_device_new("wg0");
	g_autoptr(SigAllowWg) allow = NULL;

	device->public_key = key_of(C);
	add_peer(device, A, a);
	add_peer(device, B, b);
	allow = sig_allow_wg_new(device);
	g_assert_cmpuint(sig_allow_wg_n_peers(allow), ==, 2);
	g_assert_true(may(allow, A, "10.0.0.2", FALSE));
	g_assert_true(may(allow, A, "fd00::2", FALSE));
	/* the longest prefix wins, as in WireGuard: B cannot send from there */
	g_assert_false(may(allow, B, "10.0.0.2", FALSE));
	g_assert_true(may(allow, B, "10.0.0.3", FALSE));
	g_assert_true(may(allow, B, "192.168.255.255", FALSE));
	g_assert_false(may(allow, A, "10.0.0.3", FALSE));
	g_assert_false(may(allow, A, "203.0.113.1", FALSE));
	g_assert_false(may(allow, A, "fd00::3", FALSE));
	/* the host itself is not its own peer */
	g_assert_false(may(allow, C, "10.0.0.1", FALSE));
	g_assert_true(may(allow, C, "10.0.0.1", TRUE));
	g_assert_false(may(allow, A, "10.0.0.2", TRUE));

	g_clear_pointer(&allow, sig_allow_wg_free);
	add_peer(device, "Q0KVxMnIVpvyCi6rXK/qjSXZ1ZDyqYpaGkXqLdaUN3Q=", all);
	allow = sig_allow_wg_new(device);
	g_assert_true(may(allow, A, "10.0.0.2", FALSE));
	g_assert_false(may(allow, A, "203.0.113.1", FALSE));
	g_assert_true(
		may(allow, "Q0KVxMnIVpvyCi6rXK/qjSXZ1ZDyqYpaGkXqLdaUN3Q=", "203.0.113.1", FALSE));
}

/* ---- names ---- */

static gboolean
is_ours(const char *name, const char *authority)
{
	const char *const names[] = {name, NULL};
	g_autoptr(SigAuth) auth = sig_auth_new(names);
	g_autoptr(SigOffer) offer = sig_auth_offer(auth, NULL, 0, 0);
	SigLogin login = {.version = SIG_WIRE_VERSION};
	g_autofree char *text = NULL;

	g_strlcpy(login.authority, authority, sizeof login.authority);
	return sig_auth_check(auth, offer, &login, &text) != SIG_CLOSE_WRONG_AUTHORITY;
}

static void
test_wildcards(void)
{
	g_assert_true(is_ours("*.signal.example", "a.signal.example:443"));
	g_assert_true(is_ours("*.signal.example:443", "a.SIGNAL.example:443"));
	g_assert_false(is_ours("*.signal.example:443", "a.signal.example:444"));
	g_assert_false(is_ours("*.signal.example", "signal.example:443"));
	g_assert_false(is_ours("*.signal.example", "a.b.signal.example:443"));
	g_assert_false(is_ours("*.signal.example", "asignal.example:443"));
	g_assert_false(is_ours("*.signal.example", ".signal.example:443"));
	g_assert_false(is_ours("*.1", "[::1]:443"));
}

/* ---- the protocol's part ---- */

typedef struct {
	SigMembers *members;
} Rules;

static gboolean
by_list(const WgKey *key, const WgEndpoint *address, gboolean from_here, const SigScope **scope,
	const char **why, gpointer user_data)
{
	*scope = sig_members_find(((Rules *)user_data)->members, key);
	*why = "not on the list";
	return *scope != NULL;
}

/* A list that has each agent in the network given; NULL: nowhere. */
static SigMembers *
list_of(const Agent *agents, const char *const *networks, gsize n)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char key[WG_KEY_STRLEN];

	for (gsize i = 0; i < n; i++)
		if (networks[i])
			g_string_append_printf(text, "[%s]\n%s\n", networks[i],
					       wg_key_format(&agents[i].key, key));
	return parse(text->str);
}

static void
expect_frame(Agent *agent, SigFrameType type, SigFrame *out)
{
	g_assert_cmpint(next_frame(agent, out), ==, type);
}

/* Answers hello; what follows is still to be read. */
static void
log_in(Agent *agent)
{
	g_auto(SigFrame) frame = {0};

	sig_conn_open(agent->conn);
	expect_frame(agent, SIG_FRAME_HELLO, &frame);
	receive_text_take(agent, sig_login_answer(&frame.hello, &agent->private, "a:1", NULL));
}

static void
test_revoked(void)
{
	World w = {0};
	Agent agents[3];
	Rules rules = {NULL};
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	for (gsize i = 0; i < 3; i++)
		agent_accept(&w, &agents[i]);
	rules.members = list_of(agents, (const char *[]){"x", "x", NULL}, 3);
	w.hub->admit = by_list;
	w.hub->admit_data = &rules;
	for (gsize i = 0; i < 3; i++)
		log_in(&agents[i]);
	assert_ended(&agents[2], SIG_CLOSE_NOT_ALLOWED);
	expect_frame(&agents[0], SIG_FRAME_WELCOME, &frame);
	expect_frame(&agents[1], SIG_FRAME_WELCOME, &frame);
	name(&agents[0], &agents[1]);
	name(&agents[1], &agents[0]);
	expect_frame(&agents[0], SIG_FRAME_PRESENCE, &frame);
	g_clear_pointer(&rules.members, sig_members_free);
	rules.members = list_of(agents, (const char *[]){"x", NULL, "x"}, 3);
	sig_conn_readmit(agents[0].conn);
	sig_conn_readmit(agents[1].conn);
	g_assert_false(sig_conn_is_closing(agents[0].conn));
	expect_frame(&agents[1], SIG_FRAME_PRESENCE, &frame);
	assert_ended(&agents[1], SIG_CLOSE_NOT_ALLOWED);
	expect_frame(&agents[0], SIG_FRAME_PRESENCE, &frame);
	g_assert_cmpuint(frame.presence.offline.n, ==, 1);
	for (gsize i = 0; i < 3; i++)
		sig_conn_free(agents[i].conn);
	sig_members_free(rules.members);
	world_close(&w);
}

static void
test_other_network(void)
{
	World w = {0};
	Agent agents[2];
	Rules rules = {NULL};
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	for (gsize i = 0; i < 2; i++)
		agent_accept(&w, &agents[i]);
	rules.members = list_of(agents, (const char *[]){"x", "y"}, 2);
	w.hub->admit = by_list;
	w.hub->admit_data = &rules;
	for (gsize i = 0; i < 2; i++) {
		log_in(&agents[i]);
		expect_frame(&agents[i], SIG_FRAME_WELCOME, &frame);
	}
	name(&agents[0], &agents[1]);
	name(&agents[1], &agents[0]);
	/* neither learns that the other is there, and nothing passes */
	expect_frame(&agents[0], SIG_FRAME_UNKNOWN, &frame);
	expect_frame(&agents[1], SIG_FRAME_UNKNOWN, &frame);
	say(&agents[0], &agents[1], 1);
	expect_frame(&agents[0], SIG_FRAME_UNAVAILABLE, &frame);
	expect_frame(&agents[1], SIG_FRAME_UNKNOWN, &frame);

	/* who is moved begins anew; who is not stays */
	g_clear_pointer(&rules.members, sig_members_free);
	rules.members = list_of(agents, (const char *[]){"x", "x"}, 2);
	sig_conn_readmit(agents[0].conn);
	sig_conn_readmit(agents[1].conn);
	g_assert_false(sig_conn_is_closing(agents[0].conn));
	expect_frame(&agents[1], SIG_FRAME_DRAIN, &frame);
	g_assert_cmpint(sig_conn_take_close(agents[1].conn), ==, SIG_CLOSE_RESTART);
	for (gsize i = 0; i < 2; i++)
		sig_conn_free(agents[i].conn);
	sig_members_free(rules.members);
	world_close(&w);
}

/* ---- metrics ---- */

/* The format's rules: each sample after a HELP and a TYPE of its name, and none twice. */
static void
test_metrics(void)
{
	World w = {0};
	SigMetricsFacts facts = {.connections = 3,
				 .allowed_keys = 7,
				 .stun = {.requests = 15,
					  .answered = 1,
					  .refused = 2,
					  .malformed = 3,
					  .rate_limited = 4,
					  .unsent = 5},
				 .started_s = 1790000000,
				 .tls_expires_s = 1800000000};
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	g_autofree char *page = NULL, *described = g_strdup("");
	g_auto(GStrv) lines = NULL;

	world_open(&w);
	w.hub->stats.routed = 12;
	w.hub->stats.closed[sig_close_index(SIG_CLOSE_NOT_ALLOWED)] = 5;
	page = sig_metrics_page(w.hub, &facts);
	g_assert_nonnull(strstr(page, "\nnat_signald_messages_routed_total 12\n"));
	g_assert_nonnull(strstr(page, "\nnat_signald_closed_total{code=\"not-allowed\"} 5\n"));
	g_assert_nonnull(strstr(page, "\nnat_signald_allowed_keys 7\n"));
	g_assert_nonnull(strstr(page, "\nnat_signald_stun_requests_total{result=\"answered\"} 1\n"
				      "nat_signald_stun_requests_total{result=\"refused\"} 2\n"
				      "nat_signald_stun_requests_total{result=\"malformed\"} 3\n"
				      "nat_signald_stun_requests_total{result=\"rate_limited\"} 4\n"
				      "nat_signald_stun_requests_total{result=\"unsent\"} 5\n"));
	g_assert_nonnull(strstr(page, "\nprocess_open_fds "));
	g_assert_true(g_str_has_suffix(page, "\n"));
	lines = g_strsplit(page, "\n", -1);
	for (guint i = 0; lines[i] && lines[i][0]; i++) {
		g_auto(GStrv) words = g_strsplit(lines[i], " ", 4);

		if (g_str_equal(words[0], "#")) {
			g_free(described);
			described = g_strdup(words[2]);
			continue;
		}
		g_assert_cmpuint(g_strv_length(words), ==, 2);
		g_assert_true(g_hash_table_add(seen, lines[i]));
		words[0][strcspn(words[0], "{")] = 0;
		g_assert_cmpstr(words[0], ==, described);
	}
	world_close(&w);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/admit/list", test_list);
	g_test_add_func("/admit/networks", test_networks);
	g_test_add_func("/admit/networks-of-another-list", test_networks_of_another_list);
	g_test_add_func("/admit/bad-lists", test_bad_lists);
	g_test_add_func("/admit/device", test_device);
	g_test_add_func("/admit/wildcards", test_wildcards);
	g_test_add_func("/admit/revoked", test_revoked);
	g_test_add_func("/admit/other-network", test_other_network);
	g_test_add_func("/admit/metrics", test_metrics);
	return g_test_run();
}
