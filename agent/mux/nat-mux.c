/* SPDX-License-Identifier: MIT */
#include "agent/mux/nat-mux.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/mux/nat-rawsock.h"

/* A transaction lives as long as libnice may retransmit and a slow path may answer. */
#define TXN_LIFE_US (10 * G_USEC_PER_SEC)
#define TXN_MAX 16384
/* STUN per destination address: 60 at once, then 25/s. A search with 25 candidates of one host and
 * three transmissions each stays below; a victim named by a hostile peer gets next to nothing. */
#define DEST_BURST 60.0
#define DEST_RATE 25.0
#define DEST_MAX 4096
/* An endpoint that answered has agreed to be asked for so long, and has an allowance of its own: a
 * hundred peers may live behind one address. */
#define CONSENT_US (60 * G_USEC_PER_SEC)
#define UFRAG_SIZE 257
#define GUESS_BURST 20.0

typedef struct {
	guint8 id[NAT_STUN_ID_LEN];
	NatMuxClient *client;
	WgEndpoint src, dst; /* src: the address counts, the port is P or libnice's */
	gint64 expires_us;
} Txn;

typedef struct {
	WgEndpoint addr; /* port 0: of all its ports; else of one that answered */
	double tokens;
	gint64 updated_us;
	gint64 answered_us; /* 0: never */
} Dest;

struct NatMuxClient {
	NatMux *mux;
	char *ufrag;
	NatMuxFuncs funcs;
	gpointer user_data;
	const char *problem; /* why it could not send, the last time; NULL: it could */
};

struct NatMux {
	NatFib *fib;
	NatRawSock *raw;
	guint16 port;
	guint32 fwmark;
	GHashTable *ufrags; /* char* → NatMuxClient */
	GHashTable *txns;   /* Txn by id */
	GQueue txn_order;   /* Txn*, oldest first: lives are equal, so it is sorted by expiry */
	GHashTable *dests;  /* Dest by address */
	NatMuxRelay relay;
	gpointer relay_data;
	NatMuxDetour detour; /* NULL: none */
	gpointer detour_data;
	double guesses; /* that may be sent now */
	gint64 guessed_us;
	guint n_clients;
	guint64 counters[NAT_MUX_N_COUNTERS];
};

static const char *const COUNTER_NAMES[NAT_MUX_N_COUNTERS] = {
	[NAT_MUX_IN] = "stun_in",
	[NAT_MUX_OUT] = "stun_out",
	[NAT_MUX_IN_BYTES] = "stun_in_bytes",
	[NAT_MUX_OUT_BYTES] = "stun_out_bytes",
	[NAT_MUX_DROP_MALFORMED] = "drop_malformed",
	[NAT_MUX_DROP_STRANGER] = "drop_stranger",
	[NAT_MUX_DROP_UNASKED] = "drop_unasked_response",
	[NAT_MUX_DROP_SOURCE] = "drop_wrong_source",
	[NAT_MUX_DROP_DESTINATION] = "drop_refused_destination",
	[NAT_MUX_DROP_RATE] = "drop_rate",
	[NAT_MUX_DROP_SEND] = "drop_send",
};

static guint
txn_hash(gconstpointer p)
{
	const Txn *txn = p;
	guint h;

	/* The id is random at both ends: any of its bytes are a hash. A hostile sender picks only
	 * ids that are looked up, never ones that are stored. */
	memcpy(&h, txn->id, sizeof h);
	return h;
}

static gboolean
txn_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(((const Txn *)a)->id, ((const Txn *)b)->id, NAT_STUN_ID_LEN) == 0;
}

static void
txn_drop_oldest(NatMux *mux)
{
	Txn *txn = g_queue_pop_head(&mux->txn_order);

	g_hash_table_remove(mux->txns, txn);
	g_free(txn);
}

static void
txn_expire(NatMux *mux, gint64 now)
{
	Txn *txn;

	while ((txn = g_queue_peek_head(&mux->txn_order)) != NULL &&
	       (txn->expires_us <= now || mux->txn_order.length > TXN_MAX))
		txn_drop_oldest(mux);
}

static void
txn_remember(NatMuxClient *client, const NatStun *stun, const WgEndpoint *src,
	     const WgEndpoint *dst, gint64 now)
{
	NatMux *mux = client->mux;
	Txn key, *txn;

	txn_expire(mux, now);
	memcpy(key.id, stun->id, sizeof key.id);
	txn = g_hash_table_lookup(mux->txns, &key);
	if (txn != NULL) {
		/* A retransmission: same transaction, same life as from its first send. */
		txn->client = client;
		txn->src = *src;
		txn->dst = *dst;
		return;
	}
	txn = g_new0(Txn, 1);
	memcpy(txn->id, stun->id, sizeof txn->id);
	txn->client = client;
	txn->src = *src;
	txn->dst = *dst;
	txn->expires_us = now + TXN_LIFE_US;
	g_hash_table_add(mux->txns, txn);
	g_queue_push_tail(&mux->txn_order, txn);
}

static gboolean
dest_consents(const Dest *dest, gint64 now)
{
	return dest->answered_us != 0 && now - dest->answered_us <= CONSENT_US;
}

static gboolean
dest_idle(gpointer key, gpointer value, gpointer user_data)
{
	const Dest *dest = key;
	gint64 now = *(gint64 *)user_data;

	return !dest_consents(dest, now) &&
	       now - dest->updated_us > (gint64)(DEST_BURST / DEST_RATE * G_USEC_PER_SEC);
}

static Dest *
dest_find(NatMux *mux, const WgEndpoint *addr)
{
	Dest key = {.addr = *addr};

	return g_hash_table_lookup(mux->dests, &key);
}

/* NULL when there are too many. */
static Dest *
dest_make(NatMux *mux, const WgEndpoint *addr, gint64 now)
{
	Dest *dest = dest_find(mux, addr);

	if (dest != NULL)
		return dest;
	if (g_hash_table_size(mux->dests) >= DEST_MAX)
		g_hash_table_foreach_remove(mux->dests, dest_idle, &now);
	if (g_hash_table_size(mux->dests) >= DEST_MAX)
		return NULL;
	dest = g_new0(Dest, 1);
	dest->addr = *addr;
	dest->tokens = DEST_BURST;
	dest->updated_us = now;
	g_hash_table_add(mux->dests, dest);
	return dest;
}

static gboolean
dest_take(NatMux *mux, const WgEndpoint *dst, gint64 now)
{
	WgEndpoint addr = *dst;
	Dest *dest = dest_find(mux, dst);

	if (dest == NULL || !dest_consents(dest, now)) {
		wg_endpoint_set_port(&addr, 0);
		dest = dest_make(mux, &addr, now);
	}
	if (dest == NULL)
		return FALSE;
	dest->tokens += (double)(now - dest->updated_us) / G_USEC_PER_SEC * DEST_RATE;
	dest->tokens = MIN(dest->tokens, DEST_BURST);
	dest->updated_us = now;
	if (dest->tokens < 1.0)
		return FALSE;
	dest->tokens -= 1.0;
	return TRUE;
}

/* It knew an id of ours (96 random bits) that went to it alone. */
static void
dest_answered(NatMux *mux, const WgEndpoint *src, gint64 now)
{
	Dest *dest = dest_make(mux, src, now);

	if (dest != NULL)
		dest->answered_us = now;
}

gboolean
nat_mux_source_for(NatMux *mux, const WgEndpoint *dst, WgEndpoint *source)
{
	NatRoute route;

	if (wg_endpoint_is_bogus(dst) || wg_endpoint_port(dst) == 0)
		return FALSE;
	/* A candidate cannot say on which of our links: the kernel would take any. */
	if (wg_endpoint_family(dst) == AF_INET6 && wg_endpoint_is_link_local(dst) &&
	    dst->v6.sin6_scope_id == 0)
		return FALSE;
	if (!nat_fib_lookup(mux->fib, dst, mux->fwmark, &route) || route.local || route.tunnel)
		return FALSE;
	*source = route.source;
	wg_endpoint_set_port(source, mux->port);
	return TRUE;
}

gboolean
nat_mux_is_relayed(NatMux *mux, const WgEndpoint *own)
{
	return mux->relay.is_ours != NULL && mux->relay.is_ours(own, mux->relay_data);
}

/* Whether our packets to `remote` carry the address of `own`. What a relay sends for us does not
 * leave by our routes; whom it may send to is its own and its permissions' affair. */
static gboolean
check_route(NatMux *mux, const WgEndpoint *own, const WgEndpoint *remote)
{
	WgEndpoint source;

	if (nat_mux_is_relayed(mux, own)) {
		if (!wg_endpoint_is_bogus(remote) && wg_endpoint_port(remote) != 0)
			return TRUE;
		mux->counters[NAT_MUX_DROP_DESTINATION]++;
		return FALSE;
	}
	if (!nat_mux_source_for(mux, remote, &source)) {
		mux->counters[NAT_MUX_DROP_DESTINATION]++;
		return FALSE;
	}
	if (!wg_endpoint_same_address(&source, own)) {
		mux->counters[NAT_MUX_DROP_SOURCE]++;
		return FALSE;
	}
	return TRUE;
}

static void
on_response(NatMux *mux, const NatUdp *pkt, const NatStun *stun)
{
	gint64 now = g_get_monotonic_time();
	Txn key, *txn;

	txn_expire(mux, now);
	memcpy(key.id, stun->id, sizeof key.id);
	txn = g_hash_table_lookup(mux->txns, &key);
	/* RFC 8445 §7.2.5.2.1: the response must come from where the request went, to where it came
	 * from. */
	if (txn == NULL || !wg_endpoint_equal(&txn->dst, &pkt->src) ||
	    !wg_endpoint_same_address(&txn->src, &pkt->dst)) {
		mux->counters[NAT_MUX_DROP_UNASKED]++;
		return;
	}
	if (stun->klass == NAT_STUN_SUCCESS)
		dest_answered(mux, &pkt->src, now);
	txn->client->funcs.response(pkt, stun, txn->client->user_data);
}

static void
on_request(NatMux *mux, const NatUdp *pkt, const NatStun *stun)
{
	char ufrag[UFRAG_SIZE];
	NatMuxClient *client = NULL;

	if (nat_stun_receiver_ufrag(stun, ufrag, sizeof ufrag))
		client = g_hash_table_lookup(mux->ufrags, ufrag);
	if (client == NULL) {
		mux->counters[NAT_MUX_DROP_STRANGER]++;
		return;
	}
	if (pkt->len > NAT_STUN_MAX && !client->funcs.padded) {
		mux->counters[NAT_MUX_DROP_MALFORMED]++;
		return;
	}
	/* After the ufrag: a stranger's flood costs no route lookups. */
	if (check_route(mux, &pkt->dst, &pkt->src))
		client->funcs.request(pkt, stun, client->user_data);
}

static void
receive(NatMux *mux, const NatUdp *pkt)
{
	NatStun stun;

	mux->counters[NAT_MUX_IN]++;
	mux->counters[NAT_MUX_IN_BYTES] += pkt->len;
	if (!nat_stun_parse(pkt->payload, pkt->len, &stun) || stun.method != NAT_STUN_BINDING) {
		mux->counters[NAT_MUX_DROP_MALFORMED]++;
		return;
	}
	switch (stun.klass) {
	case NAT_STUN_REQUEST:
	case NAT_STUN_INDICATION: /* RFC 8445 §11 keepalives: libnice's, by ufrag or not at all */
		on_request(mux, pkt, &stun);
		break;
	case NAT_STUN_SUCCESS:
	case NAT_STUN_ERROR:
		on_response(mux, pkt, &stun);
		break;
	}
}

static void
on_packet(const NatUdp *pkt, gpointer user_data)
{
	receive(user_data, pkt);
}

void
nat_mux_receive_relayed(NatMux *mux, const NatUdp *pkt)
{
	receive(mux, pkt);
}

void
nat_mux_set_relay(NatMux *mux, const NatMuxRelay *relay, gpointer user_data)
{
	mux->relay = relay != NULL ? *relay : (NatMuxRelay){0};
	mux->relay_data = user_data;
}

void
nat_mux_set_detour(NatMux *mux, NatMuxDetour detour, gpointer user_data)
{
	mux->detour = detour;
	mux->detour_data = user_data;
}

NatMux *
nat_mux_new(NatFib *fib, guint16 port, guint32 fwmark, GError **error)
{
	NatMux *mux = g_new0(NatMux, 1);

	mux->fib = fib;
	mux->port = port;
	mux->fwmark = fwmark;
	mux->ufrags = g_hash_table_new(g_str_hash, g_str_equal);
	mux->txns = g_hash_table_new(txn_hash, txn_equal);
	g_queue_init(&mux->txn_order);
	/* Dest starts with its endpoint, so the endpoint's hash and equality serve. */
	mux->dests = g_hash_table_new_full(wg_endpoint_hash, wg_endpoint_equal, g_free, NULL);
	mux->raw = nat_raw_sock_new(port, fwmark, on_packet, mux, error);
	if (mux->raw == NULL) {
		nat_mux_free(mux);
		return NULL;
	}
	return mux;
}

void
nat_mux_free(NatMux *mux)
{
	if (mux == NULL)
		return;
	g_warn_if_fail(mux->n_clients == 0);
	g_clear_pointer(&mux->raw, nat_raw_sock_free);
	while (!g_queue_is_empty(&mux->txn_order))
		txn_drop_oldest(mux);
	g_hash_table_unref(mux->txns);
	g_hash_table_unref(mux->dests);
	g_hash_table_unref(mux->ufrags);
	g_free(mux);
}

gboolean
nat_mux_set_port(NatMux *mux, guint16 port, GError **error)
{
	mux->port = port;
	return nat_raw_sock_set_port(mux->raw, port, error);
}

gboolean
nat_mux_set_fwmark(NatMux *mux, guint32 fwmark, GError **error)
{
	mux->fwmark = fwmark;
	return nat_raw_sock_set_fwmark(mux->raw, fwmark, error);
}

guint16
nat_mux_port(const NatMux *mux)
{
	return mux->port;
}

guint64
nat_mux_counter(const NatMux *mux, NatMuxCounter counter)
{
	return mux->counters[counter];
}

const char *
nat_mux_counter_name(NatMuxCounter counter)
{
	return COUNTER_NAMES[counter];
}

NatMuxClient *
nat_mux_client_new(NatMux *mux, const char *ufrag, const NatMuxFuncs *funcs, gpointer user_data)
{
	NatMuxClient *client = g_new0(NatMuxClient, 1);

	client->mux = mux;
	client->ufrag = g_strdup(ufrag);
	client->funcs = *funcs;
	client->user_data = user_data;
	/* replace: the key is the client's own text, also where another had that ufrag */
	if (ufrag != NULL)
		g_hash_table_replace(mux->ufrags, client->ufrag, client);
	mux->n_clients++;
	return client;
}

void
nat_mux_client_free(NatMuxClient *client)
{
	NatMux *mux;
	GList *link, *next;

	if (client == NULL)
		return;
	mux = client->mux;
	if (client->ufrag != NULL && g_hash_table_lookup(mux->ufrags, client->ufrag) == client)
		g_hash_table_remove(mux->ufrags, client->ufrag);
	for (link = mux->txn_order.head; link != NULL; link = next) {
		Txn *txn = link->data;

		next = link->next;
		if (txn->client != client)
			continue;
		g_hash_table_remove(mux->txns, txn);
		g_queue_delete_link(&mux->txn_order, link);
		g_free(txn);
	}
	mux->n_clients--;
	g_free(client->ufrag);
	g_free(client);
}

static gboolean
guess_take(NatMux *mux, gint64 now)
{
	mux->guesses += (double)(now - mux->guessed_us) / G_USEC_PER_SEC * NAT_MUX_GUESS_RATE;
	mux->guesses = MIN(mux->guesses, GUESS_BURST);
	mux->guessed_us = now;
	if (mux->guesses < 1.0)
		return FALSE;
	mux->guesses -= 1.0;
	return TRUE;
}

typedef enum {
	SEND_PLAIN,
	SEND_PROBE, /* as one packet of this size or not at all */
	SEND_GUESS,
} SendKind;

/* What every packet must pass; FALSE: dropped and counted. */
static gboolean
may_send(NatMuxClient *client, const WgEndpoint *src, const WgEndpoint *dst, const guint8 *payload,
	 gsize len, SendKind kind)
{
	NatMux *mux = client->mux;
	gint64 now = g_get_monotonic_time();
	NatStun stun;

	client->problem = NULL;
	if (!nat_stun_parse(payload, len, &stun)) {
		mux->counters[NAT_MUX_DROP_MALFORMED]++;
		client->problem = "no STUN message";
		return FALSE;
	}
	if (!check_route(mux, src, dst)) {
		client->problem = "no route from this address";
		return FALSE;
	}
	if (!(kind == SEND_GUESS ? guess_take(mux, now) : dest_take(mux, dst, now))) {
		mux->counters[NAT_MUX_DROP_RATE]++;
		client->problem = "too many checks to this address in a second";
		return FALSE;
	}
	if (stun.klass == NAT_STUN_REQUEST && kind != SEND_GUESS)
		txn_remember(client, &stun, src, dst, now);
	return TRUE;
}

static gboolean
send_relayed(NatMux *mux, const WgEndpoint *src, const WgEndpoint *dst, const guint8 *payload,
	     gsize len, gboolean probe, GError **error)
{
	if (probe && mux->relay.probe != NULL)
		return mux->relay.probe(src, dst, payload, len, error, mux->relay_data);
	return mux->relay.send(src, dst, payload, len, mux->relay_data);
}

static gboolean
send_raw(NatMux *mux, const WgEndpoint *src, const WgEndpoint *dst, const guint8 *payload,
	 gsize len, gboolean probe, GError **error)
{
	WgEndpoint from = *src;

	if (mux->detour != NULL && mux->detour(dst, payload, len, mux->detour_data))
		return TRUE;
	wg_endpoint_set_port(&from, mux->port);
	return (probe ? nat_raw_sock_send_probe : nat_raw_sock_send)(mux->raw, &from, dst, payload,
								     len, error);
}

static const char *
send_problem(const GError *error)
{
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
		return "a firewall on this host drops it";
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE) ||
	    g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE))
		return "unreachable by this host's routes";
	return "it cannot be sent";
}

const char *
nat_mux_client_problem(const NatMuxClient *client)
{
	return client->problem;
}

static NatMuxProbe
send_any(NatMuxClient *client, const WgEndpoint *src, const WgEndpoint *dst, const guint8 *payload,
	 gsize len, SendKind kind)
{
	NatMux *mux = client->mux;
	gboolean probe = kind == SEND_PROBE;
	g_autoptr(GError) error = NULL;

	if (!may_send(client, src, dst, payload, len, kind))
		return NAT_MUX_PROBE_DROPPED;
	if ((nat_mux_is_relayed(mux, src) ? send_relayed : send_raw)(mux, src, dst, payload, len,
								     probe, &error)) {
		mux->counters[NAT_MUX_OUT]++;
		mux->counters[NAT_MUX_OUT_BYTES] += len;
		return NAT_MUX_PROBE_SENT;
	}
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE))
		return NAT_MUX_PROBE_TOO_BIG;
	mux->counters[NAT_MUX_DROP_SEND]++;
	client->problem = send_problem(error);
	return NAT_MUX_PROBE_DROPPED;
}

gboolean
nat_mux_client_send(NatMuxClient *client, const WgEndpoint *src, const WgEndpoint *dst,
		    const guint8 *payload, gsize len)
{
	return send_any(client, src, dst, payload, len, SEND_PLAIN) == NAT_MUX_PROBE_SENT;
}

NatMuxProbe
nat_mux_client_send_probe(NatMuxClient *client, const WgEndpoint *src, const WgEndpoint *dst,
			  const guint8 *payload, gsize len)
{
	return send_any(client, src, dst, payload, len, SEND_PROBE);
}

gboolean
nat_mux_client_send_guess(NatMuxClient *client, const WgEndpoint *src, const WgEndpoint *dst,
			  const guint8 *payload, gsize len)
{
	return send_any(client, src, dst, payload, len, SEND_GUESS) == NAT_MUX_PROBE_SENT;
}
