/* SPDX-License-Identifier: MIT */
#include "wgctl/wgctl-commands.h"

#include "wgctl/wg-ctl.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

static const char *
maybe_key(const WgKey *key, char buf[WG_KEY_STRLEN])
{
	return wg_key_is_zero(key) ? "(none)" : wg_key_format(key, buf);
}

/* As getnameinfo(3) and so wg(8) print it: a link-local scope by the interface's name. */
static char *
format_endpoint(const WgEndpoint *ep)
{
	char buf[WG_ENDPOINT_STRLEN], name[IF_NAMESIZE];
	WgEndpoint unscoped = *ep;

	if (wg_endpoint_family(ep) != AF_INET6 || !wg_endpoint_is_link_local(ep) ||
	    !if_indextoname(ep->v6.sin6_scope_id, name))
		return g_strdup(wg_endpoint_format(ep, buf));
	unscoped.v6.sin6_scope_id = 0;
	wg_endpoint_format_address(&unscoped, buf);
	return g_strdup_printf("[%s%%%s]:%u", buf, name, wg_endpoint_port(ep));
}

static char *
format_allowed_ips(const WgPeer *peer, const char *separator)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < peer->allowed_ips->len; i++) {
		g_autofree char *ip =
			wg_allowed_ip_format(&g_array_index(peer->allowed_ips, WgAllowedIp, i));

		g_string_append_printf(out, "%s%s", i ? separator : "", ip);
	}
	if (out->len == 0)
		g_string_append(out, "(none)");
	return g_string_free(out, FALSE);
}

static void
dump_peer(const WgPeer *peer)
{
	g_autofree char *endpoint = format_endpoint(&peer->endpoint);
	g_autofree char *allowed_ips = format_allowed_ips(peer, ",");
	char key[WG_KEY_STRLEN];

	printf("%s\t", wg_key_format(&peer->public_key, key));
	printf("%s\t", maybe_key(&peer->preshared_key, key));
	printf("%s\t%s\t%" G_GINT64_FORMAT "\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT "\t",
	       endpoint, allowed_ips, peer->last_handshake_s, peer->rx_bytes, peer->tx_bytes);
	if (peer->keepalive)
		printf("%u\n", peer->keepalive);
	else
		printf("off\n");
}

/* Byte for byte what `wg show IF dump` prints. */
static void
dump_device(const WgDevice *dev)
{
	char key[WG_KEY_STRLEN];

	printf("%s\t", maybe_key(&dev->private_key, key));
	printf("%s\t%u\t", maybe_key(&dev->public_key, key), dev->listen_port);
	if (dev->fwmark)
		printf("0x%x\n", dev->fwmark);
	else
		printf("off\n");
	for (guint i = 0; i < dev->peers->len; i++)
		dump_peer(g_ptr_array_index(dev->peers, i));
}

static void
print_peer(const WgPeer *peer, gint64 now_s)
{
	g_autofree char *endpoint = format_endpoint(&peer->endpoint);
	g_autofree char *allowed_ips = format_allowed_ips(peer, ", ");
	g_autofree char *rx = g_format_size_full(peer->rx_bytes, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *tx = g_format_size_full(peer->tx_bytes, G_FORMAT_SIZE_IEC_UNITS);
	char key[WG_KEY_STRLEN];

	printf("\npeer: %s\n", wg_key_format(&peer->public_key, key));
	if (!wg_key_is_zero(&peer->preshared_key))
		printf("  preshared key: (hidden)\n");
	printf("  endpoint: %s\n  allowed ips: %s\n", endpoint, allowed_ips);
	if (peer->last_handshake_s)
		printf("  latest handshake: %" G_GINT64_FORMAT " s ago\n",
		       MAX(now_s - peer->last_handshake_s, 0));
	else
		printf("  latest handshake: never\n");
	printf("  transfer: %s received, %s sent\n", rx, tx);
	if (peer->keepalive)
		printf("  persistent keepalive: every %u s\n", peer->keepalive);
	else
		printf("  persistent keepalive: off\n");
}

static void
print_device(const WgDevice *dev)
{
	gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;
	char key[WG_KEY_STRLEN];

	printf("interface: %s\n", dev->name);
	printf("  backend: %s\n", wg_backend_to_string(dev->backend));
	printf("  public key: %s\n", maybe_key(&dev->public_key, key));
	printf("  listening port: %u\n", dev->listen_port);
	if (dev->fwmark)
		printf("  fwmark: 0x%x\n", dev->fwmark);
	for (guint i = 0; i < dev->peers->len; i++)
		print_peer(g_ptr_array_index(dev->peers, i), now_s);
}

gboolean
wgctl_show(int argc, char **argv, GError **error)
{
	gboolean dump = argc == 2 && strcmp(argv[1], "dump") == 0;
	g_autoptr(WgCtl) ctl = NULL;
	g_autoptr(WgDevice) dev = NULL;

	if (argc < 1 || argc > 2 || (argc == 2 && !dump)) {
		g_set_error(error, WGCTL_USAGE_ERROR, 0, "usage: wgctl show IF [dump]");
		return FALSE;
	}
	ctl = wg_ctl_new(argv[0]);
	dev = wg_ctl_read(ctl, error);
	if (!dev)
		return FALSE;
	if (dump)
		dump_device(dev);
	else
		print_device(dev);
	return TRUE;
}
