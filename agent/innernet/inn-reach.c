/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-reach.h"

#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/innernet/inn-tries.h"
#include "agent/net/nat-resolve.h"

#define SHOWN 4 /* addresses in a line */

struct InnReach {
	char *ifname;
	const InnConf *conf;
	InnReachFuncs funcs;
	gpointer user_data;
	NatResolve *resolve;
	NatLookup *lookup;
	InnTries *tries;
	WgEndpoint said;  /* where the log has it */
	char *unresolved; /* why the last lookup failed, else NULL */
};

static gboolean
on_write(const WgPeerChange *change, gpointer user_data)
{
	InnReach *reach = user_data;

	return reach->funcs.write(change, reach->user_data);
}

static gboolean
on_routed(const WgEndpoint *addr, gpointer user_data)
{
	InnReach *reach = user_data;

	return !reach->funcs.routed || reach->funcs.routed(addr, reach->user_data);
}

static void
on_addresses(const WgEndpoint *addrs, gsize n, gboolean stored, const GError *error,
	     gpointer user_data)
{
	InnReach *reach = user_data;

	g_clear_pointer(&reach->unresolved, g_free);
	if (n > 0) {
		inn_tries_addresses(reach->tries, addrs, n, !stored);
	} else {
		reach->unresolved = g_strdup(error->message);
		inn_tries_no_addresses(reach->tries);
	}
}

/* One that runs still is asked the same. */
static void
on_lookup(gpointer user_data)
{
	InnReach *reach = user_data;

	if (reach->lookup && nat_lookup_is_running(reach->lookup))
		return;
	nat_lookup_free(reach->lookup);
	reach->lookup = nat_resolve_lookup(reach->resolve, reach->conf->server_host,
					   reach->conf->server_port, on_addresses, reach);
}

InnReach *
inn_reach_new(const char *ifname, const InnConf *conf, const char *state_dir,
	      const WgKey *own_public, const InnReachFuncs *funcs, gpointer user_data)
{
	static const InnTriesFuncs TRIES = {
		.write = on_write, .routed = on_routed, .lookup = on_lookup};
	InnReach *reach = g_new0(InnReach, 1);

	reach->ifname = g_strdup(ifname);
	reach->conf = conf;
	reach->funcs = *funcs;
	reach->user_data = user_data;
	reach->resolve = nat_resolve_new(state_dir, own_public);
	reach->tries = inn_tries_new(&conf->server_key, &TRIES, reach);
	return reach;
}

void
inn_reach_free(InnReach *reach)
{
	if (!reach)
		return;
	nat_lookup_free(reach->lookup);
	nat_resolve_free(reach->resolve);
	inn_tries_free(reach->tries);
	g_free(reach->unresolved);
	g_free(reach->ifname);
	g_free(reach);
}

/* Without endpoint and keepalive: no initiation is burned, an address is tried at once. */
static gboolean
make_peer(InnReach *reach)
{
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(&reach->conf->server_internal, &len);
	WgAllowedIp ip = {
		.family = wg_endpoint_family(&reach->conf->server_internal),
		.cidr = (guint8)(8 * len),
	};
	WgPeerChange change = {
		.public_key = reach->conf->server_key,
		.flags = WG_CHANGE_CREATE | WG_CHANGE_ALLOWED_IPS,
		.allowed_ips = &ip,
		.n_allowed_ips = 1,
	};

	memcpy(ip.addr, bytes, len);
	return reach->funcs.write(&change, reach->user_data);
}

static void
say(InnReach *reach, const WgEndpoint *endpoint)
{
	char text[WG_ENDPOINT_STRLEN];

	if (inn_tries_state(reach->tries) != INN_TRIES_CONNECTED ||
	    wg_endpoint_equal(endpoint, &reach->said))
		return;
	reach->said = *endpoint;
	g_message("%s: innernet server: reached at %s", reach->ifname,
		  wg_endpoint_format(endpoint, text));
}

void
inn_reach_observe(InnReach *reach, const WgPeer *wg, gint64 now_us)
{
	gint64 real_s = g_get_real_time() / G_USEC_PER_SEC;
	g_autoptr(WgPeer) made = NULL;

	if (!wg) {
		if (!make_peer(reach))
			return;
		wg = made = wg_peer_new();
		made->public_key = reach->conf->server_key;
	}
	inn_tries_observe(reach->tries, wg, now_us, real_s);
	if (!made)
		say(reach, &wg->endpoint);
}

void
inn_reach_call_failed(InnReach *reach, gint64 now_us)
{
	inn_tries_call_failed(reach->tries, now_us);
}

void
inn_reach_network_changed(InnReach *reach, gint64 now_us)
{
	inn_tries_network_changed(reach->tries, now_us);
}

gboolean
inn_reach_urgent(const InnReach *reach)
{
	InnTriesState state = inn_tries_state(reach->tries);

	return state == INN_TRIES_LOOKUP || state == INN_TRIES_TRYING;
}

static char *
format_list(const WgEndpoint *list, gsize n)
{
	g_autoptr(GString) out = g_string_new(NULL);
	char text[WG_ENDPOINT_STRLEN];

	for (gsize i = 0; i < MIN(n, SHOWN); i++)
		g_string_append_printf(out, "%s%s", i > 0 ? ", " : "",
				       wg_endpoint_format(&list[i], text));
	if (n > SHOWN)
		g_string_append_printf(out, " and %" G_GSIZE_FORMAT " more", n - SHOWN);
	return g_string_free(g_steal_pointer(&out), FALSE);
}

char *
inn_reach_problem(const InnReach *reach)
{
	gsize n;
	const WgEndpoint *list = inn_tries_list(reach->tries, &n);
	g_autofree char *host = nat_log_escape(reach->conf->server_host, -1);
	g_autofree char *addrs = format_list(list, n);

	if (inn_tries_failures(reach->tries) == 0)
		return NULL;
	if (n == 0)
		return g_strdup_printf("the innernet server: %s",
				       reach->unresolved ? reach->unresolved
							 : "its name leads to no address");
	if (inn_tries_routed(reach->tries) == 0)
		return g_strdup_printf("no route to the innernet server %s (%s): check this "
				       "host's network",
				       host, addrs);
	return g_strdup_printf("the innernet server %s does not answer (%s): is it running, does "
			       "UDP reach it there, and is its key the one in our file?",
			       host, addrs);
}
