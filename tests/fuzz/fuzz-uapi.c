/* SPDX-License-Identifier: MIT */
/*
 * Whatever serves a UAPI socket can answer anything. What was understood is also printed as a
 * request that makes it again.
 */
#include "wgctl/wg-uapi.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Printed and parsed again, an allowed IP is the same. */
static void
check_allowed_ips(const WgPeer *peer)
{
	for (guint i = 0; i < peer->allowed_ips->len; i++) {
		const WgAllowedIp *ip = &g_array_index(peer->allowed_ips, WgAllowedIp, i);
		g_autofree char *text = wg_allowed_ip_format(ip);
		WgAllowedIp again;

		g_assert_true(wg_allowed_ip_parse(text, &again));
		g_assert_true(memcmp(&again, ip, sizeof again) == 0);
	}
}

static void
check_endpoint(const WgPeer *peer)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint again;

	if (!wg_endpoint_is_set(&peer->endpoint))
		return;
	g_assert_true(wg_endpoint_parse(wg_endpoint_format(&peer->endpoint, text), &again));
	g_assert_true(wg_endpoint_equal(&peer->endpoint, &again));
}

static void
check_replace(const WgDevice *dev)
{
	g_autofree WgPeerChange *changes = g_new0(WgPeerChange, dev->peers->len);
	g_autoptr(WgPlan) plan = NULL;

	for (guint i = 0; i < dev->peers->len; i++) {
		const WgPeer *peer = g_ptr_array_index(dev->peers, i);

		check_allowed_ips(peer);
		check_endpoint(peer);
		changes[i].public_key = peer->public_key;
		changes[i].flags = WG_CHANGE_REPLACE;
	}
	plan = wg_plan_new_changes(dev, changes, dev->peers->len, NULL);
	g_assert_nonnull(plan);
	g_string_free(wg_uapi_format_set(plan), TRUE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autofree char *copy = g_strdup(text);
	g_autoptr(WgDevice) dev = wg_uapi_parse("wg0", text, NULL);

	if (dev)
		check_replace(dev);
	wg_uapi_parse_result("wg0", copy, NULL);
	return 0;
}
