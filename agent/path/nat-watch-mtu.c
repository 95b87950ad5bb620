/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-watch-mtu.h"

#include <sodium.h>
#include <string.h>

#define RECENT 32 /* requests whose answers still count: NatMtu keeps no more */

typedef struct {
	guint8 id[NAT_STUN_ID_LEN];
	guint token; /* 0: free */
} Request;

struct NatWatchMtu {
	NatMux *mux;
	NatMuxClient *client;
	const NatWatchKeys *keys; /* the watch's */
	WgEndpoint relayed;	  /* unset: from port P */
	WgEndpoint remote;
	NatMtu *mtu;
	NatWatchMtuFunc changed;
	gpointer user_data;
	Request requests[RECENT];
	guint next;
	gboolean used;
	guint timer;
};

/* ---- time ---- */

static void schedule(NatWatchMtu *mtu);

static gboolean
on_timer(gpointer user_data)
{
	NatWatchMtu *mtu = user_data;

	mtu->timer = 0;
	nat_mtu_tick(mtu->mtu, g_get_monotonic_time());
	schedule(mtu);
	return G_SOURCE_REMOVE;
}

static void
schedule(NatWatchMtu *mtu)
{
	gint64 next = nat_mtu_next_us(mtu->mtu), now = g_get_monotonic_time();

	g_clear_handle_id(&mtu->timer, g_source_remove);
	if (next == G_MAXINT64 || (!mtu->used && nat_mtu_phase(mtu->mtu) == NAT_MTU_SETTLED))
		return;
	/* rounded up: a tick that comes early does nothing */
	mtu->timer = g_timeout_add((guint)(MAX(next - now, 0) / 1000 + 1), on_timer, mtu);
}

/* ---- probes ---- */

static gsize
build(NatWatchMtu *mtu, guint8 msg[NAT_STUN_PADDED_MAX], guint size, guint token)
{
	Request *request = &mtu->requests[mtu->next++ % RECENT];

	request->token = token;
	randombytes_buf(request->id, sizeof request->id);
	if (size == 0)
		return nat_stun_build_request(msg, NAT_STUN_PADDED_MAX, request->id,
					      mtu->keys->username, mtu->keys->peer_pwd);
	return nat_stun_build_request_padded(msg, NAT_STUN_PADDED_MAX, request->id,
					     mtu->keys->username, mtu->keys->peer_pwd, size);
}

static NatMtuSend
send_request(guint size, guint token, gpointer user_data)
{
	NatWatchMtu *mtu = user_data;
	guint8 msg[NAT_STUN_PADDED_MAX];
	WgEndpoint source = mtu->relayed;
	gsize len;

	/* The route is asked each time, as the watch does. */
	if (!wg_endpoint_is_set(&source) && !nat_mux_source_for(mtu->mux, &mtu->remote, &source))
		return NAT_MTU_NOT_NOW;
	len = build(mtu, msg, size, token);
	if (len == 0)
		return NAT_MTU_NOT_NOW;
	switch (nat_mux_client_send_probe(mtu->client, &source, &mtu->remote, msg, len)) {
	case NAT_MUX_PROBE_SENT:
		return NAT_MTU_SENT;
	case NAT_MUX_PROBE_TOO_BIG:
		return NAT_MTU_LINK_TOO_SMALL;
	case NAT_MUX_PROBE_DROPPED:
		break;
	}
	return NAT_MTU_NOT_NOW;
}

static void
on_result(gpointer user_data)
{
	NatWatchMtu *mtu = user_data;

	mtu->changed(mtu->user_data);
}

static const NatMtuFuncs MTU_FUNCS = {
	.send = send_request,
	.changed = on_result,
};

/* The mux saw to it that it comes from where the request went. */
static void
on_response(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatWatchMtu *mtu = user_data;

	if (stun->klass != NAT_STUN_SUCCESS ||
	    !nat_stun_check_integrity(pkt->payload, pkt->len, mtu->keys->peer_pwd))
		return;
	for (guint i = 0; i < RECENT; i++) {
		guint token = mtu->requests[i].token;

		if (token == 0 || memcmp(mtu->requests[i].id, stun->id, NAT_STUN_ID_LEN) != 0)
			continue;
		mtu->requests[i].token = 0;
		nat_mtu_answered(mtu->mtu, token, g_get_monotonic_time());
		schedule(mtu);
		return;
	}
}

static const NatMuxFuncs MUX_FUNCS = {
	.response = on_response,
};

/* ---- life ---- */

NatWatchMtu *
nat_watch_mtu_new(NatMux *mux, NatWatch *watch, const NatWatchPair *pair, guint wg_mtu,
		  NatWatchMtuFunc changed, gpointer user_data)
{
	NatWatchMtu *mtu = g_new0(NatWatchMtu, 1);
	int family;

	mtu->mux = mux;
	mtu->keys = nat_watch_keys(watch);
	if (nat_watch_relayed(pair) != NULL)
		mtu->relayed = *nat_watch_relayed(pair);
	mtu->remote = nat_watch_remote(pair)->endpoint;
	mtu->changed = changed;
	mtu->user_data = user_data;
	mtu->used = TRUE;
	mtu->client = nat_mux_client_new(mux, NULL, &MUX_FUNCS, mtu);
	family = wg_endpoint_family(&mtu->remote);
	/* The peer's relay adds a header on its side of the path, as ours does on this one. */
	mtu->mtu = nat_mtu_new(family, nat_watch_is_relay(pair), wg_mtu, &MTU_FUNCS, mtu);
	nat_mtu_start(mtu->mtu, g_get_monotonic_time());
	schedule(mtu);
	return mtu;
}

void
nat_watch_mtu_free(NatWatchMtu *mtu)
{
	if (mtu == NULL)
		return;
	g_clear_handle_id(&mtu->timer, g_source_remove);
	nat_mux_client_free(mtu->client);
	nat_mtu_free(mtu->mtu);
	g_free(mtu);
}

gboolean
nat_watch_mtu_is_of(const NatWatchMtu *mtu, const NatWatchPair *pair)
{
	const WgEndpoint *relayed = nat_watch_relayed(pair);

	return wg_endpoint_equal(&mtu->remote, &nat_watch_remote(pair)->endpoint) &&
	       (relayed != NULL ? wg_endpoint_equal(&mtu->relayed, relayed)
				: !wg_endpoint_is_set(&mtu->relayed));
}

void
nat_watch_mtu_set_used(NatWatchMtu *mtu, gboolean used)
{
	if (mtu->used == used)
		return;
	mtu->used = used;
	schedule(mtu);
}

void
nat_watch_mtu_set_wg_mtu(NatWatchMtu *mtu, guint wg_mtu)
{
	nat_mtu_set_wg_mtu(mtu->mtu, wg_mtu);
}

void
nat_watch_mtu_suspect(NatWatchMtu *mtu)
{
	nat_mtu_suspect(mtu->mtu, g_get_monotonic_time());
	schedule(mtu);
}

const NatMtu *
nat_watch_mtu_get(const NatWatchMtu *mtu)
{
	return mtu != NULL ? mtu->mtu : NULL;
}
