/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-device.h"

#include <arpa/inet.h>
#include <string.h>

WgPeer *
wg_peer_new(void)
{
	WgPeer *peer = g_new0(WgPeer, 1);

	peer->allowed_ips = g_array_new(FALSE, TRUE, sizeof(WgAllowedIp));
	return peer;
}

WgPeer *
wg_peer_copy(const WgPeer *peer)
{
	WgPeer *copy = g_memdup2(peer, sizeof *peer);

	copy->allowed_ips = g_array_copy(peer->allowed_ips);
	return copy;
}

void
wg_peer_free(WgPeer *peer)
{
	if (!peer)
		return;
	wg_key_clear(&peer->preshared_key);
	g_array_unref(peer->allowed_ips);
	g_free(peer);
}

WgDevice *
wg_device_new(const char *name)
{
	WgDevice *dev = g_new0(WgDevice, 1);

	dev->name = g_strdup(name);
	dev->peers = g_ptr_array_new_with_free_func((GDestroyNotify)wg_peer_free);
	return dev;
}

void
wg_device_free(WgDevice *dev)
{
	if (!dev)
		return;
	wg_key_clear(&dev->private_key);
	g_ptr_array_unref(dev->peers);
	g_free(dev->name);
	g_free(dev);
}

WgPeer *
wg_device_find(const WgDevice *dev, const WgKey *public_key)
{
	for (guint i = 0; i < dev->peers->len; i++) {
		WgPeer *peer = g_ptr_array_index(dev->peers, i);

		/* Public keys: no need for a constant time, and 500 peers look up 500. */
		if (wg_key_compare(&peer->public_key, public_key) == 0)
			return peer;
	}
	return NULL;
}

const char *
wg_backend_to_string(WgBackend backend)
{
	switch (backend) {
	case WG_BACKEND_KERNEL:
		return "kernel";
	case WG_BACKEND_USERSPACE:
		return "userspace";
	}
	return "unknown";
}

static guint
address_bits(int family)
{
	return family == AF_INET6 ? 128 : 32;
}

static void
mask_host_bits(WgAllowedIp *ip)
{
	guint bytes = address_bits(ip->family) / 8;

	for (guint i = 0; i < bytes; i++) {
		guint keep = ip->cidr > i * 8 ? MIN(ip->cidr - i * 8, 8) : 0;

		ip->addr[i] &= 0xff << (8 - keep);
	}
}

static gboolean
parse_cidr(const char *text, guint8 max, guint8 *out)
{
	guint64 value;

	if (!g_ascii_isdigit(text[0]) ||
	    !g_ascii_string_to_unsigned(text, 10, 0, max, &value, NULL))
		return FALSE;
	*out = value;
	return TRUE;
}

gboolean
wg_allowed_ip_parse(const char *text, WgAllowedIp *out)
{
	char buf[INET6_ADDRSTRLEN + sizeof "/128"];
	WgAllowedIp ip = {0};
	char *slash;

	memset(out, 0, sizeof *out);
	if (g_strlcpy(buf, text, sizeof buf) >= sizeof buf)
		return FALSE;
	slash = strchr(buf, '/');
	if (slash)
		*slash++ = '\0';
	if (inet_pton(AF_INET, buf, ip.addr) == 1)
		ip.family = AF_INET;
	else if (inet_pton(AF_INET6, buf, ip.addr) == 1)
		ip.family = AF_INET6;
	else
		return FALSE;
	ip.cidr = address_bits(ip.family);
	if (slash && !parse_cidr(slash, ip.cidr, &ip.cidr))
		return FALSE;
	mask_host_bits(&ip);
	*out = ip;
	return TRUE;
}

char *
wg_allowed_ip_format(const WgAllowedIp *ip)
{
	char buf[INET6_ADDRSTRLEN];

	if (!inet_ntop(ip->family, ip->addr, buf, sizeof buf))
		return g_strdup("(invalid)");
	return g_strdup_printf("%s/%u", buf, ip->cidr);
}
