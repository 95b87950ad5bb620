/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class-filter.h"

#include "agent/probe/nat-stun-socket.h"

#define SENDS 4
#define PATIENCE_MS 2400
#define CHANGE_SENDS 3 /* at 0, 0.2, 0.6 s */
#define SETTLE_MS 900  /* the last of them is under way */
#define GRACE_MS 150   /* for an answer that left before another one */

struct NatClassFilter {
	NatStunSocket *sock;
	NatMapping mapping;
	WgEndpoint tester, other;
	NatClassFilterFunc func;
	gpointer user_data;
	guint timer;
	gboolean port_came, refused;
	gboolean closed; /* what comes from elsewhere now counts no longer */
};

static gboolean
is_answer(const NatStunReply *reply)
{
	return reply != NULL && !reply->refused;
}

static gboolean
has_two_addresses(const NatClassFilter *filter)
{
	return !wg_endpoint_same_address(&filter->tester, &filter->other);
}

/* Nothing of the filter may be touched afterwards. */
static void
conclude(NatClassFilter *filter, NatFiltering filtering)
{
	filter->func(filtering, filter->user_data);
}

/* What silence means, now that the server is known to do what it was asked. */
static NatFiltering
meaning(const NatClassFilter *filter)
{
	if (!filter->port_came)
		return NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
	return has_two_addresses(filter) ? NAT_FILTERING_ADDRESS_DEPENDENT : NAT_FILTERING_UNKNOWN;
}

static void
on_change_again(const NatStunReply *reply, gpointer user_data)
{
	NatClassFilter *filter = user_data;

	conclude(filter, is_answer(reply) ? meaning(filter) : NAT_FILTERING_UNKNOWN);
}

/* It was asked at the other place, and so that is let in, where the mapping is the same. */
static void
on_other(const NatStunReply *reply, gpointer user_data)
{
	NatClassFilter *filter = user_data;
	gboolean two = has_two_addresses(filter);

	if (!is_answer(reply))
		conclude(filter, NAT_FILTERING_UNKNOWN);
	else if (filter->mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT)
		nat_stun_socket_ask(filter->sock, &filter->tester,
				    NAT_STUN_CHANGE_PORT | (two ? NAT_STUN_CHANGE_IP : 0),
				    CHANGE_SENDS, PATIENCE_MS, on_change_again, filter);
	else
		/* that place is there, and by OTHER-ADDRESS the server says what it can do */
		conclude(filter, two ? meaning(filter) : NAT_FILTERING_UNKNOWN);
}

static gboolean
on_grace(gpointer user_data)
{
	NatClassFilter *filter = user_data;

	filter->timer = 0;
	filter->closed = TRUE;
	if (filter->refused || (filter->port_came && !has_two_addresses(filter)))
		conclude(filter, NAT_FILTERING_UNKNOWN);
	else
		nat_stun_socket_ask(filter->sock, &filter->other, 0, SENDS, PATIENCE_MS, on_other,
				    filter);
	return G_SOURCE_REMOVE;
}

/* It has seen all that was asked before this. */
static void
on_barrier(const NatStunReply *reply, gpointer user_data)
{
	NatClassFilter *filter = user_data;

	if (filter->closed)
		return;
	if (is_answer(reply))
		filter->timer = g_timeout_add(GRACE_MS, on_grace, filter);
	else
		conclude(filter, NAT_FILTERING_UNKNOWN);
}

static gboolean
on_settled(gpointer user_data)
{
	NatClassFilter *filter = user_data;

	filter->timer = 0;
	nat_stun_socket_ask(filter->sock, &filter->tester, 0, SENDS, PATIENCE_MS, on_barrier,
			    filter);
	return G_SOURCE_REMOVE;
}

static void
on_both(const NatStunReply *reply, gpointer user_data)
{
	NatClassFilter *filter = user_data;

	if (reply == NULL || filter->closed)
		return;
	if (reply->refused || wg_endpoint_same_address(&reply->from, &filter->tester)) {
		filter->refused = TRUE; /* or it does not know the question */
		return;
	}
	filter->closed = TRUE;
	g_clear_handle_id(&filter->timer, g_source_remove);
	conclude(filter, NAT_FILTERING_ENDPOINT_INDEPENDENT);
}

static void
on_port(const NatStunReply *reply, gpointer user_data)
{
	NatClassFilter *filter = user_data;

	if (reply == NULL || filter->closed)
		return;
	if (reply->refused || wg_endpoint_port(&reply->from) == wg_endpoint_port(&filter->tester))
		filter->refused = TRUE;
	else
		filter->port_came = TRUE;
}

static void
on_opened(const NatStunReply *reply, gpointer user_data)
{
	const guint both = NAT_STUN_CHANGE_IP | NAT_STUN_CHANGE_PORT, patience = 4 * PATIENCE_MS;
	NatClassFilter *filter = user_data;

	if (!is_answer(reply)) {
		conclude(filter, NAT_FILTERING_UNKNOWN);
		return;
	}
	filter->timer = g_timeout_add(SETTLE_MS, on_settled, filter);
	nat_stun_socket_ask(filter->sock, &filter->tester, NAT_STUN_CHANGE_PORT, CHANGE_SENDS,
			    patience, on_port, filter);
	if (has_two_addresses(filter))
		nat_stun_socket_ask(filter->sock, &filter->tester, both, CHANGE_SENDS, patience,
				    on_both, filter);
}

NatClassFilter *
nat_class_filter_new(const WgEndpoint *local, guint32 fwmark, NatMapping mapping,
		     const WgEndpoint *tester, const WgEndpoint *other, guint *sent,
		     NatClassFilterFunc func, gpointer user_data)
{
	NatStunSocket *sock = nat_stun_socket_new(local, fwmark, sent);
	NatClassFilter *filter;

	if (sock == NULL)
		return NULL;
	filter = g_new0(NatClassFilter, 1);
	filter->sock = sock;
	filter->mapping = mapping;
	filter->tester = *tester;
	filter->other = *other;
	filter->func = func;
	filter->user_data = user_data;
	nat_stun_socket_ask(sock, tester, 0, SENDS, PATIENCE_MS, on_opened, filter);
	return filter;
}

void
nat_class_filter_free(NatClassFilter *filter)
{
	if (filter == NULL)
		return;
	g_clear_handle_id(&filter->timer, g_source_remove);
	nat_stun_socket_free(filter->sock);
	g_free(filter);
}
