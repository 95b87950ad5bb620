/* SPDX-License-Identifier: MIT */
/*
 * One Test per silence:
 *
 *   ASK ─mapped─▶ SETTLE ─settle_ms─▶ ASK_AGAIN ─same─▶ KNOCK ─came in, or not─▶ SILENT ─T─┐
 *                                                                                          │
 *         verdict ◀─(CONFIRM)─ FINAL_KNOCK, where the first one came in ◀──────────────────┤
 *         verdict ◀── FINAL_ASK, where it did not and the NAT changes ports ◀──────────────┘
 *
 * A knock is a request from another socket that has the server answer to the first one's mapping.
 * One that does not come in means lost only if the server still answers: CONFIRM.
 */
#include "agent/probe/nat-lifetime-probe.h"

#include "agent/mux/nat-stun.h"

#include <glib-unix.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_MS 400
#define TRIES_FIRST 8 /* over all servers */
#define TRIES 4

static const NatLifetimeProbeTimes DEFAULT_TIMES = {
	.silences_ms = {4500, 6500, 9000, 12000, 16000, 21000, 26000},
	.n = 7,
	.settle_ms = 2500,
};

typedef enum { ASK, SETTLE, ASK_AGAIN, KNOCK, SILENT, FINAL_KNOCK, CONFIRM, FINAL_ASK } State;

typedef struct {
	int fd; /* -1: closed */
	guint source;
} Socket;

typedef struct {
	NatLifetimeProbe *probe;
	guint silence_ms;
	State state;
	Socket own, knocker;
	gsize server; /* index of the one that is asked */
	WgEndpoint mapped;
	guint8 id[NAT_STUN_ID_LEN]; /* of the present question */
	gboolean port_kept, knocks;
	guint tries;
	guint timer;
} Test;

struct NatLifetimeProbe {
	WgEndpoint servers[NAT_LIFETIME_PROBE_SERVERS];
	gsize n_servers;
	guint32 fwmark;
	guint settle_ms;
	NatLifetimeProbeFunc func;
	gpointer user_data;
	GPtrArray *tests; /* of Test, those without a verdict */
};

/* ---- sockets ---- */

static void
socket_close(Socket *sock)
{
	g_clear_handle_id(&sock->source, g_source_remove);
	if (sock->fd >= 0)
		close(sock->fd);
	sock->fd = -1;
}

/* Connected, so that only that server's answers come. FALSE (closed) where no route leads there. */
static gboolean
socket_open(Socket *sock, const NatLifetimeProbe *probe, const WgEndpoint *server,
	    GUnixFDSourceFunc readable, gpointer user_data)
{
	socket_close(sock);
	sock->fd = socket(wg_endpoint_family(server), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock->fd < 0)
		return FALSE;
	if ((probe->fwmark != 0 &&
	     setsockopt(sock->fd, SOL_SOCKET, SO_MARK, &probe->fwmark, sizeof probe->fwmark) < 0) ||
	    connect(sock->fd, &server->sa, wg_endpoint_socklen(server)) < 0) {
		socket_close(sock);
		return FALSE;
	}
	sock->source = g_unix_fd_add(sock->fd, G_IO_IN, readable, user_data);
	return TRUE;
}

static guint16
local_port(const Socket *sock)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	WgEndpoint own = {0};

	if (sock->fd >= 0 && getsockname(sock->fd, (struct sockaddr *)&sa, &len) == 0)
		wg_endpoint_from_sockaddr(&own, &sa, len);
	return wg_endpoint_port(&own);
}

/* FALSE: no STUN response came. */
static gboolean
socket_read(int fd, NatStun *stun)
{
	guint8 buf[NAT_STUN_MAX];
	gssize len = recv(fd, buf, sizeof buf, MSG_DONTWAIT | MSG_TRUNC);

	if (len <= 0 || len > (gssize)sizeof buf || !nat_stun_parse(buf, (gsize)len, stun))
		return FALSE;
	stun->username = NULL; /* it points into buf */
	return stun->klass == NAT_STUN_SUCCESS || stun->klass == NAT_STUN_ERROR;
}

/* ---- ends ---- */

static void
test_free(gpointer data)
{
	Test *test = data;

	g_clear_handle_id(&test->timer, g_source_remove);
	socket_close(&test->own);
	socket_close(&test->knocker);
	g_free(test);
}

/* Nothing of the test or the probe may be touched afterwards. */
static void
conclude(Test *test, NatLifetimeVerdict verdict)
{
	NatLifetimeProbe *probe = test->probe;
	guint silence_ms = test->silence_ms;

	g_ptr_array_remove_fast(probe->tests, test);
	for (guint i = probe->tests->len; verdict == NAT_LIFETIME_LOST && i > 0; i--) {
		const Test *other = g_ptr_array_index(probe->tests, i - 1);

		if (other->silence_ms > silence_ms)
			g_ptr_array_remove_index_fast(probe->tests, i - 1);
	}
	probe->func(silence_ms, verdict, probe->tests->len == 0, probe->user_data);
}

/* ---- questions ---- */

static gboolean on_timer(gpointer user_data);
static gboolean on_own(int fd, GIOCondition condition, gpointer user_data);
static gboolean on_knocker(int fd, GIOCondition condition, gpointer user_data);

static void
wait_ms(Test *test, guint ms)
{
	g_clear_handle_id(&test->timer, g_source_remove);
	test->timer = g_timeout_add(ms, on_timer, test);
}

static const WgEndpoint *
server_of(const Test *test)
{
	return &test->probe->servers[test->server];
}

static void
ask(Test *test)
{
	guint8 msg[NAT_STUN_MAX];
	gsize len = nat_stun_build_request(msg, sizeof msg, test->id, NULL, NULL);

	/* what does not leave is as good as lost on the way */
	if (test->own.fd >= 0 && send(test->own.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		g_debug("lifetime: a question did not leave");
}

static void
knock(Test *test)
{
	guint8 msg[NAT_STUN_MAX];
	gsize len = nat_stun_build_request_to_port(msg, sizeof msg, test->id,
						   wg_endpoint_port(&test->mapped));

	if (test->knocker.fd >= 0 &&
	    send(test->knocker.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		g_debug("lifetime: a knock did not leave");
}

static void
send_again(Test *test)
{
	switch (test->state) {
	case ASK:
		/* the next server, from a fresh port */
		test->server = test->tries % test->probe->n_servers;
		socket_open(&test->own, test->probe, server_of(test), on_own, test);
		ask(test);
		break;
	case ASK_AGAIN:
	case CONFIRM:
	case FINAL_ASK:
		ask(test);
		break;
	case KNOCK:
	case FINAL_KNOCK:
		knock(test);
		break;
	case SETTLE:
	case SILENT:
		break;
	}
	test->tries++;
	wait_ms(test, RETRY_MS);
}

static void
question(Test *test, State state)
{
	test->state = state;
	test->tries = 0;
	randombytes_buf(test->id, sizeof test->id);
	if (state == KNOCK || state == FINAL_KNOCK)
		socket_open(&test->knocker, test->probe, server_of(test), on_knocker, test);
	send_again(test);
}

static void
be_silent(Test *test, gboolean knocks)
{
	test->knocks = knocks;
	socket_close(&test->knocker);
	if (!knocks && test->port_kept) {
		conclude(test, NAT_LIFETIME_UNDECIDED);
		return;
	}
	test->state = SILENT;
	wait_ms(test, test->silence_ms);
}

/* ---- events ---- */

static void
unanswered(Test *test)
{
	switch (test->state) {
	case ASK:
	case ASK_AGAIN:
	case CONFIRM:
	case FINAL_ASK:
		conclude(test, NAT_LIFETIME_UNDECIDED);
		break;
	case KNOCK:
		be_silent(test, FALSE);
		break;
	case FINAL_KNOCK:
		question(test, CONFIRM);
		break;
	case SETTLE:
	case SILENT:
		break;
	}
}

static gboolean
on_timer(gpointer user_data)
{
	Test *test = user_data;

	test->timer = 0;
	if (test->state == SETTLE)
		question(test, ASK_AGAIN);
	else if (test->state == SILENT)
		question(test, test->knocks ? FINAL_KNOCK : FINAL_ASK);
	else if (test->tries < (test->state == ASK ? TRIES_FIRST : TRIES))
		send_again(test);
	else
		unanswered(test);
	return G_SOURCE_REMOVE;
}

static void
mapped_first(Test *test, const WgEndpoint *mapped)
{
	test->mapped = *mapped;
	test->port_kept = wg_endpoint_port(mapped) == local_port(&test->own);
	test->state = SETTLE;
	wait_ms(test, test->probe->settle_ms);
}

/* Our question was answered on the socket under test. */
static void
answered(Test *test, const WgEndpoint *mapped)
{
	gboolean same = wg_endpoint_equal(mapped, &test->mapped);

	switch (test->state) {
	case ASK:
		mapped_first(test, mapped);
		break;
	case ASK_AGAIN:
		if (same)
			question(test, KNOCK);
		else
			conclude(test, NAT_LIFETIME_UNDECIDED); /* it keeps none at all */
		break;
	case KNOCK:
		be_silent(test, TRUE);
		break;
	case FINAL_KNOCK:
		conclude(test, NAT_LIFETIME_HELD);
		break;
	case CONFIRM:
		conclude(test, NAT_LIFETIME_LOST);
		break;
	case FINAL_ASK:
		conclude(test, same ? NAT_LIFETIME_HELD : NAT_LIFETIME_LOST);
		break;
	case SETTLE:
	case SILENT:
		break;
	}
}

static gboolean
on_own(int fd, GIOCondition condition, gpointer user_data)
{
	Test *test = user_data;
	NatStun stun;

	if (!socket_read(fd, &stun) || memcmp(stun.id, test->id, sizeof test->id) != 0 ||
	    stun.klass != NAT_STUN_SUCCESS || !wg_endpoint_is_set(&stun.mapped))
		return G_SOURCE_CONTINUE;
	answered(test, &stun.mapped);
	return G_SOURCE_CONTINUE; /* also of a source that is gone by now */
}

/* An answer to the knocking socket itself: the server does not know RESPONSE-PORT. */
static gboolean
on_knocker(int fd, GIOCondition condition, gpointer user_data)
{
	Test *test = user_data;
	NatStun stun;

	if (!socket_read(fd, &stun) || memcmp(stun.id, test->id, sizeof test->id) != 0)
		return G_SOURCE_CONTINUE;
	if (test->state == KNOCK)
		be_silent(test, FALSE);
	else if (test->state == FINAL_KNOCK)
		conclude(test, NAT_LIFETIME_UNDECIDED); /* it did a moment ago */
	return G_SOURCE_CONTINUE;
}

/* ---- life ---- */

static gboolean
begin(gpointer user_data)
{
	Test *test = user_data;

	test->timer = 0;
	if (test->probe->n_servers == 0)
		conclude(test, NAT_LIFETIME_UNDECIDED);
	else
		question(test, ASK);
	return G_SOURCE_REMOVE;
}

static void
add_test(NatLifetimeProbe *probe, guint silence_ms)
{
	Test *test = g_new0(Test, 1);

	test->probe = probe;
	test->silence_ms = silence_ms;
	test->own.fd = test->knocker.fd = -1;
	test->timer = g_idle_add(begin, test);
	g_ptr_array_add(probe->tests, test);
}

NatLifetimeProbe *
nat_lifetime_probe_new(const WgEndpoint *servers, gsize n_servers, guint32 fwmark,
		       const NatLifetimeProbeTimes *times, NatLifetimeProbeFunc func,
		       gpointer user_data)
{
	NatLifetimeProbe *probe = g_new0(NatLifetimeProbe, 1);

	if (times == NULL)
		times = &DEFAULT_TIMES;
	probe->n_servers = MIN(n_servers, NAT_LIFETIME_PROBE_SERVERS);
	if (probe->n_servers > 0)
		memcpy(probe->servers, servers, probe->n_servers * sizeof *servers);
	probe->fwmark = fwmark;
	probe->settle_ms = times->settle_ms;
	probe->func = func;
	probe->user_data = user_data;
	probe->tests = g_ptr_array_new_with_free_func(test_free);
	for (gsize i = 0; i < MIN(times->n, NAT_LIFETIME_PROBE_SILENCES); i++)
		add_test(probe, times->silences_ms[i]);
	return probe;
}

void
nat_lifetime_probe_free(NatLifetimeProbe *probe)
{
	if (probe == NULL)
		return;
	g_ptr_array_unref(probe->tests);
	g_free(probe);
}
