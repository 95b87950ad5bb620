/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. All that is sent belongs to a round: the same question again and again
 * (RFC 6886 §3.1: 250 ms, doubling) until it is answered or given up. Between rounds the socket is
 * shut, so that nobody can send us anything. Three kinds of round: one that asks for the mapping,
 * one that renews it, and one that only looks at the gateway's clock, once a minute, because a
 * gateway that was started anew has forgotten us and does not reach everybody with its
 * announcement.
 *
 * PCP is asked first (RFC 6887 §9); NAT-PMP's external address, which changes nothing, at the same
 * time, so that a gateway that knows NAT-PMP alone costs no time more. A NAT-PMP mapping is asked
 * for when PCP has been declined, or was silent for a quarter of a second while NAT-PMP was not.
 */
#include "agent/portmap/map-client-private.h"

#include <errno.h>
#include <glib-unix.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RTO_MS 250
#define SENDS_MAX 6 /* at 0, 0.25, 0.75, 1.75, 3.75 and 7.75 s; given up at 15.75 s */
#define PATIENCE_US (RTO_MS * 1000)
#define CHECK_S 60
#define RETRY_MIN_S 60
#define RETRY_MAX_S 3600
#define CHECK_US G_USEC_PER_SEC

static gboolean on_timer(gpointer user_data);

/* ---- state ---- */

void
map_client_set_state(MapClient *client, MapClientState state, const char *problem)
{
	gboolean news = state != client->state || g_strcmp0(problem, client->problem) != 0;

	client->state = state;
	client->problem = problem;
	if (news)
		client->changed(client->user_data);
}

void
map_client_schedule(MapClient *client, guint ms)
{
	g_clear_handle_id(&client->timer, g_source_remove);
	client->timer = g_timeout_add(ms, on_timer, client);
}

void
map_client_end_round(MapClient *client)
{
	client->round = ROUND_NONE;
	g_clear_handle_id(&client->watch, g_source_remove);
	g_clear_handle_id(&client->timer, g_source_remove);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

guint
map_client_half_left_ms(const MapClient *client)
{
	guint32 left = map_grant_left_s(&client->grant, g_get_monotonic_time());

	return MIN(left * 500, CHECK_S * 1000);
}

void
map_client_lose(MapClient *client)
{
	g_debug("portmap: a mapping by %s is lost", map_protocol_to_string(client->grant.protocol));
	memset(&client->grant, 0, sizeof client->grant);
}

static void
wait_to_retry(MapClient *client, guint32 at_least_s)
{
	guint pause = MIN(RETRY_MIN_S << MIN(client->failures, 6u), RETRY_MAX_S);

	client->failures++;
	map_client_schedule(client, MIN(MAX(pause, at_least_s), RETRY_MAX_S) * 1000);
}

/* Nothing, or nothing useful, has come. What is held is held for as long as it was granted. */
void
map_client_give_up(MapClient *client, MapClientState state, const char *problem, guint32 at_least_s)
{
	gboolean was_asking = client->round == ROUND_ASK;
	guint32 left = map_grant_left_s(&client->grant, g_get_monotonic_time());

	map_client_end_round(client);
	if (map_grant_is_set(&client->grant) && left > 0 && state == MAP_CLIENT_SILENT) {
		map_client_schedule(client, CLAMP(left * 500, 5000, CHECK_S * 1000));
		return;
	}
	if (was_asking && map_grant_is_set(&client->grant))
		map_client_lose(client);
	wait_to_retry(client, at_least_s);
	map_client_set_state(client, state, problem);
}

/* ---- what is sent ---- */

gboolean
map_client_is_v4(const MapClient *client)
{
	return wg_endpoint_family(&client->place.own) == AF_INET;
}

/* What we have, or would like: our own port. */
static WgEndpoint
suggested(const MapClient *client)
{
	WgEndpoint out = client->grant.external;

	if (!wg_endpoint_is_set(&out))
		out = client->wish;
	if (wg_endpoint_is_set(&out))
		return out;
	out = client->place.own;
	if (map_client_is_v4(client))
		memset(&out.v4.sin_addr, 0, sizeof out.v4.sin_addr);
	else
		memset(&out.v6.sin6_addr, 0, sizeof out.v6.sin6_addr);
	return out;
}

static void
transmit(MapClient *client, const guint8 *buf, gsize len)
{
	/* a full queue, a route that is gone: the next one may get through */
	if (send(client->fd, buf, len, MSG_NOSIGNAL) < 0 && errno != ECONNREFUSED)
		g_debug("portmap: cannot ask the gateway: %s", g_strerror(errno));
}

static void
ask_pcp(MapClient *client)
{
	guint8 buf[MAP_CODEC_REQUEST_MAX];
	WgEndpoint want = suggested(client);

	if (client->round == ROUND_CHECK)
		transmit(client, buf, map_codec_pcp_announce(buf, &client->place.own));
	else
		transmit(client, buf,
			 map_codec_pcp_map(buf, &client->place.own, client->nonce, &want,
					   MAP_LIFETIME_S));
}

gboolean
map_client_pmp_may_map(const MapClient *client)
{
	if (client->round != ROUND_ASK || client->pmp_port != 0 ||
	    !wg_endpoint_is_set(&client->address))
		return FALSE;
	if (map_grant_is_set(&client->grant))
		return client->grant.protocol == MAP_PMP;
	return client->pcp_declined ||
	       (!client->pcp_seen && g_get_monotonic_time() - client->round_us >= PATIENCE_US);
}

void
map_client_ask_pmp(MapClient *client)
{
	guint8 buf[MAP_CODEC_REQUEST_MAX];
	WgEndpoint want = suggested(client);

	if (!wg_endpoint_is_set(&client->address))
		transmit(client, buf, map_codec_pmp_address(buf));
	else if (map_client_pmp_may_map(client))
		transmit(client, buf,
			 map_codec_pmp_map(buf, wg_endpoint_port(&client->place.own),
					   wg_endpoint_port(&want), MAP_LIFETIME_S));
}

/* What is held is asked about in its own protocol alone. */
gboolean
map_client_uses(const MapClient *client, MapProtocol protocol)
{
	if (map_grant_is_set(&client->grant))
		return client->grant.protocol == protocol;
	return protocol == MAP_PCP ? !client->pcp_declined
				   : !client->pmp_declined && map_client_is_v4(client);
}

static gboolean
on_timer(gpointer user_data)
{
	MapClient *client = user_data;
	gint64 now = g_get_monotonic_time();

	client->timer = 0;
	if (client->round == ROUND_NONE) {
		guint32 left = map_grant_left_s(&client->grant, now);

		map_client_begin(client, map_grant_is_set(&client->grant) &&
							 left > client->grant.lifetime_s / 2
						 ? ROUND_CHECK
						 : ROUND_ASK);
		return G_SOURCE_REMOVE;
	}
	if (client->sends == SENDS_MAX) {
		map_client_give_up(client, client->problem ? MAP_CLIENT_REFUSED : MAP_CLIENT_SILENT,
				   client->problem, 0);
		return G_SOURCE_REMOVE;
	}
	if (map_client_uses(client, MAP_PCP))
		ask_pcp(client);
	if (map_client_uses(client, MAP_PMP))
		map_client_ask_pmp(client);
	map_client_schedule(client, RTO_MS << client->sends++);
	return G_SOURCE_REMOVE;
}

/* ---- rounds ---- */

static gboolean
open_socket(MapClient *client)
{
	client->fd = map_place_socket(&client->place, SOCK_DGRAM);
	if (client->fd < 0)
		return FALSE;
	if (connect(client->fd, &client->server.sa, wg_endpoint_socklen(&client->server)) < 0) {
		close(client->fd);
		client->fd = -1;
		return FALSE;
	}
	client->watch = g_unix_fd_add(client->fd, G_IO_IN, map_client_on_readable, client);
	return TRUE;
}

void
map_client_begin(MapClient *client, Round round)
{
	map_client_end_round(client);
	client->paused = FALSE;
	client->round = round;
	client->round_us = g_get_monotonic_time();
	client->sends = client->round_drops = 0;
	client->pcp_declined = client->pmp_declined = FALSE;
	client->pmp_port = 0;
	memset(&client->address, 0, sizeof client->address);
	if (!open_socket(client)) {
		map_client_give_up(client, MAP_CLIENT_SILENT, "the gateway cannot be asked", 0);
		return;
	}
	if (!map_grant_is_set(&client->grant))
		map_client_set_state(client, MAP_CLIENT_ASKING, NULL);
	map_client_schedule(client, 0);
}

MapClient *
map_client_new(const MapPlace *place, guint16 server_port, MapClientFunc changed,
	       gpointer user_data)
{
	MapClient *client = g_new0(MapClient, 1);

	client->place = *place;
	client->server = place->gateway;
	wg_endpoint_set_port(&client->server, server_port);
	client->changed = changed;
	client->user_data = user_data;
	client->fd = -1;
	randombytes_buf(client->nonce, sizeof client->nonce);
	return client;
}

void
map_client_free(MapClient *client)
{
	if (!client)
		return;
	map_client_end_round(client);
	g_free(client);
}

void
map_client_start(MapClient *client, const MapGrant *kept)
{
	if (kept && map_grant_is_set(kept)) {
		client->grant = *kept;
		memcpy(client->nonce, kept->nonce, sizeof client->nonce);
		client->state = MAP_CLIENT_HELD;
	}
	map_client_begin(client, ROUND_ASK);
}

void
map_client_wish(MapClient *client, const MapGrant *old)
{
	if (old->protocol == MAP_UPNP)
		return;
	client->wish = old->external;
	if (old->protocol == MAP_PCP)
		memcpy(client->nonce, old->nonce, sizeof client->nonce);
}

void
map_client_pause(MapClient *client)
{
	map_client_end_round(client);
	client->paused = TRUE;
}

void
map_client_resume(MapClient *client)
{
	if (client->paused)
		map_client_begin(client, ROUND_ASK);
}

void
map_client_check(MapClient *client)
{
	gint64 now = g_get_monotonic_time();

	if (client->round != ROUND_NONE || now - client->checked_us < CHECK_US)
		return;
	client->checked_us = now;
	map_client_begin(client, map_grant_is_set(&client->grant) ? ROUND_CHECK : ROUND_ASK);
}

gboolean
map_client_has_answered(const MapClient *client)
{
	return client->pcp_seen || client->pmp_seen;
}

MapClientState
map_client_state(const MapClient *client)
{
	return client->state;
}

gboolean
map_client_is_waiting(const MapClient *client)
{
	return client->round == ROUND_ASK && !map_grant_is_set(&client->grant) &&
	       !(client->pcp_declined && client->pmp_declined);
}

const MapGrant *
map_client_grant(const MapClient *client)
{
	return &client->grant;
}

const char *
map_client_problem(const MapClient *client)
{
	return client->problem;
}

guint64
map_client_dropped(const MapClient *client)
{
	return client->dropped;
}
