/* SPDX-License-Identifier: MIT */
#include "agent/ice/nat-search.h"

#include <gio/gio.h>
#include <string.h>

#define HELD_MAX 8
/* Ta: RFC 8445 §14.2's least for one search, so that a single peer connects at once; many searches
 * share it, up to libnice's usual value. */
#define TA_MIN_MS 5
#define TA_MAX_MS 20
/* A program may take the port between our look and libnice's. */
#define PORTS_MAX 4

typedef struct {
	WgEndpoint src, dst;
	gsize len;
	guint8 payload[NAT_STUN_MAX];
} Held;

struct NatSearch {
	NatIceNs *ns;
	NatMux *mux;
	NatTun *tun;
	NatTunPort *port;
	NatMuxClient *client;
	NatIce *ice;
	gboolean ready; /* libnice's sockets are bound */
	gboolean checked;
	char *ufrag, *pwd;
	char *remote_pwd; /* NULL before the start */
	guint ports;	  /* how many libnice could not bind */
	NatSearchFuncs funcs;
	gpointer user_data;
	GPtrArray *held; /* of Held: requests that came before the NiceAgent */
	NatChecks checks;
};

/* Our address of a packet, as the outside knows it: with port P. */
static NatCheck *
check_of(NatSearch *search, const WgEndpoint *own, const WgEndpoint *remote)
{
	WgEndpoint local = *own;

	wg_endpoint_set_port(&local, nat_mux_port(search->mux));
	return nat_checks_of(&search->checks, &local, remote);
}

/* Whether it is libnice's, and not of a program that has taken its place. libnice signs what it
 * asks by the peer's password and what it answers by ours. It does not sign its word that another's
 * signature is wrong (401, 400), which the peer can do without; indications it does not send, since
 * its keepalives are requests (consent freshness). */
static gboolean
is_ours(const NatSearch *search, const NatUdp *pkt)
{
	gboolean request = nat_stun_is_request(pkt->payload, pkt->len);

	return search->remote_pwd != NULL &&
	       (request || nat_stun_is_response(pkt->payload, pkt->len)) &&
	       nat_stun_check_integrity(pkt->payload, pkt->len,
					request ? search->remote_pwd : search->pwd);
}

static void
note_sent(NatSearch *search, const NatUdp *pkt, gboolean sent)
{
	NatCheck *check = check_of(search, &pkt->src, &pkt->dst);

	if (check == NULL)
		return;
	check->sent += sent;
	if (!sent && nat_mux_client_problem(search->client) != NULL)
		nat_check_set_error(check, "%s", nat_mux_client_problem(search->client));
}

/* libnice → wire */
static gboolean
on_tun(const NatUdp *pkt, gpointer user_data)
{
	NatSearch *search = user_data;
	gboolean sent;

	if (!is_ours(search, pkt))
		return FALSE;
	sent = nat_mux_client_send(search->client, &pkt->src, &pkt->dst, pkt->payload, pkt->len);
	if (nat_stun_is_request(pkt->payload, pkt->len))
		note_sent(search, pkt, sent);
	return TRUE;
}

static void
hold(NatSearch *search, const NatUdp *pkt)
{
	Held *held;

	if (search->held->len >= HELD_MAX || pkt->len > NAT_STUN_MAX)
		return;
	held = g_new(Held, 1);
	held->src = pkt->src;
	held->dst = pkt->dst;
	held->len = pkt->len;
	memcpy(held->payload, pkt->payload, pkt->len);
	g_ptr_array_add(search->held, held);
}

/* wire → libnice */
static void
on_request(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatSearch *search = user_data;

	NatCheck *check;

	/* libnice checks the integrity of all that it gets; here it guards what it does not see. */
	if ((!search->ready || !search->checked) &&
	    !nat_stun_check_integrity(pkt->payload, pkt->len, search->pwd))
		return;
	check = check_of(search, &pkt->dst, &pkt->src);
	if (check != NULL)
		check->heard++;
	if (search->ready)
		nat_tun_port_deliver(search->port, &pkt->src, &pkt->dst, pkt->payload, pkt->len);
	else
		hold(search, pkt);
	if (!search->checked && search->ice != NULL && stun->klass == NAT_STUN_REQUEST) {
		search->checked = TRUE;
		search->funcs.checked(&pkt->dst, &pkt->src, search->user_data);
	}
}

static void
on_response(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatSearch *search = user_data;
	NatCheck *check = check_of(search, &pkt->dst, &pkt->src);

	if (check != NULL && stun->klass == NAT_STUN_SUCCESS)
		check->answered++;
	else if (check != NULL)
		nat_check_set_error(check, "the peer refuses it (STUN error %u)", stun->error_code);
	nat_tun_port_deliver(search->port, &pkt->src, &pkt->dst, pkt->payload, pkt->len);
}

static const NatMuxFuncs MUX_FUNCS = {
	.request = on_request,
	.response = on_response,
};

static void
deliver_held(NatSearch *search)
{
	for (guint i = 0; i < search->held->len; i++) {
		const Held *held = g_ptr_array_index(search->held, i);

		nat_tun_port_deliver(search->port, &held->src, &held->dst, held->payload,
				     held->len);
	}
	g_ptr_array_set_size(search->held, 0);
}

static void
on_unbound(gpointer user_data)
{
	NatSearch *search = user_data;

	if (++search->ports < PORTS_MAX && nat_tun_port_move(search->port))
		nat_ice_try_port(search->ice, nat_tun_port_number(search->port));
	else
		search->funcs.failed(search->user_data);
}

static void
on_ready(gpointer user_data)
{
	NatSearch *search = user_data;

	search->ready = TRUE;
	deliver_held(search);
}

static void
on_selected(const WgEndpoint *local, const NatCandidate *remote, gpointer user_data)
{
	NatSearch *search = user_data;
	WgEndpoint on_p = *local;

	wg_endpoint_set_port(&on_p, nat_mux_port(search->mux));
	search->funcs.selected(&on_p, remote, search->user_data);
}

static void
on_failed(gpointer user_data)
{
	NatSearch *search = user_data;

	search->funcs.failed(search->user_data);
}

static const NatIceFuncs ICE_FUNCS = {
	.unbound = on_unbound,
	.ready = on_ready,
	.selected = on_selected,
	.failed = on_failed,
};

NatSearch *
nat_search_new(NatIceNs *ns, NatTun *tun, NatMux *mux, const char *ufrag, const char *pwd,
	       const NatSearchFuncs *funcs, gpointer user_data, GError **error)
{
	NatSearch *search = g_new0(NatSearch, 1);

	search->port = nat_tun_port_new(tun, on_tun, search);
	if (search->port == NULL) {
		g_free(search);
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			    "too many searches at once: no private port is free");
		return NULL;
	}
	search->ns = ns;
	search->tun = tun;
	search->mux = mux;
	search->ufrag = g_strdup(ufrag);
	search->pwd = g_strdup(pwd);
	search->funcs = *funcs;
	search->user_data = user_data;
	search->held = g_ptr_array_new_with_free_func(g_free);
	nat_checks_init(&search->checks);
	search->client = nat_mux_client_new(mux, ufrag, &MUX_FUNCS, search);
	return search;
}

void
nat_search_free(NatSearch *search)
{
	if (search == NULL)
		return;
	nat_ice_free(search->ice);
	nat_mux_client_free(search->client);
	nat_tun_port_free(search->port);
	g_ptr_array_unref(search->held);
	nat_checks_clear(&search->checks);
	g_free(search->ufrag);
	g_free(search->pwd);
	g_free(search->remote_pwd);
	g_free(search);
}

void
nat_search_start(NatSearch *search, gboolean controlling, const char *remote_ufrag,
		 const char *remote_pwd, const WgEndpoint *addresses, gsize n_addresses)
{
	NatIceParams params = {
		.ta_ms = MIN(TA_MIN_MS * (nat_tun_busy(search->tun) + 1), TA_MAX_MS),
		.controlling = controlling,
		.local_ufrag = search->ufrag,
		.local_pwd = search->pwd,
		.remote_ufrag = remote_ufrag,
		.remote_pwd = remote_pwd,
		.addresses = addresses,
		.n_addresses = n_addresses,
	};

	g_return_if_fail(search->ice == NULL);
	/* announced to nobody, so any other does as well */
	if (!nat_tun_port_is_free(search->port))
		nat_tun_port_move(search->port);
	params.port = nat_tun_port_number(search->port);
	nat_tun_port_set_busy(search->port);
	search->remote_pwd = g_strdup(remote_pwd);
	search->ice = nat_ice_new(search->ns, &params, &ICE_FUNCS, search);
}

gboolean
nat_search_started(const NatSearch *search)
{
	return search->ice != NULL;
}

const NatChecks *
nat_search_checks(const NatSearch *search)
{
	return &search->checks;
}

void
nat_search_add_remote(NatSearch *search, const NatCandidate *candidates, gsize n)
{
	nat_ice_add_remote(search->ice, candidates, n);
}
