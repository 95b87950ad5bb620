/* SPDX-License-Identifier: MIT */
#define G_LOG_DOMAIN "resolve"
#include "agent/base/nat-state-file.h"
#include "agent/net/nat-address-store.h"
#include "agent/net/nat-resolve.h"

#include <string.h>

#define GROUP "addresses"
#define NAMES_MAX 64 /* names that are not asked for any more go when the file is full */

struct NatAddressStore {
	NatStateFile *file;
};

NatAddressStore *
nat_address_store_new(const char *state_dir, const char *kind, const WgKey *own_public)
{
	NatAddressStore *store = g_new0(NatAddressStore, 1);
	char hex[WG_KEY_HEXLEN];
	g_autofree char *name = g_strdup_printf("%s-%s", kind, wg_key_format_hex(own_public, hex));

	store->file = nat_state_file_new(state_dir, name,
					 "with a full tunnel a cold start will need the resolver");
	return store;
}

void
nat_address_store_free(NatAddressStore *store)
{
	if (!store)
		return;
	nat_state_file_free(store->file);
	g_free(store);
}

/* GKeyFile can't hold every text as a key; names that DNS would not take need not be kept. */
static gboolean
is_storable(const char *host)
{
	for (const char *c = host; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr(".-_", *c))
			return FALSE;
	return *host != '\0';
}

static GKeyFile *
load(NatAddressStore *store)
{
	nat_state_file_reload(store->file);
	return nat_state_file_keys(store->file);
}

static GArray *
addresses_in(GKeyFile *file, const char *host, guint16 port)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_auto(GStrv) texts = g_key_file_get_string_list(file, GROUP, host, NULL, NULL);

	for (gsize i = 0; texts && texts[i] && out->len < NAT_RESOLVE_MAX; i++) {
		WgEndpoint ep;

		if (wg_endpoint_parse_address(texts[i], port, &ep))
			g_array_append_val(out, ep);
	}
	return out;
}

GArray *
nat_address_store_get(NatAddressStore *store, const char *host, guint16 port)
{
	return addresses_in(load(store), host, port);
}

static void
make_room(GKeyFile *file, const char *host)
{
	gsize n = 0;
	g_auto(GStrv) names = g_key_file_get_keys(file, GROUP, &n, NULL);

	if (n >= NAMES_MAX && !g_key_file_has_key(file, GROUP, host, NULL))
		g_key_file_remove_key(file, GROUP, names[0], NULL);
}

void
nat_address_store_put(NatAddressStore *store, const char *host, const GArray *addrs)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) before = NULL;
	GKeyFile *file;

	if (!is_storable(host))
		return;
	file = load(store);
	before = addresses_in(file, host, 0);
	if (wg_endpoint_array_equal_set(addrs, (const WgEndpoint *)(gpointer)before->data,
					before->len, wg_endpoint_same_address))
		return;
	for (guint i = 0; i < addrs->len; i++) {
		char buf[WG_ENDPOINT_STRLEN];

		g_ptr_array_add(texts, g_strdup(wg_endpoint_format_address(
					       &g_array_index(addrs, WgEndpoint, i), buf)));
	}
	make_room(file, host);
	g_key_file_set_string_list(file, GROUP, host, (const char *const *)texts->pdata,
				   texts->len);
	nat_state_file_save(store->file);
}
