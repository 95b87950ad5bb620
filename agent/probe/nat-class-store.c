/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class-store.h"

#include "agent/base/nat-state-file.h"

#include <string.h>

struct NatClassStore {
	NatStateFile *file;
};

NatClassStore *
nat_class_store_new(const char *state_dir, const WgKey *own_public)
{
	NatClassStore *store = g_new0(NatClassStore, 1);

	store->file = nat_state_file_new_for_key(state_dir, "nat-class", own_public,
						 "how NATs behave is found out at each start");
	return store;
}

void
nat_class_store_free(NatClassStore *store)
{
	if (store == NULL)
		return;
	nat_state_file_free(store->file);
	g_free(store);
}

static guint16
read_u16(GKeyFile *keys, const char *network, const char *key)
{
	return (guint16)CLAMP(g_key_file_get_integer(keys, network, key, NULL), 0, G_MAXUINT16);
}

/* Words of a later version are unknown. */
static void
read_words(GKeyFile *keys, const char *network, NatClass *out)
{
	g_autofree char *mapping = g_key_file_get_string(keys, network, "mapping", NULL);
	g_autofree char *filtering = g_key_file_get_string(keys, network, "filtering", NULL);
	g_autofree char *ports = g_key_file_get_string(keys, network, "ports", NULL);

	nat_mapping_from_string(mapping, &out->mapping);
	nat_filtering_from_string(filtering, &out->filtering);
	nat_ports_from_string(ports, &out->ports);
}

gboolean
nat_class_store_find(NatClassStore *store, const char *network, NatClass *out, gint64 *probed_s)
{
	GKeyFile *keys = nat_state_file_keys(store->file);

	memset(out, 0, sizeof *out);
	*probed_s = 0;
	if (!g_key_file_has_group(keys, network))
		return FALSE;
	read_words(keys, network, out);
	out->step = (gint16)CLAMP(g_key_file_get_integer(keys, network, "step", NULL), G_MININT16,
				  G_MAXINT16);
	out->lowest = read_u16(keys, network, "lowest");
	out->highest = read_u16(keys, network, "highest");
	out->parity = g_key_file_get_boolean(keys, network, "parity", NULL);
	*probed_s = g_key_file_get_int64(keys, network, "probed_s", NULL);
	nat_class_sanitize(out);
	return nat_class_is_known(out);
}

static void
make_room(GKeyFile *keys)
{
	gsize n;
	g_auto(GStrv) groups = g_key_file_get_groups(keys, &n);

	for (gsize i = 0; i < n && n - i > NAT_CLASS_STORE_NETWORKS; i++)
		g_key_file_remove_group(keys, groups[i], NULL);
}

void
nat_class_store_keep(NatClassStore *store, const char *network, const NatClass *nat,
		     gint64 probed_s)
{
	GKeyFile *keys = nat_state_file_keys(store->file);

	/* taken out and put in again: it moves to the end */
	g_key_file_remove_group(keys, network, NULL);
	g_key_file_set_string(keys, network, "mapping", nat_mapping_to_string(nat->mapping));
	g_key_file_set_string(keys, network, "filtering", nat_filtering_to_string(nat->filtering));
	g_key_file_set_string(keys, network, "ports", nat_ports_to_string(nat->ports));
	if (nat->ports == NAT_PORTS_SEQUENTIAL)
		g_key_file_set_integer(keys, network, "step", nat->step);
	if (nat->ports == NAT_PORTS_BLOCK) {
		g_key_file_set_integer(keys, network, "lowest", nat->lowest);
		g_key_file_set_integer(keys, network, "highest", nat->highest);
	}
	if (nat->parity)
		g_key_file_set_boolean(keys, network, "parity", TRUE);
	g_key_file_set_int64(keys, network, "probed_s", probed_s);
	make_room(keys);
	nat_state_file_save(store->file);
}
