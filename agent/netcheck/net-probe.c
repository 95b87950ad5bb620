/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-probe.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/nat-stun-probe.h"
#include "agent/nat-stun.h"

#define PATIENCE_MS 1200
#define FILTER_PATIENCE_MS 700
#define RTO_MS 150 /* then twice that, and so on */
#define SENDS 4
#define PORT_TESTS 6

typedef struct {
	WgEndpoint mapped, other;
	double ms;
} Reply;

static gint64
now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static int
open_socket(int af)
{
	WgEndpoint any = {.sa.sa_family = (sa_family_t)af};
	int fd = socket(af, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -1;
	if (af == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, &any.sa, wg_endpoint_socklen(&any)) == 0)
		return fd;
	close(fd);
	return -1;
}

static guint16
local_port(int fd)
{
	WgEndpoint ep = {0};
	socklen_t len = sizeof ep;

	return getsockname(fd, &ep.sa, &len) == 0 ? wg_endpoint_port(&ep) : 0;
}

/* The address that leads there. */
static gboolean
source_for(const WgEndpoint *to, WgEndpoint *out)
{
	WgEndpoint ep = {0};
	socklen_t len = sizeof ep;
	int fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	gboolean ok = fd >= 0 && connect(fd, &to->sa, wg_endpoint_socklen(to)) == 0 &&
		      getsockname(fd, &ep.sa, &len) == 0 &&
		      wg_endpoint_from_sockaddr(out, &ep, len) && !wg_endpoint_is_wildcard(out);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* What comes for the transaction, from wherever it comes. */
static gboolean
receive(int fd, const guint8 id[NAT_STUN_ID_LEN], gint64 until, gboolean request, Reply *out)
{
	for (;;) {
		guint8 buf[2048];
		struct pollfd p = {fd, POLLIN, 0};
		gint64 left = until - now_ms();
		NatStun stun;
		ssize_t len;

		if (left < 0 || poll(&p, 1, (int)left) <= 0)
			return FALSE;
		len = recv(fd, buf, sizeof buf, 0);
		if (len < 0 || !nat_stun_parse(buf, (gsize)len, &stun) ||
		    memcmp(stun.id, id, NAT_STUN_ID_LEN) != 0)
			continue;
		if (request)
			return stun.klass == NAT_STUN_REQUEST;
		if (stun.klass != NAT_STUN_SUCCESS)
			return FALSE;
		out->mapped = stun.mapped;
		out->other = stun.other;
		return wg_endpoint_is_set(&stun.mapped);
	}
}

/* change: NAT_STUN_CHANGE_* bits, 0: a plain request. */
static gboolean
ask(int fd, const WgEndpoint *to, guint change, int patience_ms, Reply *out)
{
	guint8 buf[NAT_STUN_DISCOVER_MAX], id[NAT_STUN_ID_LEN];
	gint64 began = now_ms(), due = began;
	gsize len;

	randombytes_buf(id, sizeof id);
	len = nat_stun_build_request_discover(buf, sizeof buf, id, change);
	for (guint i = 0; i < SENDS && now_ms() < began + patience_ms; i++) {
		due += (gint64)RTO_MS << i;
		if (sendto(fd, buf, len, 0, &to->sa, wg_endpoint_socklen(to)) < 0 &&
		    errno != EAGAIN && errno != ECONNREFUSED)
			return FALSE;
		if (receive(fd, id,
			    i + 1 == SENDS ? began + patience_ms : MIN(due, began + patience_ms),
			    FALSE, out)) {
			out->ms = (double)(now_ms() - began);
			return TRUE;
		}
	}
	return FALSE;
}

/* ---- the tests ---- */

static void
add_answer(NatStunAnswer *answers, gsize *n, int fd, const WgEndpoint *server)
{
	Reply reply;

	if (*n < NET_PROBE_SERVERS + 3 && ask(fd, server, 0, PATIENCE_MS, &reply))
		answers[(*n)++] = (NatStunAnswer){*server, reply.mapped};
}

/* Several servers, or one with several addresses, show whether a mapping serves all destinations.
 */
static void
test_mapping(int fd, const WgEndpoint *servers, gsize n, NetFamily *family, double *rtt_ms,
	     WgEndpoint *tester, WgEndpoint *other)
{
	NatStunAnswer answers[NET_PROBE_SERVERS + 3];
	WgEndpoint local, alternate;
	gsize n_answers = 0;

	for (gsize i = 0; i < n; i++) {
		Reply reply;

		rtt_ms[i] = -1;
		if (!ask(fd, &servers[i], 0, PATIENCE_MS, &reply))
			continue;
		rtt_ms[i] = reply.ms;
		if (family->answered++ == 0)
			family->public_endpoint = reply.mapped;
		if (family->rtt_ms < 0 || reply.ms < family->rtt_ms)
			family->rtt_ms = reply.ms;
		answers[n_answers++] = (NatStunAnswer){servers[i], reply.mapped};
		if (!wg_endpoint_is_set(tester) && wg_endpoint_is_set(&reply.other) &&
		    !wg_endpoint_same_address(&reply.other, &servers[i])) {
			*tester = servers[i];
			*other = reply.other;
		}
	}
	if (n_answers == 0)
		return;
	if (wg_endpoint_is_set(tester)) {
		alternate = *other;
		wg_endpoint_set_port(&alternate, wg_endpoint_port(tester));
		add_answer(answers, &n_answers, fd, &alternate);
		add_answer(answers, &n_answers, fd, other);
		alternate = *tester;
		wg_endpoint_set_port(&alternate, wg_endpoint_port(other));
		add_answer(answers, &n_answers, fd, &alternate);
	}
	local = family->source;
	wg_endpoint_set_port(&local, local_port(fd));
	family->mapping = nat_stun_classify(&local, answers, n_answers);
}

/* From a socket of its own, which has sent to nobody else. */
static NetFilter
test_filter(int af, const WgEndpoint *tester)
{
	int fd = open_socket(af);
	NetFilter filter = NET_FILTER_UNKNOWN;
	Reply reply;

	if (fd < 0)
		return filter;
	if (ask(fd, tester, 0, PATIENCE_MS, &reply)) {
		if (ask(fd, tester, NAT_STUN_CHANGE_IP | NAT_STUN_CHANGE_PORT, FILTER_PATIENCE_MS,
			&reply))
			filter = NET_FILTER_ENDPOINT_INDEPENDENT;
		else if (ask(fd, tester, NAT_STUN_CHANGE_PORT, FILTER_PATIENCE_MS, &reply))
			filter = NET_FILTER_ADDRESS_DEPENDENT;
		else
			filter = NET_FILTER_ADDRESS_AND_PORT_DEPENDENT;
	}
	close(fd);
	return filter;
}

static void
test_ports(int af, const WgEndpoint *server, NetFamily *family)
{
	guint16 inside[PORT_TESTS], outside[PORT_TESTS];
	int fds[PORT_TESTS];
	gsize n = 0, opened = 0;

	for (gsize i = 0; i < PORT_TESTS; i++) {
		Reply reply;

		fds[opened] = open_socket(af);
		if (fds[opened] < 0)
			break;
		if (ask(fds[opened++], server, 0, PATIENCE_MS, &reply)) {
			inside[n] = local_port(fds[opened - 1]);
			outside[n++] = wg_endpoint_port(&reply.mapped);
		}
	}
	while (opened > 0)
		close(fds[--opened]);
	family->ports = net_ports_classify(inside, outside, n, &family->step);
}

/* A packet from inside to our own outside address. */
static NetAnswer
test_hairpin(int fd, int af, const WgEndpoint *mapped)
{
	guint8 buf[64], id[NAT_STUN_ID_LEN];
	int other = open_socket(af);
	gboolean came = FALSE;
	Reply unused;
	gsize len;

	if (other < 0)
		return NET_UNKNOWN;
	randombytes_buf(id, sizeof id);
	len = nat_stun_build_request(buf, sizeof buf, id, NULL, NULL);
	for (guint i = 0; i < 3 && !came; i++) {
		if (sendto(other, buf, len, 0, &mapped->sa, wg_endpoint_socklen(mapped)) < 0)
			break;
		came = receive(fd, id, now_ms() + 200, TRUE, &unused);
	}
	close(other);
	return came ? NET_YES : NET_NO;
}

void
net_probe_family(int af, const WgEndpoint *servers, gsize n, NetFamily *family, double *rtt_ms)
{
	WgEndpoint tester = {0}, other = {0};
	int fd;

	n = MIN(n, NET_PROBE_SERVERS);
	family->servers = (guint)n;
	if (n == 0 || !family->has_address || !source_for(&servers[0], &family->source))
		return;
	fd = open_socket(af);
	if (fd < 0)
		return;
	test_mapping(fd, servers, n, family, rtt_ms, &tester, &other);
	if (wg_endpoint_is_set(&tester))
		family->filter = test_filter(af, &tester);
	for (gsize i = 0; i < n && family->answered > 0; i++) {
		if (rtt_ms[i] < 0)
			continue;
		test_ports(af, &servers[i], family);
		break;
	}
	if (family->answered > 0 && family->mapping != NAT_MAPPING_NONE)
		family->hairpin = test_hairpin(fd, af, &family->public_endpoint);
	close(fd);
}

double
net_probe_tcp(const WgEndpoint *to, int patience_ms, char **problem)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	gint64 began = now_ms();
	socklen_t len = sizeof error;

	*problem = NULL;
	if (fd < 0 ||
	    (connect(fd, &to->sa, wg_endpoint_socklen(to)) != 0 && errno != EINPROGRESS)) {
		error = errno;
	} else {
		struct pollfd p = {fd, POLLOUT, 0};

		if (poll(&p, 1, patience_ms) <= 0)
			error = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			error = errno;
	}
	if (fd >= 0)
		close(fd);
	if (error == 0)
		return (double)(now_ms() - began);
	*problem = g_strdup_printf("TCP: %s", g_strerror(error));
	return -1;
}
