/* SPDX-License-Identifier: MIT */
#include "agent/nat-prober.h"

#include <sodium.h>
#include <string.h>

#define IDLE_MS 15000 /* between answered probes; nat_prober_hurry() when there is doubt */
#define FIRST_MS 200  /* the first few of a new path: a round trip soon */
#define FIRST_COUNT 3
#define RETRY_MIN_MS 200 /* after a miss: the larger of this and twice the round trip */
#define RETRY_MAX_MS 1000
#define UFRAG_BYTES 12
#define PWD_BYTES 24
#define OUTSTANDING 8 /* requests whose answers are still taken */

typedef struct {
	guint8 id[NAT_STUN_ID_LEN];
	gint64 sent_us; /* 0: free */
} Request;

struct NatProber {
	NatMux *mux;
	NatMuxClient *client;
	NatProberFuncs funcs;
	gpointer user_data;
	char *username; /* "peer's ufrag:ours" */
	char *own_pwd, *peer_pwd;
	WgEndpoint remote;
	Request requests[OUTSTANDING];
	guint next;
	guint answered; /* on this path */
	guint misses;
	gboolean lost;
	double rtt_ms;
	guint timer;
};

static gboolean probe(gpointer data);

static void
schedule(NatProber *prober, guint ms)
{
	g_clear_handle_id(&prober->timer, g_source_remove);
	prober->timer = g_timeout_add(ms, probe, prober);
}

static guint
retry_ms(const NatProber *prober)
{
	double twice = prober->rtt_ms * 2;

	return CLAMP((guint)MAX(twice, 0), RETRY_MIN_MS, RETRY_MAX_MS);
}

/* Counts the request before this one as missed unless it was answered (then misses is 0 and no
 * request is outstanding). */
static gboolean
probe(gpointer data)
{
	NatProber *prober = data;
	Request *request = &prober->requests[prober->next++ % OUTSTANDING];
	WgEndpoint source;
	guint8 msg[NAT_STUN_MAX];
	gsize len;

	prober->timer = 0;
	randombytes_buf(request->id, sizeof request->id);
	request->sent_us = g_get_monotonic_time();
	if (nat_mux_source_for(prober->mux, &prober->remote, &source)) {
		len = nat_stun_build_request(msg, sizeof msg, request->id, prober->username,
					     prober->peer_pwd);
		nat_mux_client_send(prober->client, &source, &prober->remote, msg, len);
	}
	schedule(prober, prober->lost ? IDLE_MS : retry_ms(prober));
	prober->misses++;
	if (prober->misses > NAT_PROBER_MISSES && !prober->lost) {
		prober->lost = TRUE;
		prober->rtt_ms = -1;
		prober->funcs.lost(prober->user_data);
	}
	return G_SOURCE_REMOVE;
}

static void
on_request(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatProber *prober = user_data;
	guint8 msg[NAT_STUN_MAX];
	gsize len;

	if (stun->klass != NAT_STUN_REQUEST ||
	    !nat_stun_check_integrity(pkt->payload, pkt->len, prober->own_pwd))
		return;
	len = nat_stun_build_response(msg, sizeof msg, stun->id, &pkt->src, prober->own_pwd);
	nat_mux_client_send(prober->client, &pkt->dst, &pkt->src, msg, len);
}

static Request *
find_request(NatProber *prober, const guint8 id[NAT_STUN_ID_LEN])
{
	for (guint i = 0; i < OUTSTANDING; i++)
		if (prober->requests[i].sent_us != 0 &&
		    memcmp(prober->requests[i].id, id, NAT_STUN_ID_LEN) == 0)
			return &prober->requests[i];
	return NULL;
}

static void
on_response(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatProber *prober = user_data;
	Request *request = find_request(prober, stun->id);
	double ms;

	if (request == NULL || stun->klass != NAT_STUN_SUCCESS ||
	    !wg_endpoint_equal(&pkt->src, &prober->remote) ||
	    !nat_stun_check_integrity(pkt->payload, pkt->len, prober->peer_pwd))
		return;
	ms = (double)(g_get_monotonic_time() - request->sent_us) / 1000.0;
	memset(prober->requests, 0, sizeof prober->requests);
	/* RFC 6298's smoothing; the first sample is taken whole. */
	prober->rtt_ms = prober->rtt_ms < 0 ? ms : prober->rtt_ms * 0.875 + ms * 0.125;
	prober->misses = 0;
	prober->lost = FALSE;
	prober->answered++;
	schedule(prober, prober->answered < FIRST_COUNT ? FIRST_MS : IDLE_MS);
	prober->funcs.measured(prober->rtt_ms, prober->user_data);
}

static const NatMuxFuncs MUX_FUNCS = {
	.request = on_request,
	.response = on_response,
};

/* "what" ‖ the receiver's key ‖ the receiver's session ‖ the sender's session: both ends derive the
 * same, and a new session of either gives new credentials. */
static char *
derive(NatSeal *seal, const char *what, const WgKey *receiver, guint64 receiver_sid,
       guint64 sender_sid, gsize len)
{
	guint8 info[8 + WG_KEY_LEN + 16] = {0};
	guint64 sids[2] = {GUINT64_TO_BE(receiver_sid), GUINT64_TO_BE(sender_sid)};
	guint8 out[PWD_BYTES];
	char *text;

	g_assert(strlen(what) <= 8 && len <= sizeof out);
	memcpy(info, what, strlen(what));
	memcpy(info + 8, receiver->b, WG_KEY_LEN);
	memcpy(info + 8 + WG_KEY_LEN, sids, sizeof sids);
	nat_seal_derive_probe(seal, (const char *)info, sizeof info, out, len);
	text = g_base64_encode(out, len);
	sodium_memzero(out, sizeof out);
	return text;
}

NatProber *
nat_prober_new(NatMux *mux, NatSeal *seal, const WgKey *own, const WgKey *peer, guint64 own_sid,
	       guint64 peer_sid, const NatProberFuncs *funcs, gpointer user_data)
{
	NatProber *prober = g_new0(NatProber, 1);
	g_autofree char *own_ufrag = derive(seal, "ufrag", own, own_sid, peer_sid, UFRAG_BYTES);
	g_autofree char *peer_ufrag = derive(seal, "ufrag", peer, peer_sid, own_sid, UFRAG_BYTES);

	prober->mux = mux;
	prober->funcs = *funcs;
	prober->user_data = user_data;
	prober->rtt_ms = -1;
	prober->own_pwd = derive(seal, "pwd", own, own_sid, peer_sid, PWD_BYTES);
	prober->peer_pwd = derive(seal, "pwd", peer, peer_sid, own_sid, PWD_BYTES);
	prober->username = g_strdup_printf("%s:%s", peer_ufrag, own_ufrag);
	prober->client = nat_mux_client_new(mux, own_ufrag, &MUX_FUNCS, prober);
	return prober;
}

static void
clear_secret(char *secret)
{
	sodium_memzero(secret, strlen(secret));
	g_free(secret);
}

void
nat_prober_free(NatProber *prober)
{
	if (prober == NULL)
		return;
	g_clear_handle_id(&prober->timer, g_source_remove);
	nat_mux_client_free(prober->client);
	clear_secret(prober->own_pwd);
	clear_secret(prober->peer_pwd);
	g_free(prober->username);
	g_free(prober);
}

void
nat_prober_set_path(NatProber *prober, const WgEndpoint *remote)
{
	if (remote == NULL) {
		g_clear_handle_id(&prober->timer, g_source_remove);
		memset(&prober->remote, 0, sizeof prober->remote);
		prober->rtt_ms = -1;
		return;
	}
	if (wg_endpoint_equal(&prober->remote, remote))
		return;
	prober->remote = *remote;
	prober->answered = 0;
	prober->misses = 0;
	prober->lost = FALSE;
	prober->rtt_ms = -1;
	memset(prober->requests, 0, sizeof prober->requests);
	schedule(prober, 0);
}

double
nat_prober_rtt_ms(const NatProber *prober)
{
	return prober->rtt_ms;
}

void
nat_prober_hurry(NatProber *prober)
{
	if (wg_endpoint_is_set(&prober->remote) && prober->misses == 0)
		schedule(prober, 0);
}
