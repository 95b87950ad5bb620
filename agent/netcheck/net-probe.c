/* SPDX-License-Identifier: MIT */
/*
 * What may disturb another test comes first and alone: mapping, then ports, each question after the
 * answer to the last, so that the order in which the NAT saw them is known. What waits for
 * answers that may not come (filter, hairpin) and the path's MTU then go on side by side.
 */
#include "agent/netcheck/net-probe.h"

#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netcheck/net-mtu.h"
#include "agent/netcheck/net-stun.h"
#include "agent/probe/nat-class-test.h"
#include "agent/probe/nat-stun-probe.h"

#define PATIENCE_MS 1200
#define FILTER_PATIENCE_MS 700
#define HAIRPIN_MS 200
#define HAIRPIN_SENDS 3
#define PORT_TESTS 10
#define ANSWERS_MAX (NET_PROBE_SERVERS + 3)

typedef struct {
	int af, fd; /* fd: the socket whose mapping is known */
	const WgEndpoint *server;
	WgEndpoint tester, other; /* a server of RFC 5780 and its other address; unset: none */
	NetFamily *family;
} Probe;

typedef struct {
	NatStunAnswer list[ANSWERS_MAX];
	gsize n;
} Answers;

/* ---- mapping ---- */

static gboolean
ask(const Probe *probe, const WgEndpoint *server, Answers *answers, NetReply *reply)
{
	if (answers->n == ANSWERS_MAX ||
	    net_stun_ask(probe->fd, server, 0, PATIENCE_MS, reply) != 0)
		return FALSE;
	answers->list[answers->n++] = (NatStunAnswer){*server, reply->mapped};
	return TRUE;
}

static void
ask_alternates(const Probe *probe, Answers *answers)
{
	WgEndpoint to = probe->other;
	NetReply reply;

	wg_endpoint_set_port(&to, wg_endpoint_port(&probe->tester));
	ask(probe, &to, answers, &reply);
	ask(probe, &probe->other, answers, &reply);
	to = probe->tester;
	wg_endpoint_set_port(&to, wg_endpoint_port(&probe->other));
	ask(probe, &to, answers, &reply);
}

/* What one port became towards each destination, once each. */
static NatAllocation
ports_by_destination(const Answers *answers, guint16 local)
{
	guint16 inside[ANSWERS_MAX], outside[ANSWERS_MAX];
	gsize n = 0;

	for (gsize i = 0; i < answers->n; i++) {
		gboolean again = FALSE;

		for (gsize j = 0; j < i; j++)
			again |= wg_endpoint_equal(&answers->list[i].server,
						   &answers->list[j].server);
		if (again)
			continue;
		inside[n] = local;
		outside[n++] = wg_endpoint_port(&answers->list[i].mapped);
	}
	return nat_ports_classify(inside, outside, n);
}

/* Several servers, or one with several addresses, show whether a mapping serves all destinations.
 */
static gboolean
test_mapping(Probe *probe, const WgEndpoint *servers, gsize n)
{
	NetFamily *family = probe->family;
	Answers answers = {.n = 0};
	WgEndpoint local;

	for (gsize i = 0; i < n; i++) {
		NetReply reply;

		if (!ask(probe, &servers[i], &answers, &reply))
			continue;
		if (!probe->server) {
			probe->server = &servers[i];
			family->public_endpoint = reply.mapped;
		}
		if (!wg_endpoint_is_set(&probe->tester) &&
		    nat_class_may_ask(&servers[i], &reply.other)) {
			probe->tester = servers[i];
			probe->other = reply.other;
		}
	}
	if (answers.n == 0)
		return FALSE;
	if (wg_endpoint_is_set(&probe->tester))
		ask_alternates(probe, &answers);
	local = family->source;
	wg_endpoint_set_port(&local, net_stun_local_port(probe->fd));
	family->mapping = nat_stun_classify(&local, answers.list, answers.n);
	if (nat_mapping_is_hard(family->mapping))
		family->by_destination = ports_by_destination(&answers, wg_endpoint_port(&local));
	return TRUE;
}

/* ---- ports ---- */

static void
test_ports(const Probe *probe)
{
	guint16 inside[PORT_TESTS], outside[PORT_TESTS];
	int fds[PORT_TESTS];
	gsize n = 0, opened = 0;

	for (gsize i = 0; i < PORT_TESTS; i++) {
		NetReply reply;

		fds[opened] = net_stun_open(probe->af);
		if (fds[opened] < 0)
			break;
		if (net_stun_ask(fds[opened++], probe->server, 0, PATIENCE_MS, &reply) != 0)
			break; /* it answered a moment ago: what is missing tells nothing */
		inside[n] = net_stun_local_port(fds[opened - 1]);
		outside[n++] = wg_endpoint_port(&reply.mapped);
	}
	while (opened > 0)
		close(fds[--opened]);
	probe->family->by_source = nat_ports_classify(inside, outside, n);
}

/* ---- side by side ---- */

/* From a socket of its own, which has sent to nobody else. */
static gpointer
test_filter(gpointer data)
{
	const Probe *probe = data;
	const guint both = NAT_STUN_CHANGE_IP | NAT_STUN_CHANGE_PORT;
	int fd = net_stun_open(probe->af);
	NatFiltering filter = NAT_FILTERING_UNKNOWN;
	NetReply reply;

	if (fd < 0)
		return NULL;
	if (net_stun_ask(fd, &probe->tester, 0, PATIENCE_MS, &reply) == 0) {
		filter = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
		if (net_stun_ask(fd, &probe->tester, both, FILTER_PATIENCE_MS, &reply) == 0)
			filter = NAT_FILTERING_ENDPOINT_INDEPENDENT;
		else if (net_stun_ask(fd, &probe->tester, NAT_STUN_CHANGE_PORT, FILTER_PATIENCE_MS,
				      &reply) == 0)
			filter = NAT_FILTERING_ADDRESS_DEPENDENT;
	}
	close(fd);
	probe->family->filter = filter;
	return NULL;
}

/* A packet from inside to our own outside address. */
static gpointer
test_hairpin(gpointer data)
{
	const Probe *probe = data;
	const WgEndpoint *mapped = &probe->family->public_endpoint;
	guint8 buf[64], id[NAT_STUN_ID_LEN];
	int other = net_stun_open(probe->af);
	gboolean came = FALSE;
	gsize len;

	if (other < 0)
		return NULL;
	if (wg_endpoint_is_bogus(mapped)) {
		close(other);
		return NULL;
	}
	randombytes_buf(id, sizeof id);
	len = nat_stun_build_request(buf, sizeof buf, id, NULL, NULL);
	for (guint i = 0; i < HAIRPIN_SENDS && !came; i++) {
		if (sendto(other, buf, len, MSG_NOSIGNAL, &mapped->sa,
			   wg_endpoint_socklen(mapped)) < 0)
			break;
		came = net_stun_hear(probe->fd, id, HAIRPIN_MS);
	}
	close(other);
	probe->family->hairpin = came ? NET_YES : NET_NO;
	return NULL;
}

/* Threads write different members of the family. */
static void
test_rest(Probe *probe)
{
	GThread *filter = NULL, *hairpin = NULL;

	if (wg_endpoint_is_set(&probe->tester))
		filter = g_thread_new("netcheck-filter", test_filter, probe);
	if (probe->family->mapping != NAT_MAPPING_NONE)
		hairpin = g_thread_new("netcheck-hairpin", test_hairpin, probe);
	net_mtu_probe(probe->server, probe->family);
	if (filter)
		g_thread_join(filter);
	if (hairpin)
		g_thread_join(hairpin);
}

void
net_probe_family(int af, const WgEndpoint *servers, gsize n, NetFamily *family)
{
	Probe probe = {.af = af, .family = family};

	n = MIN(n, NET_PROBE_SERVERS);
	if (n == 0 || !net_stun_source(&servers[0], &family->source))
		return;
	probe.fd = net_stun_open(af);
	if (probe.fd < 0)
		return;
	if (test_mapping(&probe, servers, n)) {
		test_ports(&probe);
		test_rest(&probe);
	}
	close(probe.fd);
}
