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
#include "agent/portmap/map-client.h"

#include <errno.h>
#include <glib-unix.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RTO_MS 250
#define SENDS_MAX 6 /* at 0, 0.25, 0.75, 1.75, 3.75 and 7.75 s; given up at 15.75 s */
#define PATIENCE_US (RTO_MS * 1000)
#define DRAIN_MAX 64
#define DROPS_MAX 256 /* of a round: who sends so much is not listened to */
#define CHECK_S 60
#define RETRY_MIN_S 60
#define RETRY_MAX_S 3600
#define AGAIN_US (10 * G_USEC_PER_SEC) /* a gateway whose clock jumps is believed so often */
#define CHECK_US G_USEC_PER_SEC
#define REFUSED 0xff /* no code of either: granted, for no time */

typedef enum { ROUND_NONE, ROUND_ASK, ROUND_CHECK } Round;

struct MapClient {
	MapPlace place;
	WgEndpoint server;
	MapClientFunc changed;
	gpointer user_data;
	MapClientState state;
	const char *problem;
	MapGrant grant;
	WgEndpoint wish; /* what is asked for where nothing is held; unset: our own port */
	guint8 nonce[MAP_NONCE_LEN];

	Round round;
	gboolean paused;
	gint64 round_us;
	guint sends, round_drops;
	int fd; /* -1: no round */
	guint watch, timer;
	gboolean pcp_declined, pmp_declined; /* in this round */
	gboolean pcp_seen, pmp_seen;	     /* it has answered in this version, ever */
	WgEndpoint address;		     /* NAT-PMP's, of this round */
	guint16 pmp_port;		     /* that NAT-PMP has mapped in this round; 0: not yet */
	guint32 pmp_lifetime_s;
	MapEpoch epochs[2]; /* by MapProtocol */
	gint64 forgot_us, checked_us;
	guint failures;
	guint64 dropped;
};

static gboolean on_timer(gpointer user_data);
static void begin(MapClient *client, Round round);

/* ---- state ---- */

static void
set_state(MapClient *client, MapClientState state, const char *problem)
{
	gboolean news = state != client->state || g_strcmp0(problem, client->problem) != 0;

	client->state = state;
	client->problem = problem;
	if (news)
		client->changed(client->user_data);
}

static void
schedule(MapClient *client, guint ms)
{
	g_clear_handle_id(&client->timer, g_source_remove);
	client->timer = g_timeout_add(ms, on_timer, client);
}

static void
end_round(MapClient *client)
{
	client->round = ROUND_NONE;
	g_clear_handle_id(&client->watch, g_source_remove);
	g_clear_handle_id(&client->timer, g_source_remove);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static guint
half_left_ms(const MapClient *client)
{
	guint32 left = map_grant_left_s(&client->grant, g_get_monotonic_time());

	return MIN(left * 500, CHECK_S * 1000);
}

static void
lose(MapClient *client)
{
	g_debug("portmap: a mapping by %s is lost", map_protocol_to_string(client->grant.protocol));
	memset(&client->grant, 0, sizeof client->grant);
}

static void
wait_to_retry(MapClient *client, guint32 at_least_s)
{
	guint pause = MIN(RETRY_MIN_S << MIN(client->failures, 6u), RETRY_MAX_S);

	client->failures++;
	schedule(client, MIN(MAX(pause, at_least_s), RETRY_MAX_S) * 1000);
}

/* Nothing, or nothing useful, has come. What is held is held for as long as it was granted. */
static void
give_up(MapClient *client, MapClientState state, const char *problem, guint32 at_least_s)
{
	gboolean was_asking = client->round == ROUND_ASK;
	guint32 left = map_grant_left_s(&client->grant, g_get_monotonic_time());

	end_round(client);
	if (map_grant_is_set(&client->grant) && left > 0 && state == MAP_CLIENT_SILENT) {
		schedule(client, CLAMP(left * 500, 5000, CHECK_S * 1000));
		return;
	}
	if (was_asking && map_grant_is_set(&client->grant))
		lose(client);
	wait_to_retry(client, at_least_s);
	set_state(client, state, problem);
}

/* ---- what is sent ---- */

static gboolean
is_v4(const MapClient *client)
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
	if (is_v4(client))
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

static gboolean
pmp_may_map(const MapClient *client)
{
	if (client->round != ROUND_ASK || client->pmp_port != 0 ||
	    !wg_endpoint_is_set(&client->address))
		return FALSE;
	if (map_grant_is_set(&client->grant))
		return client->grant.protocol == MAP_PMP;
	return client->pcp_declined ||
	       (!client->pcp_seen && g_get_monotonic_time() - client->round_us >= PATIENCE_US);
}

static void
ask_pmp(MapClient *client)
{
	guint8 buf[MAP_CODEC_REQUEST_MAX];
	WgEndpoint want = suggested(client);

	if (!wg_endpoint_is_set(&client->address))
		transmit(client, buf, map_codec_pmp_address(buf));
	else if (pmp_may_map(client))
		transmit(client, buf,
			 map_codec_pmp_map(buf, wg_endpoint_port(&client->place.own),
					   wg_endpoint_port(&want), MAP_LIFETIME_S));
}

/* What is held is asked about in its own protocol alone. */
static gboolean
uses(const MapClient *client, MapProtocol protocol)
{
	if (map_grant_is_set(&client->grant))
		return client->grant.protocol == protocol;
	return protocol == MAP_PCP ? !client->pcp_declined : !client->pmp_declined && is_v4(client);
}

static gboolean
on_timer(gpointer user_data)
{
	MapClient *client = user_data;
	gint64 now = g_get_monotonic_time();

	client->timer = 0;
	if (client->round == ROUND_NONE) {
		guint32 left = map_grant_left_s(&client->grant, now);

		begin(client,
		      map_grant_is_set(&client->grant) && left > client->grant.lifetime_s / 2
			      ? ROUND_CHECK
			      : ROUND_ASK);
		return G_SOURCE_REMOVE;
	}
	if (client->sends == SENDS_MAX) {
		give_up(client, client->problem ? MAP_CLIENT_REFUSED : MAP_CLIENT_SILENT,
			client->problem, 0);
		return G_SOURCE_REMOVE;
	}
	if (uses(client, MAP_PCP))
		ask_pcp(client);
	if (uses(client, MAP_PMP))
		ask_pmp(client);
	schedule(client, RTO_MS << client->sends++);
	return G_SOURCE_REMOVE;
}

/* ---- what comes back ---- */

static void
settle(MapClient *client, const MapGrant *grant)
{
	gboolean news = !map_grant_is_set(&client->grant) ||
			!wg_endpoint_equal(&grant->external, &client->grant.external);

	client->grant = *grant;
	client->failures = 0;
	end_round(client);
	schedule(client, half_left_ms(client));
	if (news && client->state == MAP_CLIENT_HELD)
		client->changed(client->user_data);
	set_state(client, MAP_CLIENT_HELD, NULL);
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
	if (client->pcp_declined && (client->pmp_declined || !is_v4(client)))
		give_up(client, client->problem ? MAP_CLIENT_REFUSED : MAP_CLIENT_SILENT,
			client->problem, at_least_s);
	else if (protocol == MAP_PCP && pmp_may_map(client))
		ask_pmp(client);
}

static void
take_refusal(MapClient *client, const MapAnswer *answer)
{
	if (client->round == ROUND_CHECK) {
		/* it is there, and its clock was looked at */
		end_round(client);
		schedule(client, half_left_ms(client));
		return;
	}
	if (map_grant_is_set(&client->grant))
		lose(client);
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

		end_round(client);
		/* another outside address: the mapping is there, or it is asked for again */
		if (same)
			schedule(client, half_left_ms(client));
		else
			begin(client, ROUND_ASK);
		return;
	}
	if (client->pmp_port == 0 || !wg_endpoint_is_set(&client->address)) {
		if (pmp_may_map(client))
			ask_pmp(client);
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
	if (answer->protocol == MAP_PMP && !is_v4(client))
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
		return uses(client, MAP_PMP) && (map_grant_is_set(&client->grant) ||
						 client->pcp_declined || !client->pcp_seen);
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
	begin(client, ROUND_ASK);
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

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
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
				give_up(client,
					map_grant_is_set(&client->grant) ? MAP_CLIENT_SILENT
									 : MAP_CLIENT_REFUSED,
					"the router floods us with answers", 0);
		}
	}
	return G_SOURCE_CONTINUE;
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
	client->watch = g_unix_fd_add(client->fd, G_IO_IN, on_readable, client);
	return TRUE;
}

static void
begin(MapClient *client, Round round)
{
	end_round(client);
	client->paused = FALSE;
	client->round = round;
	client->round_us = g_get_monotonic_time();
	client->sends = client->round_drops = 0;
	client->pcp_declined = client->pmp_declined = FALSE;
	client->pmp_port = 0;
	memset(&client->address, 0, sizeof client->address);
	if (!open_socket(client)) {
		give_up(client, MAP_CLIENT_SILENT, "the gateway cannot be asked", 0);
		return;
	}
	if (!map_grant_is_set(&client->grant))
		set_state(client, MAP_CLIENT_ASKING, NULL);
	schedule(client, 0);
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
	end_round(client);
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
	begin(client, ROUND_ASK);
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
	end_round(client);
	client->paused = TRUE;
}

void
map_client_resume(MapClient *client)
{
	if (client->paused)
		begin(client, ROUND_ASK);
}

void
map_client_check(MapClient *client)
{
	gint64 now = g_get_monotonic_time();

	if (client->round != ROUND_NONE || now - client->checked_us < CHECK_US)
		return;
	client->checked_us = now;
	begin(client, map_grant_is_set(&client->grant) ? ROUND_CHECK : ROUND_ASK);
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
