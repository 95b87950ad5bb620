/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-run.h"

#include <netdb.h>
#include <string.h>

#include "agent/nat-config.h"
#include "agent/nat-fib.h"
#include "agent/nat-signal-url.h"
#include "agent/nat-turn-uri.h"
#include "agent/netcheck/net-probe.h"

#define TCP_PATIENCE_MS 3000
#define STUN_PORT 3478

/* A server with its addresses, until its tests are done. */
typedef struct {
	NetServer *row;
	WgEndpoint addrs[4];
	gsize n;
	gboolean udp; /* answers STUN */
} Target;

static void
resolve(Target *target, const char *host, guint16 port)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *list = NULL;
	int error = getaddrinfo(host, NULL, &hints, &list);

	if (error != 0) {
		target->row->problem =
			g_strdup_printf("the name leads nowhere: %s", gai_strerror(error));
		return;
	}
	for (struct addrinfo *ai = list; ai != NULL && target->n < G_N_ELEMENTS(target->addrs);
	     ai = ai->ai_next) {
		WgEndpoint ep;

		if (!wg_endpoint_from_sockaddr(&ep, ai->ai_addr, ai->ai_addrlen))
			continue;
		wg_endpoint_set_port(&ep, port);
		target->addrs[target->n++] = ep;
	}
	freeaddrinfo(list);
	if (target->n > 0)
		target->row->address = target->addrs[0];
}

static void
add_target(Netcheck *check, GArray *targets, const char *kind, const char *name, const char *host,
	   guint16 port, gboolean udp)
{
	Target target = {.row = netcheck_add_server(check, kind, name), .udp = udp};

	resolve(&target, host, port);
	g_array_append_val(targets, target);
}

static void
add_stun(Netcheck *check, GArray *targets, const char *const *stun)
{
	for (guint i = 0; stun && stun[i]; i++) {
		g_autofree char *host = NULL;
		guint16 port = STUN_PORT;

		if (nat_config_split_stun(stun[i], &host, &port, NULL))
			add_target(check, targets, "stun", stun[i], host, port, TRUE);
	}
}

static void
add_turn(Netcheck *check, GArray *targets, const char *const *turn)
{
	for (guint i = 0; turn && turn[i]; i++) {
		g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(turn[i], NULL);
		g_autofree char *name = uri ? nat_turn_uri_format(uri) : NULL;

		if (uri)
			add_target(check, targets, "turn", name, uri->host, uri->port,
				   uri->transport == NAT_TURN_UDP);
	}
}

/* The signaling server's machine may answer STUN as well. */
static void
add_signal(Netcheck *check, GArray *targets, const char *url)
{
	g_autoptr(GUri) uri = url ? g_uri_parse(url, G_URI_FLAGS_NONE, NULL) : NULL;
	g_autofree char *stun = NULL;
	int port;

	if (!uri)
		return;
	port = g_uri_get_port(uri);
	if (port < 0)
		port = g_str_has_prefix(url, "wss:") ? 443 : 80;
	add_target(check, targets, "signaling", url, g_uri_get_host(uri), (guint16)port, FALSE);
	stun = g_strdup_printf("%s:%d", g_uri_get_host(uri), STUN_PORT);
	add_target(check, targets, "stun", stun, g_uri_get_host(uri), STUN_PORT, TRUE);
}

static gboolean
leads_out(int af)
{
	WgEndpoint far;
	gboolean ok;
	int fd;

	if (!wg_endpoint_parse_address(af == AF_INET ? NAT_FIB_FAR_V4 : NAT_FIB_FAR_V6, STUN_PORT,
				       &far))
		return FALSE;
	fd = socket(af, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok = fd >= 0 && connect(fd, &far.sa, wg_endpoint_socklen(&far)) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static void
note_answer(Target *target, const WgEndpoint *address, double ms)
{
	if (ms < 0 || target->row->ok)
		return;
	target->row->ok = TRUE;
	target->row->address = *address;
	target->row->ms = ms;
}

static void
run_family(int af, GArray *targets, NetFamily *family)
{
	WgEndpoint servers[NET_PROBE_SERVERS];
	Target *of[NET_PROBE_SERVERS];
	double rtt_ms[NET_PROBE_SERVERS];
	gsize n = 0;

	family->has_address = leads_out(af);
	for (guint i = 0; i < targets->len; i++) {
		Target *target = &g_array_index(targets, Target, i);

		for (gsize j = 0; target->udp && j < target->n && n < NET_PROBE_SERVERS; j++) {
			if (wg_endpoint_family(&target->addrs[j]) != af)
				continue;
			of[n] = target;
			rtt_ms[n] = -1;
			servers[n++] = target->addrs[j];
		}
	}
	net_probe_family(af, servers, n, family, rtt_ms);
	for (gsize i = 0; i < n; i++)
		note_answer(of[i], &servers[i], rtt_ms[i]);
}

static void
run_tcp(Target *target)
{
	for (gsize i = 0; i < target->n && !target->row->ok; i++) {
		g_autofree char *problem = NULL;
		double ms = net_probe_tcp(&target->addrs[i], TCP_PATIENCE_MS, &problem);

		note_answer(target, &target->addrs[i], ms);
		if (ms < 0 && !target->row->problem)
			target->row->problem = g_steal_pointer(&problem);
	}
}

static void
finish(Target *target)
{
	if (target->row->ok)
		g_clear_pointer(&target->row->problem, g_free);
	else if (!target->row->problem)
		target->row->problem = g_strdup("no answer by UDP");
}

Netcheck *
net_run(const NetRunParams *params)
{
	Netcheck *check = netcheck_new();
	g_autoptr(GArray) targets = g_array_new(FALSE, TRUE, sizeof(Target));

	add_signal(check, targets, params->signal_url);
	add_stun(check, targets, params->stun);
	add_turn(check, targets, params->turn);
	run_family(AF_INET, targets, &check->v4);
	run_family(AF_INET6, targets, &check->v6);
	for (guint i = 0; i < targets->len; i++) {
		Target *target = &g_array_index(targets, Target, i);

		if (!target->udp)
			run_tcp(target);
		finish(target);
	}
	return check;
}
