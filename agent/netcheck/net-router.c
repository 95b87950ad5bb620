/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-router.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netcheck/net-portmap.h"
#include "agent/netcheck/net-stun.h"

#define PATIENCE_MS 2000 /* SSDP's answers may take MX, a second */
#define SENDS 3		 /* at once, after 250 ms and after 750 (RFC 6886 §3.1) */
#define RTO_MS 250
#define KINDS 3
#define DRAIN_MAX 64 /* datagrams at once: a flood does not keep us */

typedef struct {
	int fd;
	WgEndpoint to, group; /* group: where SSDP asks everybody, too */
	NetAnswer *answer;
	gboolean done;
} Question;

typedef struct {
	NetRouter *router;
	Question questions[KINDS]; /* by NetPortmapKind */
} Asking;

/* ---- sockets ---- */

/* Unconnected for SSDP, whose answers may come from another port than the one that was asked. */
static void
question_open(Question *q, NetPortmapKind kind, const WgEndpoint *gateway, guint16 port, int index)
{
	struct ip_mreqn by = {.imr_ifindex = index};
	int ttl = 2;

	q->fd = -1;
	if (port == 0)
		return;
	q->to = *gateway;
	wg_endpoint_set_port(&q->to, port);
	q->fd = net_stun_open(wg_endpoint_family(gateway));
	if (q->fd < 0)
		return;
	if (kind != NET_PORTMAP_UPNP) {
		if (connect(q->fd, &q->to.sa, wg_endpoint_socklen(&q->to)) == 0)
			return;
		close(q->fd);
		q->fd = -1;
		return;
	}
	if (wg_endpoint_parse_address(NET_PORTMAP_SSDP_GROUP, port, &q->group) &&
	    (setsockopt(q->fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) < 0 ||
	     setsockopt(q->fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) < 0))
		memset(&q->group, 0, sizeof q->group);
}

static gboolean
send_one(const Question *q, NetPortmapKind kind, const WgEndpoint *to)
{
	guint8 buf[NET_PORTMAP_REQUEST_MAX];
	WgEndpoint own = {0};
	gsize len;

	if (!wg_endpoint_is_set(to))
		return FALSE;
	net_stun_source(&q->to, &own);
	len = net_portmap_request(kind, &own, to, buf);
	return sendto(q->fd, buf, len, MSG_NOSIGNAL, &to->sa, wg_endpoint_socklen(to)) >= 0;
}

static void
send_all(Asking *asking)
{
	for (gsize kind = 0; kind < KINDS; kind++) {
		Question *q = &asking->questions[kind];
		gboolean left;

		if (q->fd < 0 || q->done)
			continue;
		left = send_one(q, (NetPortmapKind)kind, &q->to);
		if (kind == NET_PORTMAP_UPNP)
			left |= send_one(q, (NetPortmapKind)kind, &q->group);
		/* what did not leave was not asked: it stays unknown */
		if (left)
			*q->answer = NET_NO;
	}
}

/* ---- answers ---- */

static void
take(Asking *asking, NetPortmapKind kind, const NetPortmapAnswer *answer)
{
	NetRouter *router = asking->router;
	Question *q = &asking->questions[kind];

	q->done = TRUE;
	if (answer->kind != kind)
		return; /* it says that it has the other protocol only */
	*q->answer = NET_YES;
	switch (kind) {
	case NET_PORTMAP_PMP:
		router->pmp_code = answer->code;
		router->external = answer->external;
		break;
	case NET_PORTMAP_PCP:
		router->pcp_code = answer->code;
		break;
	case NET_PORTMAP_UPNP:
		router->upnp_host = answer->host[0] ? g_strdup(answer->host) : NULL;
		break;
	}
}

static void
read_answers(Asking *asking, NetPortmapKind kind)
{
	Question *q = &asking->questions[kind];

	for (guint i = 0; i < DRAIN_MAX && !q->done; i++) {
		guint8 buf[NET_PORTMAP_ANSWER_MAX];
		struct sockaddr_storage sa;
		socklen_t sa_len = sizeof sa;
		NetPortmapAnswer answer;
		WgEndpoint from;
		ssize_t len = recvfrom(q->fd, buf, sizeof buf, MSG_TRUNC, (struct sockaddr *)&sa,
				       &sa_len);

		if (len < 0 && errno == ECONNREFUSED && kind != NET_PORTMAP_UPNP)
			q->done = TRUE; /* nothing listens there */
		if (len < 0)
			return;
		if (len <= (ssize_t)sizeof buf && wg_endpoint_from_sockaddr(&from, &sa, sa_len) &&
		    wg_endpoint_same_address(&from, &q->to) &&
		    net_portmap_parse(buf, (gsize)len, kind == NET_PORTMAP_UPNP, &answer))
			take(asking, kind, &answer);
	}
}

/* FALSE: nothing is left to wait for. */
static gboolean
listen_until(Asking *asking, gint64 until)
{
	for (;;) {
		struct pollfd fds[KINDS];
		gint64 left = until - net_stun_now_ms();
		gsize waiting = 0;

		for (gsize i = 0; i < KINDS; i++) {
			const Question *q = &asking->questions[i];

			fds[i] = (struct pollfd){q->done ? -1 : q->fd, POLLIN, 0};
			waiting += fds[i].fd >= 0;
		}
		if (waiting == 0)
			return FALSE;
		if (left <= 0 || poll(fds, KINDS, (int)left) <= 0)
			return TRUE;
		for (gsize i = 0; i < KINDS; i++)
			if (fds[i].revents != 0)
				read_answers(asking, (NetPortmapKind)i);
	}
}

void
net_router_ask_at(NetRouter *router, int index, guint16 port, guint16 ssdp_port)
{
	Asking asking = {.router = router};
	NetAnswer *answers[KINDS] = {&router->pmp, &router->pcp, &router->upnp};
	gboolean v4 = wg_endpoint_family(&router->gateway) == AF_INET;
	const guint16 ports[KINDS] = {v4 ? port : 0, port, v4 ? ssdp_port : 0};
	gint64 began = net_stun_now_ms(), due = began;

	for (gsize i = 0; i < KINDS; i++) {
		asking.questions[i].answer = answers[i];
		question_open(&asking.questions[i], (NetPortmapKind)i, &router->gateway, ports[i],
			      index);
	}
	for (guint i = 0; i < SENDS; i++) {
		send_all(&asking);
		due += (gint64)RTO_MS << i;
		if (!listen_until(&asking, i + 1 == SENDS ? began + PATIENCE_MS : due))
			break;
	}
	for (gsize i = 0; i < KINDS; i++)
		if (asking.questions[i].fd >= 0)
			close(asking.questions[i].fd);
}

void
net_router_ask(NetRouter *router, int index)
{
	net_router_ask_at(router, index, NET_PORTMAP_PORT, NET_PORTMAP_SSDP_PORT);
}
