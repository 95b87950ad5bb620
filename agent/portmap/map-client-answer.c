/* SPDX-License-Identifier: MIT */
/* What is made of the gateway's answers; see map-client.c. */
#include "agent/portmap/map-client-private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define DRAIN_MAX 64
#define DROPS_MAX 256		       /* of a round: who sends so much is not listened to */
#define AGAIN_US (10 * G_USEC_PER_SEC) /* a gateway whose clock jumps is believed so often */
#define REFUSED 0xff		       /* no code of either: granted, for no time */

/* ---- what comes back ---- */

static void
settle(MapClient *client, const MapGrant *grant)
{
	gboolean news = !map_grant_is_set(&client->grant) ||
			!wg_endpoint_equal(&grant->external, &client->grant.external);

	client->grant = *grant;
	client->failures = 0;
	map_client_end_round(client);
	map_client_schedule(client, map_client_half_left_ms(client));
	if (news && client->state == MAP_CLIENT_HELD)
		client->changed(client->user_data);
	map_client_set_state(client, MAP_CLIENT_HELD, NULL);
}

/* It has both declined: nothing of this round is left to wait for. */
static void
decline(MapClient *client, MapProtocol protocol, guint code, guint32 at_least_s)
{
	if (protocol == MAP_PCP)
		client->pcp_declined = TRUE;
	else
		client->pmp_declined = TRUE;
	if (code != 0)
		client->problem = map_codec_code_to_string(protocol, code);
	if (client->pcp_declined && (client->pmp_declined || !map_client_is_v4(client)))
		map_client_give_up(client, client->problem ? MAP_CLIENT_REFUSED : MAP_CLIENT_SILENT,
				   client->problem, at_least_s);
	else if (protocol == MAP_PCP && map_client_pmp_may_map(client))
		map_client_ask_pmp(client);
}

static void
take_refusal(MapClient *client, const MapAnswer *answer)
{
	if (client->round == ROUND_CHECK) {
		/* it is there, and its clock was looked at */
		map_client_end_round(client);
		map_client_schedule(client, map_client_half_left_ms(client));
		return;
	}
	if (map_grant_is_set(&client->grant))
		map_client_lose(client);
	/* PCP's lifetime is then how long the error will last (RFC 6887 §7.2) */
	decline(client, answer->protocol, answer->code ? answer->code : REFUSED,
		answer->protocol == MAP_PCP ? answer->lifetime_s : 0);
}

static void
take_pcp_mapping(MapClient *client, const MapAnswer *answer)
{
	MapGrant grant = {.protocol = MAP_PCP,
			  .external = answer->external,
			  .lifetime_s = map_codec_clamp_lifetime(answer->lifetime_s),
			  .at_us = g_get_monotonic_time()};

	memcpy(grant.nonce, client->nonce, sizeof grant.nonce);
	settle(client, &grant);
}

/* NAT-PMP tells the address and the port in two answers. */
static void
take_pmp(MapClient *client, const MapAnswer *answer)
{
	MapGrant grant = {.protocol = MAP_PMP, .at_us = g_get_monotonic_time()};

	client->pmp_seen = TRUE;
	if (answer->kind == MAP_ANSWER_ADDRESS) {
		client->address = answer->external;
	} else {
		client->pmp_port = answer->external_port;
		client->pmp_lifetime_s = answer->lifetime_s;
	}
	if (client->round == ROUND_CHECK) {
		gboolean same = wg_endpoint_same_address(&client->address, &client->grant.external);

		map_client_end_round(client);
		/* another outside address: the mapping is there, or it is asked for again */
		if (same)
			map_client_schedule(client, map_client_half_left_ms(client));
		else
			map_client_begin(client, ROUND_ASK);
		return;
	}
	if (client->pmp_port == 0 || !wg_endpoint_is_set(&client->address)) {
		if (map_client_pmp_may_map(client))
			map_client_ask_pmp(client);
		return;
	}
	grant.external = client->address;
	wg_endpoint_set_port(&grant.external, client->pmp_port);
	grant.lifetime_s = map_codec_clamp_lifetime(client->pmp_lifetime_s);
	settle(client, &grant);
}

/* Whether it is what we have asked, and says nothing that cannot be. */
static gboolean
is_ours(const MapClient *client, const MapAnswer *answer)
{
	if (answer->protocol == MAP_PMP && !map_client_is_v4(client))
		return FALSE;
	if (answer->kind == MAP_ANSWER_VERSION || answer->code != 0)
		return answer->kind != MAP_ANSWER_MAPPING || answer->protocol != MAP_PCP ||
		       memcmp(answer->nonce, client->nonce, MAP_NONCE_LEN) == 0;
	switch (answer->kind) {
	case MAP_ANSWER_ADDRESS:
		return !wg_endpoint_is_bogus(&answer->external);
	case MAP_ANSWER_ANNOUNCE:
		return client->round == ROUND_CHECK;
	case MAP_ANSWER_VERSION:
		return TRUE;
	case MAP_ANSWER_MAPPING:
		break;
	}
	if (client->round != ROUND_ASK ||
	    answer->internal_port != wg_endpoint_port(&client->place.own) ||
	    answer->external_port == 0)
		return FALSE;
	if (answer->protocol == MAP_PMP)
		return map_client_uses(client, MAP_PMP) &&
		       (map_grant_is_set(&client->grant) || client->pcp_declined ||
			!client->pcp_seen);
	/* the nonce is what tells our mapping from others' (RFC 6887 §11.2) */
	return memcmp(answer->nonce, client->nonce, MAP_NONCE_LEN) == 0 &&
	       wg_endpoint_family(&answer->external) == wg_endpoint_family(&client->place.own) &&
	       !wg_endpoint_is_bogus(&answer->external);
}

/* TRUE: it has started anew, and the mapping is asked for afresh. */
static gboolean
has_forgotten(MapClient *client, const MapAnswer *answer)
{
	gint64 now = g_get_monotonic_time();
	MapEpoch *epoch = &client->epochs[answer->protocol];

	if (map_epoch_see(epoch, answer->epoch_s, now) || !map_grant_is_set(&client->grant) ||
	    client->round != ROUND_CHECK || now - client->forgot_us < AGAIN_US)
		return FALSE;
	g_debug("portmap: the gateway was started anew");
	client->forgot_us = now;
	map_client_begin(client, ROUND_ASK);
	return TRUE;
}

static void
take(MapClient *client, const MapAnswer *answer)
{
	if (answer->kind == MAP_ANSWER_VERSION) {
		/* it answers in the version that it has: the other one is declined */
		if (client->round == ROUND_ASK)
			decline(client, answer->protocol == MAP_PMP ? MAP_PCP : MAP_PMP, 0, 0);
		return;
	}
	if (has_forgotten(client, answer))
		return;
	client->pcp_seen |= answer->protocol == MAP_PCP;
	/* success without a lifetime is none */
	if (answer->code != 0 || (answer->kind == MAP_ANSWER_MAPPING && answer->lifetime_s == 0))
		take_refusal(client, answer);
	else if (answer->protocol == MAP_PMP)
		take_pmp(client, answer);
	else if (answer->kind == MAP_ANSWER_MAPPING)
		take_pcp_mapping(client, answer);
	else
		take_refusal(client, answer); /* ANNOUNCE: it is there */
}

gboolean
map_client_on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	MapClient *client = user_data;

	for (guint i = 0; i < DRAIN_MAX && client->fd == fd; i++) {
		guint8 buf[MAP_CODEC_ANSWER_MAX + 1];
		MapAnswer answer;
		ssize_t len = recv(fd, buf, sizeof buf, 0);

		if (len < 0) /* ECONNREFUSED: nothing listens there; it is asked a few times more */
			return G_SOURCE_CONTINUE;
		if (map_codec_parse(buf, (gsize)len, &answer) && is_ours(client, &answer)) {
			take(client, &answer);
		} else {
			client->dropped++;
			if (++client->round_drops > DROPS_MAX)
				map_client_give_up(client,
						   map_grant_is_set(&client->grant)
							   ? MAP_CLIENT_SILENT
							   : MAP_CLIENT_REFUSED,
						   "the router floods us with answers", 0);
		}
	}
	return G_SOURCE_CONTINUE;
}
