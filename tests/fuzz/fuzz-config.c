/* SPDX-License-Identifier: MIT */
/* Configuration files, and the values that a command line may hold. */
#include <stdlib.h>
#include <string.h>

#include "agent/config/nat-config.h"
#include "tests/fuzz/fuzz-check.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static void
try_values(const char *text)
{
	g_autofree char *host = NULL;
	GError *error = NULL;
	guint16 port = 0;
	guint number = 0;
	NatMtuMode mtu;
	gboolean ok;

	ok = nat_config_check_url(text, &error);
	check(ok, g_steal_pointer(&error));
	ok = nat_config_check_interface(text, &error);
	check(ok, g_steal_pointer(&error));
	ok = nat_config_split_stun(text, &host, &port, &error);
	if (ok && (!host || !*host || port == 0))
		abort();
	check(ok, g_steal_pointer(&error));
	ok = nat_config_check_turn(text, &error);
	check(ok, g_steal_pointer(&error));
	ok = nat_config_parse_mtu(text, &mtu, &error);
	check(ok, g_steal_pointer(&error));
	ok = nat_config_parse_standby(text, &number, &error);
	if (ok && number > NAT_CONFIG_MAX_STANDBY)
		abort();
	check(ok, g_steal_pointer(&error));
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	static const char *const NAMED[] = {"wg0", NULL};
	g_autofree char *text = g_strndup((const char *)data, size);
	const NatConfigFlags flags = {.interfaces = NAMED, .signal_url = "ws://a", .control = "/c"};
	GError *error = NULL;
	NatConfig *config;

	config = nat_config_parse((const char *)data, size, "f", NULL, &error);
	check(config != NULL, g_steal_pointer(&error));
	for (guint i = 0; config && i < config->interfaces->len; i++) {
		const NatConfigInterface *iface = g_ptr_array_index(config->interfaces, i);

		if (!nat_config_check_url(iface->signal_url, NULL))
			abort();
		for (guint t = 0; iface->turn && iface->turn[t]; t++)
			if (!nat_config_check_turn(iface->turn[t], NULL))
				abort();
	}
	nat_config_free(config);
	config = nat_config_parse((const char *)data, size, "f", &flags, &error);
	check(config != NULL, g_steal_pointer(&error));
	nat_config_free(config);
	try_values(text);
	return 0;
}
