/* SPDX-License-Identifier: MIT */
/*
 * What the path in use carries in one piece: measured once a pair is proven, for as long as the
 * tunnel is on it. A pair whose proof is out again (doubt, a move) is not measured anew if it comes
 * back within its time.
 */
#include "agent/peer/nat-peer-private.h"

#include "agent/base/nat-log.h"

static void
on_changed(gpointer user_data)
{
	NatPeer *peer = user_data;
	const NatMtu *mtu = nat_watch_mtu_get(peer->mtu);

	if (nat_mtu_path(mtu) == 0)
		nat_peer_record(peer, NAT_EVENT_MTU,
				"path MTU unknown: its agent answers no padded requests");
	else
		nat_peer_record(peer, NAT_EVENT_MTU, "path MTU %u%s: tunnel MTU %u",
				nat_mtu_path(mtu), nat_mtu_is_capped(mtu) ? " or more" : "",
				nat_mtu_wg(mtu));
}

void
nat_peer_stop_mtu(NatPeer *peer)
{
	g_clear_pointer(&peer->mtu, nat_watch_mtu_free);
}

static gboolean
is_in_use(NatPeer *peer)
{
	return peer->state == NAT_PEER_CONNECTED && nat_peer_path_is_good(peer) &&
	       nat_watch_state(peer->chosen) == NAT_PAIR_ALIVE;
}

void
nat_peer_update_mtu(NatPeer *peer, gint64 now_us)
{
	guint wg_mtu = peer->env->wg_mtu != NULL ? peer->env->wg_mtu(peer->env->user_data) : 0;

	if (peer->mtu != NULL &&
	    (wg_mtu == 0 || peer->chosen == NULL || !nat_watch_mtu_is_of(peer->mtu, peer->chosen)))
		nat_peer_stop_mtu(peer);
	if (wg_mtu == 0 || peer->watch == NULL || peer->chosen == NULL)
		return;
	if (peer->mtu == NULL && is_in_use(peer))
		peer->mtu = nat_watch_mtu_new(peer->env->mux, peer->watch, peer->chosen, wg_mtu,
					      on_changed, peer);
	if (peer->mtu == NULL)
		return;
	nat_watch_mtu_set_wg_mtu(peer->mtu, wg_mtu);
	nat_watch_mtu_set_used(peer->mtu, nat_peer_is_active(peer, now_us));
}

void
nat_peer_suspect_mtu(NatPeer *peer)
{
	if (peer->mtu != NULL)
		nat_watch_mtu_suspect(peer->mtu);
}

guint
nat_peer_path_mtu(const NatPeer *peer)
{
	return peer->mtu != NULL ? nat_mtu_path(nat_watch_mtu_get(peer->mtu)) : 0;
}

gboolean
nat_peer_is_measured(const NatPeer *peer)
{
	return peer->mtu != NULL &&
	       nat_mtu_phase(nat_watch_mtu_get(peer->mtu)) == NAT_MTU_SEARCHING;
}

guint
nat_peer_wg_mtu(const NatPeer *peer)
{
	const NatMtu *mtu = nat_watch_mtu_get(peer->mtu);

	if (mtu == NULL || nat_mtu_wg(mtu) == 0)
		return 0;
	return nat_mtu_is_capped(mtu) ? G_MAXUINT : nat_mtu_wg(mtu);
}
