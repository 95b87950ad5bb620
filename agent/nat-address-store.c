/* SPDX-License-Identifier: MIT */
#define G_LOG_DOMAIN "resolve"
#include "agent/nat-address-store.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "agent/nat-resolve.h"

#define GROUP "addresses"
#define NAMES_MAX 32 /* names that are not asked for any more go when the file is full */
#define FILE_MAX 65536

struct NatAddressStore {
	char *dir;  /* NULL: nothing is stored */
	char *path; /* NULL: the same */
	gboolean warned;
};

NatAddressStore *
nat_address_store_new(const char *state_dir, const WgKey *own_public)
{
	NatAddressStore *store = g_new0(NatAddressStore, 1);
	char hex[WG_KEY_HEXLEN];

	if (state_dir) {
		store->dir = g_strdup(state_dir);
		store->path = g_strdup_printf("%s/addresses-%s", state_dir,
					      wg_key_format_hex(own_public, hex));
	}
	return store;
}

void
nat_address_store_free(NatAddressStore *store)
{
	if (!store)
		return;
	g_free(store->dir);
	g_free(store->path);
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

/* An empty one when the file is missing, too big or malformed: it is only a cache. */
static GKeyFile *
load(NatAddressStore *store)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	GStatBuf st;

	if (store->path && g_stat(store->path, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= FILE_MAX &&
	    !g_key_file_load_from_file(file, store->path, G_KEY_FILE_NONE, NULL)) {
		g_key_file_unref(file);
		file = g_key_file_new();
	}
	return g_steal_pointer(&file);
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
	g_autoptr(GKeyFile) file = load(store);

	return addresses_in(file, host, port);
}

static gboolean
contains(const GArray *addrs, const WgEndpoint *ep)
{
	for (guint i = 0; i < addrs->len; i++)
		if (wg_endpoint_same_address(&g_array_index(addrs, WgEndpoint, i), ep))
			return TRUE;
	return FALSE;
}

/* As sets: resolvers shuffle. */
static gboolean
same_addresses(const GArray *a, const GArray *b)
{
	if (a->len != b->len)
		return FALSE;
	for (guint i = 0; i < a->len; i++)
		if (!contains(b, &g_array_index(a, WgEndpoint, i)))
			return FALSE;
	return TRUE;
}

static void
make_room(GKeyFile *file, const char *host)
{
	gsize n = 0;
	g_auto(GStrv) names = g_key_file_get_keys(file, GROUP, &n, NULL);

	if (n >= NAMES_MAX && !g_key_file_has_key(file, GROUP, host, NULL))
		g_key_file_remove_key(file, GROUP, names[0], NULL);
}

static gboolean
save(NatAddressStore *store, GKeyFile *file, GError **error)
{
	gsize len;
	g_autofree char *text = g_key_file_to_data(file, &len, NULL);

	if (g_mkdir_with_parents(store->dir, 0700) < 0) {
		int err = errno;

		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "%s",
			    g_strerror(err));
		return FALSE;
	}
	return g_file_set_contents_full(store->path, text, (gssize)len,
					G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

void
nat_address_store_put(NatAddressStore *store, const char *host, const GArray *addrs)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GKeyFile) file = NULL;
	g_autoptr(GArray) before = NULL;
	g_autoptr(GError) error = NULL;

	if (!store->path || !is_storable(host))
		return;
	file = load(store);
	before = addresses_in(file, host, 0);
	if (same_addresses(before, addrs))
		return;
	for (guint i = 0; i < addrs->len; i++) {
		char buf[WG_ENDPOINT_STRLEN];

		g_ptr_array_add(texts, g_strdup(wg_endpoint_format_address(
					       &g_array_index(addrs, WgEndpoint, i), buf)));
	}
	make_room(file, host);
	g_key_file_set_string_list(file, GROUP, host, (const char *const *)texts->pdata,
				   texts->len);
	if (!save(store, file, &error) && !store->warned) {
		store->warned = TRUE;
		g_warning("addresses of names can't be kept in %s (%s): with a full tunnel a cold "
			  "start will need the resolver; make the directory writable",
			  store->dir, error->message);
	}
}
