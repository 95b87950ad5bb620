/* SPDX-License-Identifier: MIT */
/* Against a real coturn on host b; we are host a. */
#include "agent/relay/nat-relay.h"
#include "tests/unit/coturn.h"
#include "tests/unit/two-hosts.h"

#include <gio/gio.h>
#include <string.h>

#define USER "bob:s3cret"
#define WG_PORT 51999

typedef struct {
	Hosts hosts;
	gboolean up;
	Coturn coturn;
	NatRelay *relay;
	guint changes, credentials;
	GString *received;
	WgEndpoint from, dst;
	int peer, wg; /* sockets: a peer's on b, WireGuard's on a */
	WgEndpoint peer_addr;
	WgEndpoint known; /* to wait for another address than this */
} Fixture;

static void
on_changed(gpointer user_data)
{
	((Fixture *)user_data)->changes++;
}

static void
on_received(const NatUdp *pkt, gpointer user_data)
{
	Fixture *f = user_data;

	g_string_truncate(f->received, 0);
	g_string_append_len(f->received, (const char *)pkt->payload, (gssize)pkt->len);
	f->from = pkt->src;
	f->dst = pkt->dst;
}

static void
on_credentials_wanted(gpointer user_data)
{
	((Fixture *)user_data)->credentials++;
}

static const NatRelayFuncs FUNCS = {
	.changed = on_changed,
	.received = on_received,
	.credentials_wanted = on_credentials_wanted,
};

static void
start_coturn(Fixture *f, const char *extra)
{
	host_enter(&f->hosts.b);
	coturn_start(&f->coturn, "10.9.0.2", USER, extra);
	host_enter(&f->hosts.a);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	static const WgKey key;

	f->up = coturn_is_there() && hosts_up(&f->hosts);
	if (!f->up)
		return;
	start_coturn(f, data);
	host_enter(&f->hosts.b);
	f->peer = net_udp("10.9.0.2:40000");
	f->peer_addr = net_ep("10.9.0.2:40000");
	host_enter(&f->hosts.a);
	f->wg = net_udp("127.0.0.1:51999");
	f->received = g_string_new(NULL);
	f->relay = nat_relay_new("wg-test", NULL, &key, 0, &FUNCS, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_relay_free(f->relay);
	g_string_free(f->received, TRUE);
	close(f->peer);
	close(f->wg);
	coturn_clear(&f->coturn);
	hosts_down(&f->hosts);
}

static void
use(Fixture *f, const char *uri)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) uris =
		g_ptr_array_new_with_free_func((GDestroyNotify)nat_turn_uri_free);

	g_ptr_array_add(uris, nat_turn_uri_parse(uri, &error));
	g_assert_no_error(error);
	nat_relay_set_servers(f->relay, uris);
}

static gboolean
is_up(gconstpointer data)
{
	return nat_relay_state(((const Fixture *)data)->relay) == NAT_RELAY_UP;
}

/* The address that it gets is `known` from then on. */
static void
go_up(Fixture *f, const char *uri)
{
	use(f, uri);
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_up, f, 30000));
	f->known = *nat_relay_address(f->relay);
}

static gboolean
is_failed(gconstpointer data)
{
	return nat_relay_state(((const Fixture *)data)->relay) == NAT_RELAY_FAILED;
}

static gboolean
is_another(gconstpointer data)
{
	const Fixture *f = data;

	return is_up(f) && !wg_endpoint_equal(nat_relay_address(f->relay), &f->known);
}

static gboolean
has_received(gconstpointer data)
{
	return ((const Fixture *)data)->received->len > 0;
}

static gboolean
was_asked_for_credentials(gconstpointer data)
{
	return ((const Fixture *)data)->credentials > 0;
}

/* Until the permission stands, what the peer sends is dropped. */
static void
peer_sends_until_received(Fixture *f, const char *text)
{
	const WgEndpoint *relayed = nat_relay_address(f->relay);

	g_string_truncate(f->received, 0);
	for (int i = 0; i < 100 && f->received->len == 0; i++) {
		sendto(f->peer, text, strlen(text), 0, &relayed->sa, wg_endpoint_socklen(relayed));
		hosts_wait(has_received, f, 50);
	}
	g_assert_cmpstr(f->received->str, ==, text);
	g_assert_true(wg_endpoint_equal(&f->from, &f->peer_addr));
	g_assert_true(wg_endpoint_equal(&f->dst, relayed));
}

/* What was lost is sent again; of an earlier one that comes twice for that, the second is passed
 * over: no two that follow each other are of one length. */
#define TRIES 30

static gboolean
hears(int fd, gconstpointer data, gsize len, const WgEndpoint *source)
{
	guint8 buf[2000];
	WgEndpoint from = {0};
	gssize n;

	do
		n = net_recv(fd, buf, sizeof buf, 1000, &from);
	while (n > 0 && n != (gssize)len);
	if (n <= 0)
		return FALSE;
	g_assert_cmpmem(buf, (gsize)n, data, len);
	g_assert_true(wg_endpoint_equal(&from, source));
	return TRUE;
}

static void
peer_hears(Fixture *f, const char *text)
{
	const WgEndpoint *relayed = nat_relay_address(f->relay);
	gboolean heard = FALSE;

	for (int i = 0; i < TRIES && !heard; i++) {
		g_assert_true(nat_relay_send(f->relay, relayed, &f->peer_addr, (const guint8 *)text,
					     strlen(text)));
		heard = hears(f->peer, text, strlen(text), relayed);
	}
	g_assert_true(heard);
}

static void
passes(int from, const WgEndpoint *to, const guint8 *data, gsize len, int at,
       const WgEndpoint *source)
{
	gboolean heard = FALSE;

	for (int i = 0; i < TRIES && !heard; i++) {
		g_assert_cmpint(sendto(from, data, len, 0, &to->sa, wg_endpoint_socklen(to)), ==,
				(gssize)len);
		heard = hears(at, data, len, source);
	}
	g_assert_true(heard);
}

typedef struct {
	gboolean told;
	WgEndpoint endpoint;
} Ready;

static void
on_ready(NatRelayBridge *bridge, const WgEndpoint *endpoint, gpointer user_data)
{
	Ready *ready = user_data;

	ready->told = TRUE;
	memset(&ready->endpoint, 0, sizeof ready->endpoint);
	if (endpoint)
		ready->endpoint = *endpoint;
}

static void
set_int_option(int fd, int option, int value)
{
	g_assert_cmpint(setsockopt(fd, SOL_SOCKET, option, &value, sizeof value), ==, 0);
}

/* Odd lengths too: a stream pads. */
static void
wireguard_talks_to_peer(Fixture *f, const WgEndpoint *endpoint)
{
	guint8 packet[1452] = {4, 0, 0, 0};
	WgEndpoint relayed = *nat_relay_address(f->relay);

	set_int_option(f->peer, SO_RCVBUF, 1 << 20);
	for (gsize len = 32; len <= sizeof packet; len += 71) {
		memset(packet + 4, (int)len, sizeof packet - 4);
		passes(f->wg, endpoint, packet, len, f->peer, &relayed);
		passes(f->peer, &relayed, packet, len, f->wg, endpoint);
	}
}

static NatRelayBridge *
bridge(Fixture *f, Ready *ready)
{
	NatRelayBridge *b = nat_relay_bridge_new(f->relay, nat_relay_address(f->relay),
						 &f->peer_addr, WG_PORT, on_ready, ready);

	g_assert_false(ready->told);
	g_assert_true(net_wait(&ready->told, 30000));
	return b;
}

static void
all_the_way(Fixture *f, const char *uri, const char *server)
{
	NatRelayBridge *b;
	Ready ready = {0};

	if (!f->up)
		return;
	use(f, uri);
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_IDLE);
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_up, f, 30000));
	g_assert_cmpstr(nat_relay_server(f->relay), ==, server);
	g_assert_null(nat_relay_problem(f->relay));
	nat_relay_permit(f->relay, f, &f->peer_addr, 1);
	peer_sends_until_received(f, "hello");
	peer_hears(f, "hello yourself");
	b = bridge(f, &ready);
	g_assert_true(wg_endpoint_is_set(&ready.endpoint));
	wireguard_talks_to_peer(f, &ready.endpoint);
	/* What is not WireGuard's comes to us through the channel as well. */
	peer_sends_until_received(f, "not WireGuard");
	peer_hears(f, "through the channel");
	nat_relay_bridge_free(b);
}

static void
test_udp(Fixture *f, gconstpointer data)
{
	all_the_way(f, "turn:" USER "@10.9.0.2?transport=udp", "turn:10.9.0.2:3478?transport=udp");
}

static void
test_tcp(Fixture *f, gconstpointer data)
{
	all_the_way(f, "turn:" USER "@10.9.0.2?transport=tcp", "turn:10.9.0.2:3478?transport=tcp");
}

static void
trust(const char *file)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GTlsDatabase) db = file ? g_tls_file_database_new(file, &error) : NULL;

	g_assert_no_error(error);
	g_tls_backend_set_default_database(g_tls_backend_get_default(), db);
}

static void
test_tls(Fixture *f, gconstpointer data)
{
	g_autofree char *cert = NULL;

	if (!f->up)
		return;
	cert = g_build_filename(f->coturn.dir, "cert.pem", NULL);
	trust(cert);
	all_the_way(f, "turns:" USER "@10.9.0.2", "turns:10.9.0.2:5349");
	trust(NULL);
}

/* A certificate that nobody vouches for, or of another name, gets nothing. */
static void
test_tls_untrusted(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	use(f, "turns:" USER "@10.9.0.2");
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_failed, f, 30000));
	g_assert_cmpstr(
		nat_relay_problem(f->relay), ==,
		"turns:10.9.0.2:5349: its certificate is signed by nobody this host trusts");
}

static void
test_udp_blocked(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	host_enter(&f->hosts.b);
	net_run("nft add table inet t");
	net_run("nft add chain inet t c { type filter hook input priority 0 ; }");
	net_run("nft add rule inet t c udp dport 3478 drop");
	host_enter(&f->hosts.a);
	all_the_way(f, "turn:" USER "@10.9.0.2", "turn:10.9.0.2:3478?transport=tcp");
}

static void
test_wrong_password(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	use(f, "turn:bob:wrong@10.9.0.2?transport=udp");
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_failed, f, 30000));
	g_test_message("%s", nat_relay_problem(f->relay));
	g_assert_true(g_str_has_prefix(nat_relay_problem(f->relay),
				       "turn:10.9.0.2:3478?transport=udp: wrong or expired "
				       "credentials: check the secret in --turn"));
	g_assert_true(hosts_wait(was_asked_for_credentials, f, 30000));
	/* Fresh ones are tried at once. */
	use(f, "turn:" USER "@10.9.0.2");
	g_assert_true(hosts_wait(is_up, f, 30000));
	g_assert_null(nat_relay_problem(f->relay));
}

static void
test_unreachable(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	use(f, "turn:" USER "@10.9.0.2:9");
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_failed, f, 30000));
	g_assert_cmpstr(
		nat_relay_problem(f->relay), ==,
		"turn:10.9.0.2:9?transport=udp: nothing listens there (connection refused)");
	g_assert_cmpuint(f->credentials, ==, 0);
}

/* Killed and started again: noticed when asked, and replaced without being told to. */
static void
server_restarts(Fixture *f, const char *uri)
{
	Ready ready = {0};
	NatRelayBridge *b;

	if (!f->up)
		return;
	use(f, uri);
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_up, f, 30000));
	b = bridge(f, &ready);
	g_assert_true(wg_endpoint_is_set(&ready.endpoint));
	ready.told = FALSE;
	f->known = *nat_relay_address(f->relay);
	coturn_kill(&f->coturn);
	start_coturn(f, NULL);
	nat_relay_check(f->relay, &f->known);
	g_assert_true(hosts_wait(is_another, f, 30000));
	g_assert_true(net_wait(&ready.told, 30000));
	g_assert_false(wg_endpoint_is_set(&ready.endpoint));
	g_assert_null(nat_relay_bridge_endpoint(b));
	g_assert_false(nat_relay_is_ours(f->relay, &f->known));
	nat_relay_bridge_free(b);
	/* Permits outlive allocations. */
	nat_relay_permit(f->relay, f, &f->peer_addr, 1);
	peer_sends_until_received(f, "hello");
}

static void
test_server_restarts(Fixture *f, gconstpointer data)
{
	server_restarts(f, "turn:" USER "@10.9.0.2?transport=udp");
}

static void
test_server_restarts_tcp(Fixture *f, gconstpointer data)
{
	server_restarts(f, "turn:" USER "@10.9.0.2?transport=tcp");
}

/* The address goes: a new allocation from the new one, while the old one stays for its bridges. */
static void
test_address_changes(Fixture *f, gconstpointer data)
{
	Ready ready = {0};
	NatRelayBridge *b;

	if (!f->up)
		return;
	use(f, "turn:" USER "@10.9.0.2");
	nat_relay_permit(f->relay, f, &f->peer_addr, 1);
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_up, f, 30000));
	f->known = *nat_relay_address(f->relay);
	nat_relay_network_changed(f->relay); /* nothing is different */
	hosts_run(300);
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->known));
	b = bridge(f, &ready);
	net_run("ip addr add 10.9.0.7/24 dev core-a");
	net_run("ip addr del 10.9.0.1/24 dev core-a");
	net_run("ip addr add 10.9.0.7/24 dev core-a"); /* went with its primary */
	nat_relay_network_changed(f->relay);
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->known));
	g_assert_true(hosts_wait(is_another, f, 30000));
	g_assert_true(nat_relay_is_ours(f->relay, &f->known));
	g_assert_nonnull(nat_relay_bridge_endpoint(b));
	peer_sends_until_received(f, "hello");
	ready.told = FALSE;
	nat_relay_bridge_free(b);
	for (int i = 0; i < 300 && nat_relay_is_ours(f->relay, &f->known); i++)
		hosts_run(100);
	g_assert_false(nat_relay_is_ours(f->relay, &f->known));
	g_assert_false(ready.told);
}

/* Fresh credentials that come just then end the attempt at a new one, not the need for it. */
static void
test_address_and_credentials_change(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	go_up(f, "turn:" USER "@10.9.0.2");
	net_run("ip addr add 10.9.0.7/24 dev core-a");
	net_run("ip addr del 10.9.0.1/24 dev core-a");
	net_run("ip addr add 10.9.0.7/24 dev core-a"); /* went with its primary */
	nat_relay_network_changed(f->relay);
	use(f, "turn:alice:s3cret@10.9.0.2");
	g_assert_true(hosts_wait(is_another, f, 30000));
	nat_relay_permit(f->relay, f, &f->peer_addr, 1);
	peer_sends_until_received(f, "hello");
}

/* Fresh credentials of the same server serve the next allocation only. */
static void
test_credentials_changed(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	go_up(f, "turn:" USER "@10.9.0.2");
	use(f, "turn:bob:another@10.9.0.2");
	hosts_run(300);
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->known));
	nat_relay_check(f->relay, &f->known);
	hosts_run(300);
	g_assert_true(is_up(f));
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->known));
}

static void
test_unwanted_while_bridged(Fixture *f, gconstpointer data)
{
	Ready ready = {0};
	NatRelayBridge *b;

	if (!f->up)
		return;
	use(f, "turn:" USER "@10.9.0.2");
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_up, f, 30000));
	b = bridge(f, &ready);
	nat_relay_set_wanted(f->relay, FALSE);
	hosts_run(100);
	wireguard_talks_to_peer(f, &ready.endpoint);
	nat_relay_bridge_free(b);
	/* Freed, the server has it back: one more fits into a quota of one, at the second try at
	 * the latest (coturn takes its time), not after ten minutes. */
	nat_relay_free(f->relay);
	f->relay = nat_relay_new("wg-test", NULL, &(WgKey){0}, 0, &FUNCS, f);
	use(f, "turn:" USER "@10.9.0.2?transport=udp");
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_up, f, 30000));
}

static void
test_no_such_relayed_address(Fixture *f, gconstpointer data)
{
	WgEndpoint none = net_ep("192.0.2.9:9");
	Ready ready = {0};
	NatRelayBridge *b;

	if (!f->up)
		return;
	b = nat_relay_bridge_new(f->relay, &none, &f->peer_addr, WG_PORT, on_ready, &ready);
	g_assert_true(net_wait(&ready.told, 30000));
	g_assert_false(wg_endpoint_is_set(&ready.endpoint));
	g_assert_null(nat_relay_bridge_endpoint(b));
	nat_relay_bridge_free(b);
	g_assert_false(nat_relay_send(f->relay, &none, &f->peer_addr, (const guint8 *)"x", 1));
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_NONE);
}

#define ADD(name, extra, func) g_test_add(name, Fixture, extra, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
	ADD("/relay/udp", NULL, test_udp);
	ADD("/relay/tcp", NULL, test_tcp);
	ADD("/relay/tls", NULL, test_tls);
	ADD("/relay/tls-untrusted", NULL, test_tls_untrusted);
	ADD("/relay/udp-blocked", NULL, test_udp_blocked);
	ADD("/relay/wrong-password", NULL, test_wrong_password);
	ADD("/relay/unreachable", NULL, test_unreachable);
	ADD("/relay/server-restarts", NULL, test_server_restarts);
	ADD("/relay/server-restarts-tcp", NULL, test_server_restarts_tcp);
	ADD("/relay/address-changes", NULL, test_address_changes);
	ADD("/relay/address-and-credentials-change", "--user alice:s3cret",
	    test_address_and_credentials_change);
	ADD("/relay/credentials-changed", NULL, test_credentials_changed);
	ADD("/relay/unwanted-while-bridged", "--user-quota 1", test_unwanted_while_bridged);
	ADD("/relay/no-such-relayed-address", NULL, test_no_such_relayed_address);
	return g_test_run();
}
