/* SPDX-License-Identifier: MIT */
#include "signaling/sig-stun-address.h"

#include <gio/gio.h>
#include <string.h>

/* ---- externals ---- */

/* NULL, or why it can't be. */
static const char *
parse_one(const char *text, SigStunExternal *out)
{
	static const char *const form =
		"must be LOCAL=PUBLIC, two numeric addresses of one family without ports, like "
		"10.0.0.4=203.0.113.4";
	g_auto(GStrv) parts = g_strsplit(text, "=", 3);

	if (g_strv_length(parts) != 2 ||
	    !wg_endpoint_parse_address(g_strstrip(parts[0]), 0, &out->local) ||
	    !wg_endpoint_parse_address(g_strstrip(parts[1]), 0, &out->public) ||
	    wg_endpoint_family(&out->local) != wg_endpoint_family(&out->public))
		return form;
	if (wg_endpoint_is_wildcard(&out->local))
		return "LOCAL must be one address of this host, not all";
	if (wg_endpoint_is_bogus(&out->public))
		return "PUBLIC is no address that clients can reach";
	return NULL;
}

/* Two of one name would make the other address the same. */
static const char *
check_unique(const GArray *externals, const SigStunExternal *external)
{
	for (guint i = 0; i < externals->len; i++) {
		const SigStunExternal *e = &g_array_index(externals, SigStunExternal, i);

		if (wg_endpoint_same_address(&e->local, &external->local))
			return "LOCAL is given twice; give each one PUBLIC";
		if (wg_endpoint_same_address(&e->public, &external->public))
			return "PUBLIC is given twice; each LOCAL needs its own";
	}
	return NULL;
}

static const char *
check_used(const GArray *stun, const SigStunExternal *external)
{
	for (guint i = 0; i < stun->len; i++) {
		const WgEndpoint *ep = &g_array_index(stun, WgEndpoint, i);

		if (wg_endpoint_family(ep) == wg_endpoint_family(&external->local) &&
		    (wg_endpoint_is_wildcard(ep) || wg_endpoint_same_address(ep, &external->local)))
			return NULL;
	}
	return "STUN is not answered at LOCAL; give it with --stun, too";
}

gboolean
sig_stun_external_parse(GArray *out, const char *const *texts, const GArray *stun, GError **error)
{
	for (guint i = 0; texts && texts[i]; i++) {
		SigStunExternal external;
		const char *wrong = parse_one(texts[i], &external);

		if (!wrong)
			wrong = check_unique(out, &external);
		if (!wrong)
			wrong = check_used(stun, &external);
		if (wrong) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "--stun-external %s: %s", texts[i], wrong);
			return FALSE;
		}
		g_array_append_val(out, external);
	}
	return TRUE;
}

WgEndpoint
sig_stun_external_of(const GArray *externals, const WgEndpoint *local)
{
	for (guint i = 0; i < externals->len; i++) {
		const SigStunExternal *e = &g_array_index(externals, SigStunExternal, i);

		if (wg_endpoint_is_set(local) && wg_endpoint_same_address(&e->local, local)) {
			WgEndpoint ep = e->public;

			wg_endpoint_set_port(&ep, wg_endpoint_port(local));
			return ep;
		}
	}
	return *local;
}

/* ---- pairs ---- */

static gboolean
fit(const WgEndpoint *a, const WgEndpoint *b)
{
	return wg_endpoint_family(a) == wg_endpoint_family(b) &&
	       wg_endpoint_port(a) == wg_endpoint_port(b) && !wg_endpoint_is_wildcard(a) &&
	       !wg_endpoint_is_wildcard(b) && !wg_endpoint_same_address(a, b);
}

GArray *
sig_stun_pairs(const GArray *addresses)
{
	GArray *pairs = g_array_new(FALSE, TRUE, sizeof(SigStunPair));
	gboolean *taken = g_new0(gboolean, addresses->len + 1);

	for (guint i = 0; i < addresses->len; i++) {
		SigStunPair pair = {.first = g_array_index(addresses, WgEndpoint, i)};

		if (taken[i])
			continue;
		for (guint j = i + 1; j < addresses->len; j++) {
			const WgEndpoint *ep = &g_array_index(addresses, WgEndpoint, j);

			if (!taken[j] && fit(&pair.first, ep)) {
				taken[j] = TRUE;
				pair.second = *ep;
				break;
			}
		}
		g_array_append_val(pairs, pair);
	}
	g_free(taken);
	return pairs;
}
