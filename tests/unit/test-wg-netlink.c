/* SPDX-License-Identifier: MIT */
/*
 * Against messages made by hand, as the kernel's wireguard module writes and reads them; the module
 * itself is met under tests/vm/.
 */
#include "wgctl/wg-netlink.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <string.h>

#define FAMILY 31
#define SIZE 65536

typedef struct {
	char bytes[SIZE];
	struct nlmsghdr *nlh;
	struct nlattr *peers, *peer;
} Message;

static Message *
message_new(void)
{
	Message *m = g_new0(Message, 1);

	m->nlh = mnl_nlmsg_put_header(m->bytes);
	m->nlh->nlmsg_type = FAMILY;
	mnl_nlmsg_put_extra_header(m->nlh, sizeof(struct genlmsghdr));
	return m;
}

static void
start_peer(Message *m, guint8 key)
{
	WgKey public_key = {{key}};

	if (!m->peers)
		m->peers = mnl_attr_nest_start(m->nlh, WGDEVICE_A_PEERS);
	m->peer = mnl_attr_nest_start(m->nlh, 0);
	mnl_attr_put(m->nlh, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN, public_key.b);
}

static void
end_peer(Message *m)
{
	mnl_attr_nest_end(m->nlh, m->peer);
}

static void
put_allowed_ip(Message *m, guint16 family, gsize len, guint8 first, guint8 cidr)
{
	struct nlattr *nest = mnl_attr_nest_start(m->nlh, 0);
	guint8 addr[32] = {first};

	mnl_attr_put_u16(m->nlh, WGALLOWEDIP_A_FAMILY, family);
	mnl_attr_put(m->nlh, WGALLOWEDIP_A_IPADDR, len, addr);
	mnl_attr_put_u8(m->nlh, WGALLOWEDIP_A_CIDR_MASK, cidr);
	mnl_attr_nest_end(m->nlh, nest);
}

static void
put_allowed_ips(Message *m, guint8 from, guint8 to)
{
	struct nlattr *nest = mnl_attr_nest_start(m->nlh, WGPEER_A_ALLOWEDIPS);

	for (guint i = from; i < to; i++)
		put_allowed_ip(m, AF_INET, 4, i, 8);
	mnl_attr_nest_end(m->nlh, nest);
}

static gboolean
parse(WgDevice *dev, Message *m, GError **error)
{
	gboolean ok;

	if (m->peers)
		mnl_attr_nest_end(m->nlh, m->peers);
	ok = wg_netlink_parse(dev, m->nlh, error);
	g_free(m);
	return ok;
}

static void
parse_good(WgDevice *dev, Message *m)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(parse(dev, m, &error));
	g_assert_no_error(error);
}

static void
parse_bad(Message *m)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	g_autoptr(GError) error = NULL;

	g_assert_false(parse(dev, m, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_PROTOCOL);
}

static WgPeer *
peer_at(const WgDevice *dev, guint i)
{
	g_assert_cmpuint(dev->peers->len, >, i);
	return g_ptr_array_index(dev->peers, i);
}

static void
test_full_device(void)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	Message *m = message_new();
	gint64 handshake[2] = {1700000000, 5};
	WgKey key = {{7}}, psk = {{8}};
	WgEndpoint ep;

	g_assert_true(wg_endpoint_parse("[fe80::1%3]:9", &ep));
	mnl_attr_put_u32(m->nlh, WGDEVICE_A_IFINDEX, 12);
	mnl_attr_put_strz(m->nlh, WGDEVICE_A_IFNAME, "wg0");
	mnl_attr_put(m->nlh, WGDEVICE_A_PRIVATE_KEY, WG_KEY_LEN, key.b);
	mnl_attr_put(m->nlh, WGDEVICE_A_PUBLIC_KEY, WG_KEY_LEN, psk.b);
	mnl_attr_put_u16(m->nlh, WGDEVICE_A_LISTEN_PORT, 51820);
	mnl_attr_put_u32(m->nlh, WGDEVICE_A_FWMARK, 0xca6c);
	start_peer(m, 1);
	mnl_attr_put(m->nlh, WGPEER_A_PRESHARED_KEY, WG_KEY_LEN, psk.b);
	mnl_attr_put(m->nlh, WGPEER_A_ENDPOINT, sizeof ep.v6, &ep);
	mnl_attr_put_u16(m->nlh, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 25);
	mnl_attr_put(m->nlh, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof handshake, handshake);
	mnl_attr_put_u64(m->nlh, WGPEER_A_RX_BYTES, G_MAXUINT64);
	mnl_attr_put_u64(m->nlh, WGPEER_A_TX_BYTES, 2);
	mnl_attr_put_u32(m->nlh, WGPEER_A_PROTOCOL_VERSION, 1);
	put_allowed_ips(m, 10, 12);
	end_peer(m);
	start_peer(m, 2);
	end_peer(m);
	parse_good(dev, m);

	g_assert_cmpint(dev->ifindex, ==, 12);
	g_assert_true(wg_key_equal(&dev->private_key, &key));
	g_assert_true(wg_key_equal(&dev->public_key, &psk));
	g_assert_cmpuint(dev->listen_port, ==, 51820);
	g_assert_cmpuint(dev->fwmark, ==, 0xca6c);
	g_assert_cmpuint(dev->peers->len, ==, 2);
	g_assert_true(wg_key_equal(&peer_at(dev, 0)->preshared_key, &psk));
	g_assert_true(wg_endpoint_equal(&peer_at(dev, 0)->endpoint, &ep));
	g_assert_cmpuint(peer_at(dev, 0)->keepalive, ==, 25);
	g_assert_cmpint(peer_at(dev, 0)->last_handshake_s, ==, 1700000000);
	g_assert_cmpint(peer_at(dev, 0)->last_handshake_ns, ==, 5);
	g_assert_cmpuint(peer_at(dev, 0)->rx_bytes, ==, G_MAXUINT64);
	g_assert_cmpuint(peer_at(dev, 0)->tx_bytes, ==, 2);
	g_assert_cmpuint(peer_at(dev, 0)->allowed_ips->len, ==, 2);
	g_assert_false(wg_endpoint_is_set(&peer_at(dev, 1)->endpoint));
}

/* One peer's allowed IPs go on over three messages, the last of which has the next peer too. */
static void
test_split_dump(void)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	Message *m = message_new();

	start_peer(m, 1);
	mnl_attr_put_u16(m->nlh, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 25);
	put_allowed_ips(m, 0, 100);
	end_peer(m);
	parse_good(dev, m);
	m = message_new();
	start_peer(m, 1);
	put_allowed_ips(m, 100, 150);
	end_peer(m);
	parse_good(dev, m);
	m = message_new();
	start_peer(m, 1);
	put_allowed_ips(m, 150, 160);
	end_peer(m);
	start_peer(m, 2);
	put_allowed_ips(m, 160, 170);
	end_peer(m);
	parse_good(dev, m);

	g_assert_cmpuint(dev->peers->len, ==, 2);
	g_assert_cmpuint(peer_at(dev, 0)->keepalive, ==, 25);
	g_assert_cmpuint(peer_at(dev, 0)->allowed_ips->len, ==, 160);
	for (guint i = 0; i < 160; i++)
		g_assert_cmpuint(
			g_array_index(peer_at(dev, 0)->allowed_ips, WgAllowedIp, i).addr[0], ==, i);
	g_assert_cmpuint(peer_at(dev, 1)->allowed_ips->len, ==, 10);
}

static void
test_unknown_attributes(void)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	Message *m = message_new();
	struct nlattr *nest;

	mnl_attr_put_u32(m->nlh, 4000, 1);
	start_peer(m, 1);
	mnl_attr_put_u64(m->nlh, 4001, 1);
	nest = mnl_attr_nest_start(m->nlh, WGPEER_A_ALLOWEDIPS);
	put_allowed_ip(m, 77, 6, 1, 200); /* of a family that is not known here */
	put_allowed_ip(m, AF_INET6, 16, 0xfd, 8);
	mnl_attr_nest_end(m->nlh, nest);
	end_peer(m);
	parse_good(dev, m);
	g_assert_cmpuint(peer_at(dev, 0)->allowed_ips->len, ==, 1);
}

static void
test_foreign_endpoint_family(void)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	struct sockaddr sa = {.sa_family = AF_UNIX};
	Message *m = message_new();

	start_peer(m, 1);
	mnl_attr_put(m->nlh, WGPEER_A_ENDPOINT, sizeof sa, &sa);
	end_peer(m);
	parse_good(dev, m);
	g_assert_false(wg_endpoint_is_set(&peer_at(dev, 0)->endpoint));
}

/* Each attribute one byte too short and one too long. */
static void
test_wrong_lengths(void)
{
	static const struct {
		gboolean of_peer;
		guint16 type, len;
	} attributes[] = {
		{FALSE, WGDEVICE_A_IFINDEX, 4},
		{FALSE, WGDEVICE_A_PRIVATE_KEY, WG_KEY_LEN},
		{FALSE, WGDEVICE_A_PUBLIC_KEY, WG_KEY_LEN},
		{FALSE, WGDEVICE_A_LISTEN_PORT, 2},
		{FALSE, WGDEVICE_A_FWMARK, 4},
		{TRUE, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN},
		{TRUE, WGPEER_A_PRESHARED_KEY, WG_KEY_LEN},
		{TRUE, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 2},
		{TRUE, WGPEER_A_LAST_HANDSHAKE_TIME, 16},
		{TRUE, WGPEER_A_RX_BYTES, 8},
		{TRUE, WGPEER_A_TX_BYTES, 8},
	};
	static const guint8 zero[64];

	for (gsize i = 0; i < G_N_ELEMENTS(attributes); i++)
		for (int delta = -1; delta <= 1; delta += 2) {
			Message *m = message_new();

			if (attributes[i].of_peer)
				start_peer(m, 1);
			mnl_attr_put(m->nlh, attributes[i].type, attributes[i].len + delta, zero);
			if (attributes[i].of_peer)
				end_peer(m);
			parse_bad(m);
		}
}

static void
test_bad_allowed_ips(void)
{
	static const struct {
		guint16 family, len, cidr;
	} bad[] = {{AF_INET, 3, 8},  {AF_INET, 16, 8},	{AF_INET, 4, 33},
		   {AF_INET6, 4, 8}, {AF_INET6, 17, 8}, {AF_INET6, 16, 129}};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		Message *m = message_new();
		struct nlattr *nest;

		start_peer(m, 1);
		nest = mnl_attr_nest_start(m->nlh, WGPEER_A_ALLOWEDIPS);
		put_allowed_ip(m, bad[i].family, bad[i].len, 1, bad[i].cidr);
		mnl_attr_nest_end(m->nlh, nest);
		end_peer(m);
		parse_bad(m);
	}
}

static void
test_no_key(void)
{
	Message *m = message_new();

	m->peers = mnl_attr_nest_start(m->nlh, WGDEVICE_A_PEERS);
	m->peer = mnl_attr_nest_start(m->nlh, 0);
	end_peer(m);
	parse_bad(m);
}

static void
test_short_message(void)
{
	Message *m = message_new();

	m->nlh->nlmsg_len = NLMSG_HDRLEN + 2;
	parse_bad(m);
}

static void
test_whole_message(void)
{
	Message *m = message_new();

	g_assert_true(wg_netlink_is_whole(m->nlh, m->nlh->nlmsg_len));
	g_assert_false(wg_netlink_is_whole(m->nlh, m->nlh->nlmsg_len - 1));
	g_assert_false(wg_netlink_is_whole(m->nlh, -1));
	m->nlh->nlmsg_len = 0xc8c8c8c8; /* negative as an int */
	g_assert_false(wg_netlink_is_whole(m->nlh, SIZE));
	g_free(m);
}

/* The last attribute claims a byte that is no longer of the message. */
static void
test_odd_length(void)
{
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	Message *m = message_new();

	mnl_attr_put_u32(m->nlh, WGDEVICE_A_FWMARK, 7);
	m->nlh->nlmsg_len--;
	parse_good(dev, m);
	g_assert_cmpuint(dev->fwmark, ==, 0);
}

/* What the kernel would make of a message of ours: its peers, with flags. */
typedef struct {
	guint32 flags;
	gboolean has_keepalive;
} Seen;

static void
see_peer(GArray *seen, const struct nlattr *nest)
{
	const struct nlattr *attr;
	Seen entry = {0};

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == WGPEER_A_FLAGS)
			entry.flags = mnl_attr_get_u32(attr);
		if (mnl_attr_get_type(attr) == WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL)
			entry.has_keepalive = TRUE;
	}
	g_array_append_val(seen, entry);
}

/* Also checks what the kernel's policy would: header, name, and no message over the bound. Peers of
 * adjacent entries with one key are told apart by the flags, values are read by our own parser. */
static GArray *
see_message(const struct nlmsghdr *nlh, WgDevice *dev)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	GArray *seen = g_array_new(FALSE, FALSE, sizeof(Seen));
	g_autoptr(GError) error = NULL;
	const struct nlattr *attr, *nest;
	const char *name = NULL;

	g_assert_cmpuint(nlh->nlmsg_type, ==, FAMILY);
	g_assert_cmpuint(nlh->nlmsg_flags, ==, NLM_F_REQUEST | NLM_F_ACK);
	g_assert_cmpuint(nlh->nlmsg_len, <=, 60000);
	g_assert_cmpuint(genl->cmd, ==, WG_CMD_SET_DEVICE);
	g_assert_cmpuint(genl->version, ==, WG_GENL_VERSION);
	mnl_attr_for_each(attr, nlh, sizeof *genl)
	{
		if (mnl_attr_get_type(attr) == WGDEVICE_A_IFNAME)
			name = mnl_attr_get_str(attr);
		if (mnl_attr_get_type(attr) == WGDEVICE_A_PEERS)
			mnl_attr_for_each_nested(nest, attr)
			{
				see_peer(seen, nest);
			}
	}
	g_assert_cmpstr(name, ==, "wg0");
	g_assert_true(wg_netlink_parse(dev, nlh, &error));
	g_assert_no_error(error);
	return seen;
}

static Seen
seen_at(const GArray *seen, guint i)
{
	g_assert_cmpuint(seen->len, >, i);
	return g_array_index(seen, Seen, i);
}

static void
test_set_device(void)
{
	g_autoptr(WgPlan) plan = wg_plan_new();
	g_autoptr(WgDevice) dev = wg_device_new("wg0");
	g_autoptr(GPtrArray) messages = NULL;
	g_autoptr(GArray) seen = NULL;
	guint16 port = 51820;
	guint32 fwmark = 7;
	WgKey key = {{9}};

	plan->private_key = &key;
	plan->listen_port = &port;
	plan->fwmark = &fwmark;
	messages = wg_netlink_build_set(FAMILY, "wg0", plan);
	g_assert_cmpuint(messages->len, ==, 1);
	seen = see_message(messages->pdata[0], dev);
	g_assert_cmpuint(seen->len, ==, 0);
	g_assert_true(wg_key_equal(&dev->private_key, &key));
	g_assert_cmpuint(dev->listen_port, ==, 51820);
	g_assert_cmpuint(dev->fwmark, ==, 7);
}

static WgDevice *
device_with_peer(guint n_allowed_ips)
{
	WgDevice *dev = wg_device_new("wg0");
	WgPeer *peer = wg_peer_new();

	peer->public_key.b[0] = 1;
	peer->preshared_key.b[0] = 2;
	peer->keepalive = 25;
	g_assert_true(wg_endpoint_parse("192.0.2.1:1", &peer->endpoint));
	for (guint i = 0; i < n_allowed_ips; i++) {
		WgAllowedIp ip = {.family = AF_INET6, .cidr = 128};

		ip.addr[0] = 0xfd;
		ip.addr[14] = i >> 8;
		ip.addr[15] = i;
		g_array_append_val(peer->allowed_ips, ip);
	}
	g_ptr_array_add(dev->peers, peer);
	return dev;
}

static GPtrArray *
build_change(const WgDevice *dev, const WgPeerChange *change)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(WgPlan) plan = wg_plan_new_changes(dev, change, 1, &error);

	g_assert_no_error(error);
	return wg_netlink_build_set(FAMILY, "wg0", plan);
}

static void
test_rearm_is_one_message(void)
{
	g_autoptr(WgDevice) old = device_with_peer(3), dev = wg_device_new("wg0");
	WgPeerChange change = {.public_key = {{1}}, .flags = WG_CHANGE_REARM};
	g_autoptr(GPtrArray) messages = build_change(old, &change);
	g_autoptr(GArray) seen = NULL;

	g_assert_cmpuint(messages->len, ==, 1);
	seen = see_message(messages->pdata[0], dev);
	g_assert_cmpuint(seen->len, ==, 2);
	g_assert_true(seen_at(seen, 0).has_keepalive && seen_at(seen, 1).has_keepalive);
	g_assert_cmpuint(seen_at(seen, 0).flags, ==, WGPEER_F_UPDATE_ONLY);
	g_assert_cmpuint(seen_at(seen, 1).flags, ==, WGPEER_F_UPDATE_ONLY);
	/* The later entry has won in the parser, as it does in the kernel. */
	g_assert_cmpuint(peer_at(dev, 0)->keepalive, ==, 25);
}

static void
check_same_peer(const WgPeer *peer, const WgPeer *old)
{
	g_assert_true(wg_key_equal(&peer->preshared_key, &old->preshared_key));
	g_assert_true(wg_endpoint_equal(&peer->endpoint, &old->endpoint));
	g_assert_cmpuint(peer->keepalive, ==, old->keepalive);
	g_assert_cmpmem(peer->allowed_ips->data, peer->allowed_ips->len * sizeof(WgAllowedIp),
			old->allowed_ips->data, old->allowed_ips->len * sizeof(WgAllowedIp));
}

static void
test_replace_is_one_message(void)
{
	g_autoptr(WgDevice) old = device_with_peer(1000), dev = wg_device_new("wg0");
	WgPeerChange change = {.public_key = {{1}}, .flags = WG_CHANGE_REPLACE};
	g_autoptr(GPtrArray) messages = build_change(old, &change);
	g_autoptr(GArray) seen = NULL;

	g_assert_cmpuint(messages->len, ==, 1);
	seen = see_message(messages->pdata[0], dev);
	g_assert_cmpuint(seen->len, ==, 2);
	g_assert_cmpuint(seen_at(seen, 0).flags, ==, WGPEER_F_REMOVE_ME);
	g_assert_cmpuint(seen_at(seen, 1).flags, ==, WGPEER_F_REPLACE_ALLOWEDIPS);
	check_same_peer(peer_at(dev, 0), peer_at(old, 0));
}

/* Too many for one message: the rest follows, without replacing what came first. */
static void
test_split_allowed_ips(void)
{
	g_autoptr(WgDevice) old = device_with_peer(5000), dev = wg_device_new("wg0");
	WgPeerChange change = {.public_key = {{1}}, .flags = WG_CHANGE_REPLACE};
	g_autoptr(GPtrArray) messages = build_change(old, &change);

	g_assert_cmpuint(messages->len, >, 2);
	for (guint i = 0; i < messages->len; i++) {
		g_autoptr(GArray) seen = see_message(messages->pdata[i], dev);

		g_assert_cmpuint(seen->len, ==, i == 0 ? 2 : 1);
		if (i > 0)
			g_assert_cmpuint(seen_at(seen, 0).flags, ==, WGPEER_F_UPDATE_ONLY);
	}
	g_assert_cmpuint(dev->peers->len, ==, 1);
	check_same_peer(peer_at(dev, 0), peer_at(old, 0));
}

/* A thousand peers: several messages, none of which parts a REARM. */
static void
test_many_peers(void)
{
	enum { PEERS = 1000 };
	g_autoptr(WgDevice) old = wg_device_new("wg0"), dev = wg_device_new("wg0");
	g_autofree WgPeerChange *changes = g_new0(WgPeerChange, PEERS);
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) messages = NULL;
	g_autoptr(WgPlan) plan = NULL;

	for (guint i = 0; i < PEERS; i++) {
		changes[i].flags = WG_CHANGE_CREATE | WG_CHANGE_REARM | WG_CHANGE_ENDPOINT;
		changes[i].public_key.b[0] = i;
		changes[i].public_key.b[1] = i >> 8;
		changes[i].keepalive = 25;
		g_assert_true(wg_endpoint_parse("[2001:db8::1]:1", &changes[i].endpoint));
	}
	plan = wg_plan_new_changes(old, changes, PEERS, &error);
	g_assert_no_error(error);
	messages = wg_netlink_build_set(FAMILY, "wg0", plan);
	g_assert_cmpuint(messages->len, >, 1);
	for (guint i = 0; i < messages->len; i++) {
		g_autoptr(GArray) seen = see_message(messages->pdata[i], dev);

		g_assert_cmpuint(seen->len % 2, ==, 0);
	}
	g_assert_cmpuint(dev->peers->len, ==, PEERS);
	for (guint i = 0; i < PEERS; i++)
		g_assert_cmpuint(peer_at(dev, i)->keepalive, ==, 25);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wg/netlink/full-device", test_full_device);
	g_test_add_func("/wg/netlink/split-dump", test_split_dump);
	g_test_add_func("/wg/netlink/unknown-attributes", test_unknown_attributes);
	g_test_add_func("/wg/netlink/foreign-endpoint-family", test_foreign_endpoint_family);
	g_test_add_func("/wg/netlink/wrong-lengths", test_wrong_lengths);
	g_test_add_func("/wg/netlink/bad-allowed-ips", test_bad_allowed_ips);
	g_test_add_func("/wg/netlink/no-key", test_no_key);
	g_test_add_func("/wg/netlink/short-message", test_short_message);
	g_test_add_func("/wg/netlink/whole-message", test_whole_message);
	g_test_add_func("/wg/netlink/odd-length", test_odd_length);
	g_test_add_func("/wg/netlink/set-device", test_set_device);
	g_test_add_func("/wg/netlink/rearm-is-one-message", test_rearm_is_one_message);
	g_test_add_func("/wg/netlink/replace-is-one-message", test_replace_is_one_message);
	g_test_add_func("/wg/netlink/split-allowed-ips", test_split_allowed_ips);
	g_test_add_func("/wg/netlink/many-peers", test_many_peers);
	return g_test_run();
}
