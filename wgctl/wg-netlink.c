/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-netlink.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <string.h>

/* A nest's length is 16 bits, and all peers of a message are one nest. */
#define MAX_MESSAGE 60000
/* Upper bounds of what one peer without allowed IPs, and one allowed IP, take in a message. */
#define PEER_SIZE 256
#define ALLOWED_IP_SIZE 48

/* Netlink aligns to 4 bytes only, so that every value is copied out. */
static gboolean
copy_exact(const struct nlattr *attr, gpointer out, gsize len)
{
	if (mnl_attr_get_payload_len(attr) != len)
		return FALSE;
	memcpy(out, mnl_attr_get_payload(attr), len);
	return TRUE;
}

static gboolean
parse_allowed_ip(WgPeer *peer, const struct nlattr *nest)
{
	const struct nlattr *attr, *address = NULL;
	WgAllowedIp ip = {0};
	guint16 family = 0;
	gsize len;

	mnl_attr_for_each_nested(attr, nest)
	{
		gboolean ok = TRUE;

		switch (mnl_attr_get_type(attr)) {
		case WGALLOWEDIP_A_FAMILY:
			ok = copy_exact(attr, &family, sizeof family);
			break;
		case WGALLOWEDIP_A_IPADDR:
			address = attr;
			break;
		case WGALLOWEDIP_A_CIDR_MASK:
			ok = copy_exact(attr, &ip.cidr, sizeof ip.cidr);
			break;
		}
		if (!ok)
			return FALSE;
	}
	if (family != AF_INET && family != AF_INET6)
		return TRUE; /* a family of a later kernel: nothing we could say of it */
	len = family == AF_INET ? 4 : 16;
	if (!address || !copy_exact(address, ip.addr, len) || ip.cidr > len * 8)
		return FALSE;
	ip.family = family;
	g_array_append_val(peer->allowed_ips, ip);
	return TRUE;
}

static gboolean
parse_allowed_ips(WgPeer *peer, const struct nlattr *nest)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (!parse_allowed_ip(peer, attr))
			return FALSE;
	}
	return TRUE;
}

static gboolean
parse_handshake_time(WgPeer *peer, const struct nlattr *attr)
{
	gint64 timespec[2]; /* struct __kernel_timespec */

	if (!copy_exact(attr, timespec, sizeof timespec))
		return FALSE;
	peer->last_handshake_s = timespec[0];
	peer->last_handshake_ns = timespec[1];
	return TRUE;
}

static gboolean
parse_peer_attribute(WgPeer *peer, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case WGPEER_A_PRESHARED_KEY:
		return copy_exact(attr, peer->preshared_key.b, WG_KEY_LEN);
	case WGPEER_A_ENDPOINT:
		/* Another family than IPv4 and IPv6 leaves it unset. */
		wg_endpoint_from_sockaddr(&peer->endpoint, mnl_attr_get_payload(attr),
					  mnl_attr_get_payload_len(attr));
		return TRUE;
	case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
		return copy_exact(attr, &peer->keepalive, sizeof peer->keepalive);
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		return parse_handshake_time(peer, attr);
	case WGPEER_A_RX_BYTES:
		return copy_exact(attr, &peer->rx_bytes, sizeof peer->rx_bytes);
	case WGPEER_A_TX_BYTES:
		return copy_exact(attr, &peer->tx_bytes, sizeof peer->tx_bytes);
	case WGPEER_A_ALLOWEDIPS:
		return parse_allowed_ips(peer, attr);
	}
	return TRUE;
}

/* The device's last peer when that is the one meant, else a new one. NULL: no valid key. */
static WgPeer *
peer_of_nest(WgDevice *dev, const struct nlattr *nest)
{
	const struct nlattr *attr;
	gboolean found = FALSE;
	WgPeer *peer;
	WgKey key;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == WGPEER_A_PUBLIC_KEY)
			found = copy_exact(attr, key.b, WG_KEY_LEN);
	}
	if (!found)
		return NULL;
	if (dev->peers->len) {
		peer = g_ptr_array_index(dev->peers, dev->peers->len - 1);
		if (wg_key_compare(&peer->public_key, &key) == 0)
			return peer;
	}
	peer = wg_peer_new();
	peer->public_key = key;
	g_ptr_array_add(dev->peers, peer);
	return peer;
}

static gboolean
parse_peers(WgDevice *dev, const struct nlattr *nest)
{
	const struct nlattr *peer_nest, *attr;

	mnl_attr_for_each_nested(peer_nest, nest)
	{
		WgPeer *peer = peer_of_nest(dev, peer_nest);

		if (!peer)
			return FALSE;
		mnl_attr_for_each_nested(attr, peer_nest)
		{
			if (!parse_peer_attribute(peer, attr))
				return FALSE;
		}
	}
	return TRUE;
}

static gboolean
parse_device_attribute(WgDevice *dev, const struct nlattr *attr)
{
	guint32 ifindex;

	switch (mnl_attr_get_type(attr)) {
	case WGDEVICE_A_IFINDEX:
		if (!copy_exact(attr, &ifindex, sizeof ifindex))
			return FALSE;
		dev->ifindex = ifindex;
		return TRUE;
	case WGDEVICE_A_PRIVATE_KEY:
		return copy_exact(attr, dev->private_key.b, WG_KEY_LEN);
	case WGDEVICE_A_PUBLIC_KEY:
		return copy_exact(attr, dev->public_key.b, WG_KEY_LEN);
	case WGDEVICE_A_LISTEN_PORT:
		return copy_exact(attr, &dev->listen_port, sizeof dev->listen_port);
	case WGDEVICE_A_FWMARK:
		return copy_exact(attr, &dev->fwmark, sizeof dev->fwmark);
	case WGDEVICE_A_PEERS:
		return parse_peers(dev, attr);
	}
	return TRUE;
}

gboolean
wg_netlink_is_whole(const struct nlmsghdr *nlh, int len)
{
	return mnl_nlmsg_ok(nlh, len) && nlh->nlmsg_len <= (guint)len;
}

/* mnl_attr_for_each() would go on into the padding after a message of odd length. */
static gboolean
parse_device(WgDevice *dev, const struct nlmsghdr *nlh)
{
	const void *payload = mnl_nlmsg_get_payload_offset(nlh, GENL_HDRLEN);
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < GENL_HDRLEN)
		return FALSE;
	mnl_attr_for_each_payload(payload, mnl_nlmsg_get_payload_len(nlh) - GENL_HDRLEN)
	{
		if (!parse_device_attribute(dev, attr))
			return FALSE;
	}
	return TRUE;
}

gboolean
wg_netlink_parse(WgDevice *dev, const struct nlmsghdr *nlh, GError **error)
{
	if (parse_device(dev, nlh))
		return TRUE;
	g_set_error(error, WG_ERROR, WG_ERROR_PROTOCOL,
		    "malformed netlink answer for %s: is <linux/wireguard.h> version %d still what "
		    "the kernel speaks?",
		    dev->name, WG_GENL_VERSION);
	return FALSE;
}

static struct nlmsghdr *
new_message(gsize size, guint16 family, guint16 flags, guint8 command, const char *ifname)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(g_malloc(size));
	struct genlmsghdr *genl;

	nlh->nlmsg_type = family;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof *genl);
	genl->cmd = command;
	genl->version = WG_GENL_VERSION;
	mnl_attr_put_strz(nlh, WGDEVICE_A_IFNAME, ifname);
	return nlh;
}

struct nlmsghdr *
wg_netlink_build_get(guint16 family, const char *ifname)
{
	return new_message(256, family, NLM_F_DUMP, WG_CMD_GET_DEVICE, ifname);
}

typedef struct {
	GPtrArray *messages;
	guint16 family;
	const char *ifname;
	struct nlmsghdr *nlh; /* the message being filled, the last of messages */
	struct nlattr *peers; /* its open nest, NULL before its first peer */
} Builder;

static void
free_message(gpointer message)
{
	struct nlmsghdr *nlh = message;

	explicit_bzero(nlh, nlh->nlmsg_len);
	g_free(nlh);
}

static void
finish_message(Builder *b)
{
	if (b->peers)
		mnl_attr_nest_end(b->nlh, b->peers);
	b->peers = NULL;
}

static void
start_message(Builder *b)
{
	b->nlh = new_message(MAX_MESSAGE, b->family, NLM_F_ACK, WG_CMD_SET_DEVICE, b->ifname);
	g_ptr_array_add(b->messages, b->nlh);
}

static gboolean
has_room(const Builder *b, gsize size)
{
	return b->nlh->nlmsg_len + size <= MAX_MESSAGE;
}

/* Makes room for a peer of this size, in a fresh message if need be. */
static void
reserve(Builder *b, gsize size)
{
	if (b->peers && !has_room(b, size)) {
		finish_message(b);
		start_message(b);
	}
	if (!b->peers)
		b->peers = mnl_attr_nest_start(b->nlh, WGDEVICE_A_PEERS);
}

static struct nlattr *
start_peer(Builder *b, const WgKey *public_key, guint32 flags)
{
	struct nlattr *nest = mnl_attr_nest_start(b->nlh, 0);

	mnl_attr_put(b->nlh, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN, public_key->b);
	if (flags)
		mnl_attr_put_u32(b->nlh, WGPEER_A_FLAGS, flags);
	return nest;
}

static guint32
flags_of_entry(const WgPlanEntry *entry)
{
	guint32 flags = 0;

	if (entry->flags & WG_ENTRY_REMOVE)
		flags |= WGPEER_F_REMOVE_ME;
	if (entry->flags & WG_ENTRY_UPDATE_ONLY)
		flags |= WGPEER_F_UPDATE_ONLY;
	if (entry->flags & WG_ENTRY_REPLACE_ALLOWED_IPS)
		flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
	return flags;
}

static void
put_allowed_ip(struct nlmsghdr *nlh, const WgAllowedIp *ip)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, 0);

	mnl_attr_put_u16(nlh, WGALLOWEDIP_A_FAMILY, ip->family);
	mnl_attr_put(nlh, WGALLOWEDIP_A_IPADDR, ip->family == AF_INET6 ? 16 : 4, ip->addr);
	mnl_attr_put_u8(nlh, WGALLOWEDIP_A_CIDR_MASK, ip->cidr);
	mnl_attr_nest_end(nlh, nest);
}

/* As many as fit; returns how many that were. */
static gsize
put_allowed_ips(Builder *b, const WgAllowedIp *ips, gsize n)
{
	struct nlattr *nest;
	gsize i;

	if (n == 0)
		return 0;
	nest = mnl_attr_nest_start(b->nlh, WGPEER_A_ALLOWEDIPS);
	for (i = 0; i < n && has_room(b, ALLOWED_IP_SIZE); i++)
		put_allowed_ip(b->nlh, &ips[i]);
	mnl_attr_nest_end(b->nlh, nest);
	return i;
}

static void
put_entry(Builder *b, const WgPlanEntry *entry)
{
	struct nlattr *nest;
	gsize done;

	reserve(b, PEER_SIZE);
	nest = start_peer(b, &entry->public_key, flags_of_entry(entry));
	if (entry->flags & WG_ENTRY_PSK)
		mnl_attr_put(b->nlh, WGPEER_A_PRESHARED_KEY, WG_KEY_LEN, entry->preshared_key.b);
	if (entry->flags & WG_ENTRY_ENDPOINT)
		mnl_attr_put(b->nlh, WGPEER_A_ENDPOINT, wg_endpoint_socklen(&entry->endpoint),
			     &entry->endpoint);
	if (entry->flags & WG_ENTRY_KEEPALIVE)
		mnl_attr_put_u16(b->nlh, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, entry->keepalive);
	done = put_allowed_ips(b, entry->allowed_ips, entry->n_allowed_ips);
	mnl_attr_nest_end(b->nlh, nest);
	while (done < entry->n_allowed_ips) {
		finish_message(b);
		start_message(b);
		reserve(b, PEER_SIZE);
		nest = start_peer(b, &entry->public_key, WGPEER_F_UPDATE_ONLY);
		done += put_allowed_ips(b, entry->allowed_ips + done, entry->n_allowed_ips - done);
		mnl_attr_nest_end(b->nlh, nest);
	}
}

static gsize
size_of_group(const GArray *entries, guint first)
{
	const WgPlanEntry *entry;
	gsize size = 0;

	do {
		entry = &g_array_index(entries, WgPlanEntry, first++);
		size += PEER_SIZE + entry->n_allowed_ips * ALLOWED_IP_SIZE;
	} while (entry->flags & WG_ENTRY_JOIN_NEXT && first < entries->len);
	return size;
}

GPtrArray *
wg_netlink_build_set(guint16 family, const char *ifname, const WgPlan *plan)
{
	Builder b = {.family = family, .ifname = ifname};
	gboolean joined = FALSE;

	b.messages = g_ptr_array_new_with_free_func(free_message);
	start_message(&b);
	if (plan->private_key)
		mnl_attr_put(b.nlh, WGDEVICE_A_PRIVATE_KEY, WG_KEY_LEN, plan->private_key->b);
	if (plan->listen_port)
		mnl_attr_put_u16(b.nlh, WGDEVICE_A_LISTEN_PORT, *plan->listen_port);
	if (plan->fwmark)
		mnl_attr_put_u32(b.nlh, WGDEVICE_A_FWMARK, *plan->fwmark);
	for (guint i = 0; i < plan->entries->len; i++) {
		const WgPlanEntry *entry = &g_array_index(plan->entries, WgPlanEntry, i);

		if (!joined)
			reserve(&b, size_of_group(plan->entries, i));
		put_entry(&b, entry);
		joined = entry->flags & WG_ENTRY_JOIN_NEXT;
	}
	finish_message(&b);
	return b.messages;
}
