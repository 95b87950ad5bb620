/* SPDX-License-Identifier: MIT */
/* PCP and NAT-PMP against a gateway on loopback that behaves as told. */
#include "agent/portmap/map-client.h"

#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/net-util.h"
#include "tests/unit/map-world.h"

typedef struct {
	int fd;
	guint watch;
	WgEndpoint at;
	/* how it behaves */
	gboolean pcp, pmp; /* it knows them */
	gboolean mute;	   /* what it does not know is not answered */
	guint8 code;	   /* of mappings */
	guint32 lifetime_s;
	gboolean wrong_nonce, other_port, bogus, wrong_family;
	guint junk;	 /* datagrams before each answer */
	gint64 epoch_us; /* its start */
	/* what it was asked */
	guint pcp_maps, pmp_maps, announces, addresses;
	guint8 last[64];
	/* the client */
	MapPlace place;
	MapClient *client;
	guint changes;
} World;

static void
put32(guint8 *at, guint32 value)
{
	value = GUINT32_TO_BE(value);
	memcpy(at, &value, 4);
}

static guint32
epoch_of(const World *w)
{
	return (guint32)((g_get_monotonic_time() - w->epoch_us) / G_USEC_PER_SEC);
}

static gsize
answer_pcp(World *w, const guint8 *msg, gsize len, guint8 *out)
{
	gboolean map = msg[1] == 1;

	memcpy(out, msg, len);
	out[1] |= 0x80;
	out[2] = 0;
	out[3] = map ? w->code : 0;
	put32(out + 4, w->lifetime_s);
	put32(out + 8, epoch_of(w));
	memset(out + 12, 0, 12);
	if (!map) {
		w->announces++;
		return 24;
	}
	memcpy(w->last, msg, MIN(len, sizeof w->last));
	w->pcp_maps++;
	if (w->wrong_nonce)
		out[24]++;
	if (w->other_port)
		out[41]++;
	memset(out + 44, 0, 16);
	if (!w->wrong_family)
		memset(out + 54, 0xff, 2);
	if (!w->bogus)
		memcpy(out + 56, "\x14\x1e\x28\x32", 4);
	return 60;
}

static gsize
answer_pmp(World *w, const guint8 *msg, guint8 *out)
{
	memset(out, 0, 16);
	out[1] = msg[1] | 0x80;
	put32(out + 4, epoch_of(w));
	if (msg[1] == 0) {
		w->addresses++;
		memcpy(out + 8, "\x14\x1e\x28\x32", 4);
		return 12;
	}
	w->pmp_maps++;
	out[3] = w->code;
	memcpy(out + 8, msg + 4, 4);
	if (w->other_port)
		out[9]++;
	put32(out + 12, w->lifetime_s);
	return 16;
}

/* "Not in that version", by the one that there is */
static gsize
decline(const World *w, const guint8 *msg, guint8 *out)
{
	memset(out, 0, 24);
	out[0] = w->pcp ? 2 : 0;
	out[1] = msg[1] | 0x80;
	out[3] = 1;
	put32(out + 4 * (w->pcp ? 2 : 1), epoch_of(w));
	return w->mute ? 0 : w->pcp ? 24 : 8;
}

static gboolean
on_asked(int fd, GIOCondition condition, gpointer user_data)
{
	World *w = user_data;
	guint8 msg[128], out[128] = {0}, junk[24] = {2, 0x81};
	WgEndpoint from;
	gssize len = net_recv(fd, msg, sizeof msg, 0, &from);
	gsize n = 0;

	if (len < 2)
		return G_SOURCE_CONTINUE;
	if (msg[0] == 2)
		n = w->pcp ? answer_pcp(w, msg, (gsize)len, out) : decline(w, msg, out);
	else if (msg[0] == 0)
		n = w->pmp ? answer_pmp(w, msg, out) : decline(w, msg, out);
	for (guint i = 0; i < w->junk; i++)
		sendto(fd, junk, sizeof junk - 1, 0, &from.sa, wg_endpoint_socklen(&from));
	if (n > 0)
		sendto(fd, out, n, 0, &from.sa, wg_endpoint_socklen(&from));
	return G_SOURCE_CONTINUE;
}

static void
on_changed(gpointer user_data)
{
	((World *)user_data)->changes++;
}

static void
set_up(World *w, gconstpointer data)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	w->fd = net_udp("127.0.0.1:0");
	g_assert_cmpint(getsockname(w->fd, (struct sockaddr *)&sin, &len), ==, 0);
	wg_endpoint_from_sockaddr(&w->at, &sin, len);
	w->watch = g_unix_fd_add(w->fd, G_IO_IN, on_asked, w);
	w->pcp = w->pmp = TRUE;
	w->lifetime_s = 3600;
	w->epoch_us = g_get_monotonic_time() - 5000 * (gint64)G_USEC_PER_SEC;
	w->place.gateway = net_ep("127.0.0.1");
	w->place.own = net_ep("127.0.0.1:51820");
	w->client = map_client_new(&w->place, wg_endpoint_port(&w->at), on_changed, w);
}

static void
tear_down(World *w, gconstpointer data)
{
	map_client_free(w->client);
	g_source_remove(w->watch);
	close(w->fd);
}

static gboolean
is_held(World *w)
{
	return map_client_state(w->client) == MAP_CLIENT_HELD;
}

static void
holds(World *w, MapProtocol protocol, guint32 lifetime_s)
{
	WgEndpoint expected = net_ep("20.30.40.50:51820");
	const MapGrant *grant = map_client_grant(w->client);

	UNTIL(is_held(w));
	g_assert_cmpint(grant->protocol, ==, protocol);
	g_assert_true(wg_endpoint_equal(&grant->external, &expected));
	g_assert_cmpuint(grant->lifetime_s, ==, lifetime_s);
	g_assert_cmpuint(w->changes, >, 0);
}

static void
test_pcp(World *w, gconstpointer data)
{
	map_client_start(w->client, NULL);
	g_assert_true(map_client_is_waiting(w->client));
	holds(w, MAP_PCP, 3600);
	g_assert_cmpuint(w->pmp_maps, ==, 0);
	g_assert_cmpmem(w->last + 40, 4, "\xca\x6c\xca\x6c", 4);
}

static void
test_pmp(World *w, gconstpointer mute)
{
	w->pcp = FALSE;
	w->mute = mute != NULL;
	map_client_start(w->client, NULL);
	holds(w, MAP_PMP, 3600);
}

static void
test_lifetime(World *w, gconstpointer data)
{
	w->lifetime_s = G_MAXUINT32;
	map_client_start(w->client, NULL);
	holds(w, MAP_PCP, MAP_LIFETIME_MAX_S);
}

static void
refused(World *w, const char *problem)
{
	map_client_start(w->client, NULL);
	UNTIL(map_client_state(w->client) == MAP_CLIENT_REFUSED);
	g_assert_cmpstr(map_client_problem(w->client), ==, problem);
	g_assert_false(map_grant_is_set(map_client_grant(w->client)));
	g_assert_false(map_client_is_waiting(w->client));
}

static void
test_lifetime_none(World *w, gconstpointer data)
{
	w->lifetime_s = 0;
	w->pmp = FALSE;
	refused(w, "refused");
}

static void
test_off(World *w, gconstpointer data)
{
	w->code = 2;
	refused(w, "switched off");
}

/* What is no answer of ours is passed over: nothing is held, whatever there is of it. */
static void
test_stranger(World *w, gconstpointer data)
{
	gsize offset = GPOINTER_TO_SIZE(data);

	*(gboolean *)(gpointer)((guint8 *)w + offset) = TRUE;
	w->pmp = FALSE;
	w->mute = TRUE;
	map_client_start(w->client, NULL);
	UNTIL(map_client_dropped(w->client) >= 2);
	g_assert_cmpint(map_client_state(w->client), ==, MAP_CLIENT_ASKING);
	*(gboolean *)(gpointer)((guint8 *)w + offset) = FALSE;
	holds(w, MAP_PCP, 3600);
}

/* NAT-PMP: our request, the port of somebody else's host */
static void
test_pmp_stranger(World *w, gconstpointer data)
{
	w->pcp = FALSE;
	w->other_port = TRUE;
	map_client_start(w->client, NULL);
	UNTIL(map_client_dropped(w->client) >= 2);
	g_assert_false(map_grant_is_set(map_client_grant(w->client)));
}

static void
test_flood(World *w, gconstpointer data)
{
	guint asked;

	w->junk = 2000;
	refused(w, "the router floods us with answers");
	asked = w->pcp_maps + w->addresses;
	g_assert_cmpuint(map_client_dropped(w->client), <, 400);
	turn_for(600);
	g_assert_cmpuint(map_client_dropped(w->client), <, 400);
	g_assert_cmpuint(w->pcp_maps + w->addresses, ==, asked);
}

static guint
maps(const World *w)
{
	return w->pcp_maps + w->pmp_maps;
}

/* Asked, as often as it lets itself be, until the condition is true */
#define CHECK_UNTIL(condition) UNTIL((map_client_check((w)->client), (condition)))

/* Started anew: what it held is asked for again, though half its life is not over. And again: a
 * gateway whose clock jumps does not keep us busy. */
static void
test_epoch(World *w, gconstpointer data)
{
	guint before;
	gint64 began;

	w->pcp = data == NULL;
	map_client_start(w->client, NULL);
	holds(w, w->pcp ? MAP_PCP : MAP_PMP, 3600);
	/* its clock was seen in its own way */
	before = w->announces + w->addresses;
	CHECK_UNTIL(w->announces + w->addresses > before);
	g_assert_cmpuint(maps(w), ==, 1);
	before = maps(w);
	w->epoch_us = g_get_monotonic_time();
	CHECK_UNTIL(maps(w) > before);
	began = g_get_monotonic_time();
	UNTIL(is_held(w));
	before = maps(w);
	w->epoch_us = g_get_monotonic_time() - 1000 * (gint64)G_USEC_PER_SEC;
	CHECK_UNTIL(w->announces + w->addresses > 3);
	turn_for(300);
	if (g_get_monotonic_time() - began < 9 * G_USEC_PER_SEC)
		g_assert_cmpuint(maps(w), ==, before);
	g_assert_true(is_held(w));
}

static void
test_kept(World *w, gconstpointer data)
{
	MapGrant kept = {.protocol = MAP_PCP,
			 .external = net_ep("20.30.40.50:4660"),
			 .lifetime_s = 1000,
			 .at_us = g_get_monotonic_time(),
			 .nonce = {9, 8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4}};

	map_client_start(w->client, &kept);
	g_assert_true(is_held(w));
	g_assert_true(wg_endpoint_equal(&map_client_grant(w->client)->external, &kept.external));
	UNTIL(map_client_grant(w->client)->lifetime_s == 3600);
	g_assert_cmpmem(w->last + 24, MAP_NONCE_LEN, kept.nonce, MAP_NONCE_LEN);
	g_assert_cmpmem(w->last + 42, 2, "\x12\x34", 2);
	g_assert_cmpuint(wg_endpoint_port(&map_client_grant(w->client)->external), ==, 4660);
}

/* One that may be there, or not: nothing is held before the gateway says so, by the old nonce. */
static void
test_wish(World *w, gconstpointer data)
{
	MapGrant old = {.protocol = MAP_PCP,
			.external = net_ep("20.30.40.50:4660"),
			.nonce = {9, 8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4}};

	map_client_wish(w->client, &old);
	map_client_start(w->client, NULL);
	g_assert_false(map_grant_is_set(map_client_grant(w->client)));
	UNTIL(is_held(w));
	g_assert_cmpmem(w->last + 24, MAP_NONCE_LEN, old.nonce, MAP_NONCE_LEN);
	g_assert_cmpuint(wg_endpoint_port(&map_client_grant(w->client)->external), ==, 4660);
}

static void
test_paused(World *w, gconstpointer data)
{
	w->pcp = w->pmp = FALSE;
	w->mute = TRUE;
	map_client_start(w->client, NULL);
	map_client_pause(w->client);
	w->pcp = TRUE;
	turn_for(600);
	g_assert_cmpuint(w->pcp_maps, ==, 0);
	map_client_resume(w->client);
	holds(w, MAP_PCP, 3600);
}

#define ADD(path, data, func) g_test_add("/map-client/" path, World, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("pcp", NULL, test_pcp);
	ADD("nat-pmp", NULL, test_pmp);
	ADD("nat-pmp-mute", "", test_pmp);
	ADD("lifetime-2^32-1", NULL, test_lifetime);
	ADD("lifetime-0", NULL, test_lifetime_none);
	ADD("off", NULL, test_off);
	ADD("nonce", GSIZE_TO_POINTER(G_STRUCT_OFFSET(World, wrong_nonce)), test_stranger);
	ADD("others-port", GSIZE_TO_POINTER(G_STRUCT_OFFSET(World, other_port)), test_stranger);
	ADD("no-address", GSIZE_TO_POINTER(G_STRUCT_OFFSET(World, bogus)), test_stranger);
	ADD("family", GSIZE_TO_POINTER(G_STRUCT_OFFSET(World, wrong_family)), test_stranger);
	ADD("nat-pmp-others-port", NULL, test_pmp_stranger);
	ADD("flood", NULL, test_flood);
	ADD("epoch", NULL, test_epoch);
	ADD("nat-pmp-epoch", "", test_epoch);
	ADD("kept", NULL, test_kept);
	ADD("wish", NULL, test_wish);
	ADD("paused", NULL, test_paused);
	return g_test_run();
}
