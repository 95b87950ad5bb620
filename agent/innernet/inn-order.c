/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-order.h"

#include "agent/innernet/inn-beacon.h"

static void
add(GArray *out, const WgEndpoint *ep)
{
	if (wg_endpoint_is_set(ep) && !wg_endpoint_is_bogus(ep) && !wg_endpoint_is_link_local(ep) &&
	    !inn_beacon_is(ep))
		wg_endpoint_array_add(out, ep, wg_endpoint_same);
}

static gboolean
is_ours(const GArray *own_public, const WgEndpoint *ep)
{
	return wg_endpoint_array_has(own_public, ep, wg_endpoint_same_address);
}

/* The server sees it where it sees us, its name leads there, or its record has an address like
 * that.
 */
static gboolean
is_neighbour(const InnPeer *peer, const GArray *own_public, const GArray *resolved)
{
	for (guint i = 0; resolved != NULL && i < resolved->len; i++)
		if (is_ours(own_public, &g_array_index(resolved, WgEndpoint, i)))
			return TRUE;
	if (wg_endpoint_is_set(&peer->endpoint) && is_ours(own_public, &peer->endpoint))
		return TRUE;
	for (guint i = 0; i < peer->n_candidates; i++)
		if (!wg_endpoint_is_private(&peer->candidates[i]) &&
		    is_ours(own_public, &peer->candidates[i]))
			return TRUE;
	return FALSE;
}

void
inn_order(const InnPeer *peer, const GArray *own_public, const GArray *resolved, GArray *out)
{
	if (is_neighbour(peer, own_public, resolved))
		for (guint i = peer->n_candidates; i > 0; i--)
			if (wg_endpoint_is_private(&peer->candidates[i - 1]))
				add(out, &peer->candidates[i - 1]);
	add(out, &peer->endpoint);
	for (guint i = 0; resolved != NULL && i < resolved->len; i++)
		add(out, &g_array_index(resolved, WgEndpoint, i));
	for (guint i = peer->n_candidates; i > 0; i--)
		add(out, &peer->candidates[i - 1]);
}
