/* SPDX-License-Identifier: MIT */
/*
 * libnice in the ICE namespace: a NiceAgent that is given an address and the port range Q,Q gathers
 * exactly that host candidate, without asking anyone, and its checks come out of the TUN as
 * A:Q → R. The whole of DESIGN §2 stands on this.
 */
#include "agent/ice/nat-ice-ns.h"
#include "agent/mux/nat-stun.h"
#include "agent/net/nat-packet.h"
#include "tests/platform/prove.h"

#include <nice/agent.h>

#define Q 30001
#define UFRAG "abcdefgh"
#define PWD "abcdefghijklmnopqrstuvwx"

typedef struct {
	NatIceNs *ns;
	const char *local, *remote;
	NiceAgent *agent;
	guint stream;
	GAsyncQueue
		*gathered; /* of "ADDRESS:PORT" or "[ADDRESS]:PORT", all candidates in one line */
} Run;

static void
on_recv(NiceAgent *agent, guint stream, guint component, guint len, char *buf, gpointer data)
{
}

static void
on_gathered(NiceAgent *agent, guint stream, gpointer data)
{
	Run *run = data;
	GSList *all = nice_agent_get_local_candidates(agent, stream, 1);
	GString *line = g_string_new(NULL);

	for (GSList *l = all; l; l = l->next) {
		const NiceCandidate *c = l->data;
		char text[NICE_ADDRESS_STRING_LEN];

		nice_address_to_string(&c->addr, text);
		g_string_append_printf(line, "%d %s %u;", c->type, text,
				       nice_address_get_port(&c->addr));
	}
	g_slist_free_full(all, (GDestroyNotify)nice_candidate_free);
	g_async_queue_push(run->gathered, g_string_free(line, FALSE));
}

static void
start_agent(gpointer data)
{
	Run *run = data;
	NiceAddress addr;

	run->agent = nice_agent_new_full(nat_ice_ns_context(run->ns), NICE_COMPATIBILITY_RFC5245,
					 NICE_AGENT_OPTION_NONE);
	g_object_set(run->agent, "upnp", FALSE, "ice-tcp", FALSE, "controlling-mode", TRUE, NULL);
	nice_address_init(&addr);
	nice_address_set_from_string(&addr, run->local);
	nice_agent_add_local_address(run->agent, &addr);
	g_signal_connect(run->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), run);
	run->stream = nice_agent_add_stream(run->agent, 1);
	nice_agent_set_port_range(run->agent, run->stream, 1, Q, Q);
	nice_agent_set_local_credentials(run->agent, run->stream, UFRAG, PWD);
	nice_agent_attach_recv(run->agent, run->stream, 1, nat_ice_ns_context(run->ns), on_recv,
			       NULL);
	if (!nice_agent_gather_candidates(run->agent, run->stream))
		g_async_queue_push(run->gathered, g_strdup("gathering failed"));
}

static void
add_remote(gpointer data)
{
	Run *run = data;
	NiceCandidate *c = nice_candidate_new(NICE_CANDIDATE_TYPE_HOST);
	g_autoptr(GSList) list = g_slist_prepend(NULL, c);
	WgEndpoint remote = net_ep(run->remote);

	nice_address_set_from_sockaddr(&c->addr, &remote.sa);
	c->transport = NICE_CANDIDATE_TRANSPORT_UDP;
	c->component_id = 1;
	c->stream_id = run->stream;
	g_strlcpy(c->foundation, "1", sizeof c->foundation);
	nice_agent_set_remote_credentials(run->agent, run->stream, "remoteUfrag", PWD);
	nice_agent_set_remote_candidates(run->agent, run->stream, 1, list);
	nice_candidate_free(c);
}

static void
stop_agent(gpointer data)
{
	Run *run = data;

	g_clear_object(&run->agent);
	g_async_queue_push(run->gathered, g_strdup("")); /* nothing touches run any more */
}

static gboolean
check_comes_out(const Run *run, const char *own)
{
	WgEndpoint src = net_ep(own), dst = net_ep(run->remote);
	guint8 buf[NAT_PACKET_MAX];
	char ufrag[64] = "";
	NatStun stun;
	NatUdp udp;
	gssize len = net_recv(nat_ice_ns_tun_fd(run->ns), buf, sizeof buf, 30000, NULL);

	return len > 0 && nat_packet_parse_ip(buf, (gsize)len, &udp) &&
	       wg_endpoint_equal(&udp.src, &src) && wg_endpoint_equal(&udp.dst, &dst) &&
	       nat_stun_parse(udp.payload, udp.len, &stun) && stun.klass == NAT_STUN_REQUEST &&
	       nat_stun_check_integrity(udp.payload, udp.len, PWD) &&
	       nat_stun_receiver_ufrag(&stun, ufrag, sizeof ufrag) &&
	       strcmp(ufrag, "remoteUfrag") == 0;
}

static gboolean
prove_family(NatIceNs *ns, const char *local, const char *own, const char *remote)
{
	Run run = {.ns = ns, .local = local, .remote = remote};
	g_autofree char *expected =
		g_strdup_printf("%d %s %d;", NICE_CANDIDATE_TYPE_HOST, local, Q);
	g_autofree char *line = NULL;
	gint64 began = g_get_monotonic_time();
	gboolean ok;

	run.gathered = g_async_queue_new();
	nat_ice_ns_invoke(ns, start_agent, &run, NULL);
	line = g_async_queue_timeout_pop(run.gathered, 30 * G_USEC_PER_SEC);
	if (!line)
		line = g_strdup("no answer");
	ok = prove(strcmp(line, expected) == 0, "%s: one host candidate, port %d (%s)", local, Q,
		   line);
	ok &= prove(g_get_monotonic_time() - began < 4 * G_USEC_PER_SEC,
		    "%s: gathering waits for nobody", local);
	nat_ice_ns_invoke(ns, add_remote, &run, NULL);
	ok &= prove(check_comes_out(&run, own), "%s: the check comes out of the TUN as %s → %s",
		    local, own, remote);
	nat_ice_ns_invoke(ns, stop_agent, &run, NULL);
	while (*line) {
		g_free(line);
		line = g_async_queue_pop(run.gathered);
	}
	g_async_queue_unref(run.gathered);
	return ok;
}

int
main(void)
{
	g_autoptr(NatIceNs) ns = NULL;
	g_autoptr(GError) error = NULL;
	WgEndpoint addrs[2] = {net_ep("192.0.2.1"), net_ep("2001:db8::1")};
	gboolean ok;

	prove_in_fresh_namespace();
	ns = nat_ice_ns_new(&error);
	if (!ns || !nat_ice_ns_set_addresses(ns, addrs, 2, &error))
		return prove(FALSE, "the namespace: %s", error->message);
	ok = prove_family(ns, "192.0.2.1", "192.0.2.1:30001", "203.0.113.9:51820");
	ok &= prove_family(ns, "2001:db8::1", "[2001:db8::1]:30001", "[2001:db8:9::9]:51820");
	return ok ? 0 : 1;
}
