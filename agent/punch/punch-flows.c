/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-flows.h"

#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/nat-log.h"
#include "agent/base/nat-state-file.h"
#include "agent/net/nat-local-socket.h"
#include "agent/punch/punch-detour.h"

/* A group for each peer, named by its key in base64; the interface is for punch-teardown.c */
#define KEY_LOCAL "local"
#define KEY_REMOTE "remote"
#define KEY_PORT "port"
#define DETOURS_MAX 32 /* a thread each, and some MB of buffers: more stay on their relays */
#define COST "another run does not know which source ports tunnels use"

typedef struct {
	WgKey peer;
	PunchFlow flow;
	int fd; /* holds the port; -1: the detour does, or another run's port was lost */
	PunchDetour *detour; /* NULL: the kernel rewrites */
	gint64 unused_us;    /* since when; 0: it is used */
	PunchFlows *flows;
} Entry;

struct PunchFlows {
	char *ifname;
	guint32 fwmark;
	PunchRewrite *rewrite;
	gboolean rewrites; /* the table is there, as far as is known */
	gint64 renewed_us;
	NatStateFile *file;
	GPtrArray *entries; /* of Entry */
	PunchFlowsFunc receiver;
	gpointer receiver_data;
};

static void
entry_free(gpointer data)
{
	Entry *entry = data;

	if (entry->fd >= 0)
		close(entry->fd);
	punch_detour_free(entry->detour);
	g_free(entry);
}

static Entry *
find(PunchFlows *flows, const WgKey *peer)
{
	for (guint i = 0; i < flows->entries->len; i++) {
		Entry *entry = g_ptr_array_index(flows->entries, i);

		if (wg_key_equal(&entry->peer, peer))
			return entry;
	}
	return NULL;
}

/* ---- the kernel ---- */

static gboolean
apply(PunchFlows *flows, GError **error)
{
	g_autofree PunchFlow *list = g_new(PunchFlow, flows->entries->len + 1);
	gsize n = 0;

	for (guint i = 0; i < flows->entries->len; i++) {
		const Entry *entry = g_ptr_array_index(flows->entries, i);

		if (entry->detour == NULL)
			list[n++] = entry->flow;
	}
	/* where nothing was ever rewritten, nobody need have the library */
	if (n == 0 && !flows->rewrites)
		return TRUE;
	if (!punch_rewrite_set(flows->rewrite, list, n, error))
		return FALSE;
	flows->rewrites = n > 0;
	return TRUE;
}

/* Until the rewrite is there again packets to it would be answered by ICMP. */
static int
hold(const PunchFlow *flow, guint32 fwmark)
{
	WgEndpoint own = flow->local;

	wg_endpoint_set_port(&own, flow->port);
	return nat_local_socket(&own, SOCK_DGRAM, fwmark, NULL);
}

/* ---- what is remembered ---- */

static void
save(PunchFlows *flows)
{
	GKeyFile *keys = nat_state_file_keys(flows->file);
	g_auto(GStrv) groups = g_key_file_get_groups(keys, NULL);

	for (gsize i = 0; groups[i] != NULL; i++)
		g_key_file_remove_group(keys, groups[i], NULL);
	for (guint i = 0; i < flows->entries->len; i++) {
		const Entry *entry = g_ptr_array_index(flows->entries, i);
		char group[WG_KEY_STRLEN], text[WG_ENDPOINT_STRLEN];

		if (entry->detour != NULL)
			continue;
		wg_key_format(&entry->peer, group);
		g_key_file_set_string(keys, group, PUNCH_FLOWS_INTERFACE, flows->ifname);
		g_key_file_set_string(keys, group, KEY_LOCAL,
				      wg_endpoint_format(&entry->flow.local, text));
		g_key_file_set_string(keys, group, KEY_REMOTE,
				      wg_endpoint_format(&entry->flow.remote, text));
		g_key_file_set_integer(keys, group, KEY_PORT, entry->flow.port);
	}
	nat_state_file_save(flows->file);
}

static gboolean
read_endpoint(GKeyFile *keys, const char *group, const char *key, WgEndpoint *out)
{
	g_autofree char *text = g_key_file_get_string(keys, group, key, NULL);

	return text != NULL && wg_endpoint_parse(text, out) && wg_endpoint_port(out) != 0 &&
	       !wg_endpoint_is_bogus(out);
}

static void
read_entry(PunchFlows *flows, GKeyFile *keys, const char *group)
{
	g_autofree Entry *entry = g_new0(Entry, 1);
	int port = g_key_file_get_integer(keys, group, KEY_PORT, NULL);

	entry->flows = flows;
	if (!wg_key_parse(group, &entry->peer) || port <= 0 || port > G_MAXUINT16 ||
	    !read_endpoint(keys, group, KEY_LOCAL, &entry->flow.local) ||
	    !read_endpoint(keys, group, KEY_REMOTE, &entry->flow.remote) ||
	    wg_endpoint_family(&entry->flow.local) != wg_endpoint_family(&entry->flow.remote) ||
	    find(flows, &entry->peer) != NULL)
		return;
	entry->flow.port = (guint16)port;
	entry->fd = -1;
	g_ptr_array_add(flows->entries, g_steal_pointer(&entry));
}

/* The interface had another name in the run before: its table would rewrite packets for ever. Where
 * an interface has that name now, the table may be its agent's. */
static void
drop_renamed(GKeyFile *keys, const char *group, const char *ifname)
{
	g_autofree char *before = g_key_file_get_string(keys, group, PUNCH_FLOWS_INTERFACE, NULL);
	PunchRewrite *rewrite;

	if (before == NULL || strlen(before) >= IF_NAMESIZE || strcmp(before, ifname) == 0 ||
	    if_nametoindex(before) != 0)
		return;
	rewrite = punch_rewrite_new(before);
	punch_rewrite_set(rewrite, NULL, 0, NULL);
	punch_rewrite_free(rewrite);
}

static PunchFlows *
flows_new(const char *ifname, const char *state_dir, const WgKey *own_public, guint32 fwmark)
{
	PunchFlows *flows = g_new0(PunchFlows, 1);
	g_auto(GStrv) groups = NULL;
	GKeyFile *keys;

	flows->ifname = g_strdup(ifname);
	flows->fwmark = fwmark;
	flows->rewrite = punch_rewrite_new(ifname);
	flows->entries = g_ptr_array_new_with_free_func(entry_free);
	flows->file = nat_state_file_new_for_key(state_dir, PUNCH_FLOWS_KIND, own_public, COST);
	keys = nat_state_file_keys(flows->file);
	groups = g_key_file_get_groups(keys, NULL);
	for (gsize i = 0; groups[i] != NULL; i++)
		read_entry(flows, keys, groups[i]);
	for (gsize i = 0; groups[i] != NULL; i++)
		drop_renamed(keys, groups[i], ifname);
	return flows;
}

/* ---- what others call ---- */

PunchFlows *
punch_flows_new(const char *ifname, const char *state_dir, const WgKey *own_public, guint32 fwmark)
{
	PunchFlows *flows = flows_new(ifname, state_dir, own_public, fwmark);
	g_autoptr(GError) error = NULL;

	if (flows->entries->len == 0)
		return flows;
	flows->rewrites = TRUE;
	for (guint i = 0; i < flows->entries->len; i++) {
		Entry *entry = g_ptr_array_index(flows->entries, i);

		entry->fd = hold(&entry->flow, fwmark);
	}
	if (!apply(flows, &error)) {
		nat_log_peer(G_LOG_LEVEL_WARNING, ifname, NULL,
			     "tunnels from other source ports are not taken up: %s",
			     error->message);
		/* what is written down stays so, for the next start or teardown */
		g_ptr_array_set_size(flows->entries, 0);
	}
	return flows;
}

void
punch_flows_free(PunchFlows *flows)
{
	if (flows == NULL)
		return;
	punch_rewrite_free(flows->rewrite);
	nat_state_file_free(flows->file);
	g_ptr_array_unref(flows->entries);
	g_free(flows->ifname);
	g_free(flows);
}

static void
on_stun(const guint8 *msg, gsize len, gpointer user_data)
{
	const Entry *entry = user_data;
	PunchFlows *flows = entry->flows;
	NatUdp pkt = {
		.src = entry->flow.remote, .dst = entry->flow.local, .payload = msg, .len = len};

	if (flows->receiver != NULL)
		flows->receiver(&pkt, flows->receiver_data);
}

/* By the kernel, else through us. Takes fd. */
static gboolean
put_in_force(PunchFlows *flows, Entry *entry, int fd, GError **error)
{
	gboolean before = flows->rewrites;
	guint detours = 0;
	g_autoptr(GError) refused = NULL;

	entry->fd = fd;
	if (apply(flows, &refused))
		return TRUE;
	flows->rewrites = before;
	entry->fd = -1;
	for (guint i = 0; i < flows->entries->len; i++)
		detours += ((Entry *)g_ptr_array_index(flows->entries, i))->detour != NULL;
	if (detours >= DETOURS_MAX) {
		close(fd);
		g_propagate_error(error, g_steal_pointer(&refused));
		return FALSE;
	}
	entry->detour =
		punch_detour_new(fd, &entry->flow.remote, wg_endpoint_port(&entry->flow.local),
				 flows->fwmark, on_stun, entry, error);
	if (entry->detour == NULL)
		return FALSE;
	nat_log_peer(G_LOG_LEVEL_MESSAGE, flows->ifname, &entry->peer,
		     "its packets pass through this agent, which costs throughput: %s",
		     refused->message);
	return TRUE;
}

gboolean
punch_flows_put(PunchFlows *flows, const WgKey *peer, const PunchFlow *flow, int fd, GError **error)
{
	Entry *entry = g_new0(Entry, 1), *before = find(flows, peer);
	gboolean ok;

	if (before != NULL)
		g_ptr_array_remove_fast(flows->entries, before);
	entry->peer = *peer;
	entry->flow = *flow;
	entry->flows = flows;
	g_ptr_array_add(flows->entries, entry);
	ok = put_in_force(flows, entry, fd, error);
	if (!ok)
		g_ptr_array_remove_fast(flows->entries, entry);
	save(flows);
	return ok;
}

void
punch_flows_set_receiver(PunchFlows *flows, PunchFlowsFunc func, gpointer user_data)
{
	flows->receiver = func;
	flows->receiver_data = user_data;
}

const WgEndpoint *
punch_flows_detour(PunchFlows *flows, const WgKey *peer, const WgEndpoint *remote)
{
	const Entry *entry = find(flows, peer);

	return entry != NULL && entry->detour != NULL &&
			       wg_endpoint_equal(&entry->flow.remote, remote)
		       ? punch_detour_endpoint(entry->detour)
		       : NULL;
}

gboolean
punch_flows_send(PunchFlows *flows, const WgEndpoint *dst, const guint8 *msg, gsize len)
{
	for (guint i = 0; i < flows->entries->len; i++) {
		const Entry *entry = g_ptr_array_index(flows->entries, i);

		if (entry->detour != NULL && wg_endpoint_equal(&entry->flow.remote, dst)) {
			punch_detour_send(entry->detour, msg, len);
			return TRUE;
		}
	}
	return FALSE;
}

static void
apply_and_save(PunchFlows *flows)
{
	g_autoptr(GError) error = NULL;

	if (!apply(flows, &error))
		nat_log_peer(G_LOG_LEVEL_WARNING, flows->ifname, NULL,
			     "the rewrite of a source port stays: %s", error->message);
	save(flows);
}

const PunchFlow *
punch_flows_get(PunchFlows *flows, const WgKey *peer)
{
	Entry *entry = find(flows, peer);

	return entry != NULL ? &entry->flow : NULL;
}

guint
punch_flows_count(PunchFlows *flows)
{
	return flows->entries->len;
}

static gboolean
is_over(Entry *entry, PunchFlowUse use, gint64 now_us)
{
	if (use == PUNCH_FLOW_USED)
		entry->unused_us = 0;
	else if (entry->unused_us == 0)
		entry->unused_us = now_us;
	return use == PUNCH_FLOW_VOID ||
	       (use == PUNCH_FLOW_UNUSED && now_us - entry->unused_us >= PUNCH_FLOW_GRACE_US);
}

void
punch_flows_sweep(PunchFlows *flows, PunchFlowUseFunc use, gint64 now_us, gpointer user_data)
{
	guint before = flows->entries->len;

	for (guint i = before; i > 0; i--) {
		Entry *entry = g_ptr_array_index(flows->entries, i - 1);

		if (is_over(entry, use(&entry->peer, &entry->flow, user_data), now_us))
			g_ptr_array_remove_index_fast(flows->entries, i - 1);
	}
	if (flows->entries->len != before)
		apply_and_save(flows);
}

void
punch_flows_renew(PunchFlows *flows, gint64 now_us)
{
	if (!flows->rewrites || now_us - flows->renewed_us < G_USEC_PER_SEC)
		return;
	flows->renewed_us = now_us;
	apply(flows, NULL);
}

void
punch_flows_set_fwmark(PunchFlows *flows, guint32 fwmark)
{
	flows->fwmark = fwmark;
	for (guint i = 0; i < flows->entries->len; i++) {
		const Entry *entry = g_ptr_array_index(flows->entries, i);

		if (entry->detour != NULL)
			punch_detour_set_fwmark(entry->detour, fwmark);
	}
}
