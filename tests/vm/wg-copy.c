/* SPDX-License-Identifier: MIT */
/*
 * wg-copy FROM TO: gives the device TO all peers of FROM in one wg_ctl_apply(), which with many
 * peers and allowed IPs has to become several netlink messages.
 */
#include "wgctl/wg-ctl.h"

#include <stdio.h>
#include <stdlib.h>

static GArray *
changes_to_create(const WgDevice *dev)
{
	GArray *changes = g_array_new(FALSE, TRUE, sizeof(WgPeerChange));

	for (guint i = 0; i < dev->peers->len; i++) {
		const WgPeer *peer = g_ptr_array_index(dev->peers, i);
		WgPeerChange change = {
			.public_key = peer->public_key,
			.flags = WG_CHANGE_CREATE | WG_CHANGE_PSK | WG_CHANGE_ALLOWED_IPS |
				 WG_CHANGE_KEEPALIVE,
			.keepalive = peer->keepalive,
			.preshared_key = peer->preshared_key,
			.endpoint = peer->endpoint,
			.allowed_ips = (const WgAllowedIp *)peer->allowed_ips->data,
			.n_allowed_ips = peer->allowed_ips->len,
		};

		if (wg_endpoint_is_set(&peer->endpoint))
			change.flags |= WG_CHANGE_ENDPOINT;
		g_array_append_val(changes, change);
	}
	return changes;
}

static gboolean
copy(const char *from, const char *to, GError **error)
{
	g_autoptr(WgCtl) source = wg_ctl_new(from);
	g_autoptr(WgCtl) target = wg_ctl_new(to);
	g_autoptr(WgDevice) dev = wg_ctl_read(source, error);
	g_autoptr(GArray) changes = NULL;

	if (!dev)
		return FALSE;
	changes = changes_to_create(dev);
	return wg_ctl_apply(target, (const WgPeerChange *)changes->data, changes->len, error);
}

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	if (argc != 3) {
		fprintf(stderr, "usage: wg-copy FROM TO\n");
		return 2;
	}
	if (!copy(argv[1], argv[2], &error)) {
		fprintf(stderr, "wg-copy: %s\n", error->message);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
