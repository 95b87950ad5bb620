/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. NatIce is shared by two threads. `core` is touched only in the ICE thread,
 * the rest only in the host thread; both sides talk by closures attached to the other's
 * GMainContext, and each closure holds a reference. nat_ice_free() marks the host side closed, so
 * that events still on their way are dropped, and sends the core its end; the last reference frees
 * the memory.
 *
 * Settings follow DESIGN §2: no stun-server, aggressive nomination, consent freshness, no UPnP, no
 * ICE-TCP, explicit addresses and port (Q, Q), the caller's Ta, credentials of our own.
 */
#include "agent/ice/nat-ice.h"

#include <nice/agent.h>

#define MAX_CHECKS 100
/* RFC 8445 §5.1.2.1 type preferences. */
#define PREF_HOST 126
#define PREF_PRFLX 110
#define PREF_SRFLX 100
#define PREF_RELAY 0

typedef struct {
	NiceAgent *agent; /* NULL: its sockets are not bound */
	guint stream;
	GSList *early; /* of NiceCandidate: remote ones that came before */
} Core;

struct NatIce {
	gint refs; /* atomic */
	NatIceNs *ns;
	GMainContext *host;
	/* host thread */
	NatIceFuncs funcs;
	gpointer user_data;
	gboolean closed;
	/* ICE thread */
	Core core;
	/* ICE thread; between `unbound` and the next try the host thread's */
	guint16 port;
	/* set before the first closure, then only read (ICE thread) */
	guint ta_ms;
	gboolean controlling;
	char *local_ufrag, *local_pwd, *remote_ufrag, *remote_pwd;
	GArray *addresses; /* of WgEndpoint, as libnice sees them */
};

typedef enum {
	EVENT_UNBOUND,
	EVENT_READY,
	EVENT_SELECTED,
	EVENT_FAILED,
} EventKind;

typedef struct {
	NatIce *ice;
	EventKind kind;
	WgEndpoint local;
	NatCandidate remote;
} Event;

typedef struct {
	NatIce *ice;
	gsize n;
	NatCandidate candidates[];
} Remote;

static NatIce *
ice_ref(NatIce *ice)
{
	g_atomic_int_inc(&ice->refs);
	return ice;
}

static void
ice_unref(gpointer data)
{
	NatIce *ice = data;

	if (!g_atomic_int_dec_and_test(&ice->refs))
		return;
	g_main_context_unref(ice->host);
	g_free(ice->local_ufrag);
	g_free(ice->local_pwd);
	g_free(ice->remote_ufrag);
	g_free(ice->remote_pwd);
	g_array_unref(ice->addresses);
	g_free(ice);
}

static void
to_nice_address(const WgEndpoint *ep, NiceAddress *out)
{
	nice_address_init(out);
	nice_address_set_from_sockaddr(out, &ep->sa);
}

static void
from_nice_address(const NiceAddress *addr, WgEndpoint *out)
{
	struct sockaddr_storage ss = {0};

	nice_address_copy_to_sockaddr(addr, (struct sockaddr *)&ss);
	wg_endpoint_from_sockaddr(out, &ss, sizeof ss);
}

/* ---- events: ICE thread → host thread ---- */

static gboolean
event_dispatch(gpointer data)
{
	Event *event = data;
	NatIce *ice = event->ice;
	WgEndpoint host;

	if (ice->closed)
		return G_SOURCE_REMOVE;
	switch (event->kind) {
	case EVENT_UNBOUND:
		ice->funcs.unbound(ice->user_data);
		break;
	case EVENT_READY:
		ice->funcs.ready(ice->user_data);
		break;
	case EVENT_SELECTED:
		/* of an address that has gone meanwhile: nothing */
		if (nat_ice_ns_to_host(ice->ns, &event->local, &host))
			ice->funcs.selected(&host, &event->remote, ice->user_data);
		break;
	case EVENT_FAILED:
		ice->funcs.failed(ice->user_data);
		break;
	}
	return G_SOURCE_REMOVE;
}

static void
event_free(gpointer data)
{
	Event *event = data;

	ice_unref(event->ice);
	g_free(event);
}

static Event *
event_new(EventKind kind)
{
	Event *event = g_new0(Event, 1);

	event->kind = kind;
	return event;
}

static void
event_post(NatIce *ice, Event *event)
{
	GSource *source = g_idle_source_new();

	event->ice = ice_ref(ice);
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, event_dispatch, event, event_free);
	g_source_attach(source, ice->host);
	g_source_unref(source);
}

static NatCandType
remote_type(const NiceCandidate *candidate)
{
	switch (candidate->type) {
	case NICE_CANDIDATE_TYPE_HOST:
		return NAT_CAND_HOST;
	case NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE:
		return NAT_CAND_SRFLX;
	case NICE_CANDIDATE_TYPE_PEER_REFLEXIVE:
		return NAT_CAND_PRFLX;
	case NICE_CANDIDATE_TYPE_RELAYED:
		return NAT_CAND_RELAY;
	}
	return NAT_CAND_PRFLX;
}

static void
on_selected(NiceAgent *agent, guint stream, guint component, NiceCandidate *local,
	    NiceCandidate *remote, gpointer user_data)
{
	Event *event = event_new(EVENT_SELECTED);

	from_nice_address(&local->base_addr, &event->local);
	from_nice_address(&remote->addr, &event->remote.endpoint);
	event->remote.type = remote_type(remote);
	event_post(user_data, event);
}

static void
on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer user_data)
{
	if (state == NICE_COMPONENT_STATE_FAILED)
		event_post(user_data, event_new(EVENT_FAILED));
}

/* No data ever crosses an ICE component here: WireGuard's packets go to WireGuard. */
static void
on_recv(NiceAgent *agent, guint stream, guint component, guint len, gchar *buf, gpointer user_data)
{
}

/* ---- the ICE thread ---- */

static NiceAgent *
make_agent(NatIce *ice)
{
	NiceAgent *agent =
		nice_agent_new_full(nat_ice_ns_context(ice->ns), NICE_COMPATIBILITY_RFC5245,
				    NICE_AGENT_OPTION_CONSENT_FRESHNESS);

	g_object_set(agent, "controlling-mode", ice->controlling, "upnp", FALSE, "ice-tcp", FALSE,
		     "ice-udp", TRUE, "stun-pacing-timer", ice->ta_ms, "max-connectivity-checks",
		     MAX_CHECKS, NULL);
	for (guint i = 0; i < ice->addresses->len; i++) {
		NiceAddress addr;

		to_nice_address(&g_array_index(ice->addresses, WgEndpoint, i), &addr);
		nice_address_set_port(&addr, 0);
		nice_agent_add_local_address(agent, &addr);
	}
	g_signal_connect(agent, "new-selected-pair-full", G_CALLBACK(on_selected), ice);
	g_signal_connect(agent, "component-state-changed", G_CALLBACK(on_state), ice);
	return agent;
}

static void
bind_sockets(NatIce *ice)
{
	g_autoptr(GPtrArray) sockets = nice_agent_get_sockets(ice->core.agent, ice->core.stream, 1);

	for (guint i = 0; sockets != NULL && i < sockets->len; i++)
		nat_ice_ns_bind(ice->ns, g_socket_get_fd(g_ptr_array_index(sockets, i)));
}

static void
drop_agent(NatIce *ice)
{
	Core *core = &ice->core;

	g_signal_handlers_disconnect_by_data(core->agent, ice);
	nice_agent_remove_stream(core->agent, core->stream);
	g_clear_object(&core->agent);
}

/* Binds the sockets, or leaves no agent. */
static gboolean
gather(NatIce *ice)
{
	Core *core = &ice->core;

	core->agent = make_agent(ice);
	core->stream = nice_agent_add_stream(core->agent, 1);
	nice_agent_set_port_range(core->agent, core->stream, 1, ice->port, ice->port);
	nice_agent_set_local_credentials(core->agent, core->stream, ice->local_ufrag,
					 ice->local_pwd);
	nice_agent_attach_recv(core->agent, core->stream, 1, nat_ice_ns_context(ice->ns), on_recv,
			       NULL);
	if (!nice_agent_gather_candidates(core->agent, core->stream)) {
		drop_agent(ice);
		return FALSE;
	}
	bind_sockets(ice);
	return TRUE;
}

static void
add_remote(Core *core, GSList *list)
{
	nice_agent_set_remote_candidates(core->agent, core->stream, 1, list);
	g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
}

static void
core_start(gpointer data)
{
	NatIce *ice = data;
	Core *core = &ice->core;

	/* without any, libnice would look for addresses itself */
	if (ice->addresses->len == 0) {
		event_post(ice, event_new(EVENT_FAILED));
		return;
	}
	if (!gather(ice)) {
		event_post(ice, event_new(EVENT_UNBOUND));
		return;
	}
	nice_agent_set_remote_credentials(core->agent, core->stream, ice->remote_ufrag,
					  ice->remote_pwd);
	if (core->early != NULL)
		add_remote(core, g_steal_pointer(&core->early));
	event_post(ice, event_new(EVENT_READY));
}

static NiceCandidate *
to_nice_candidate(const NatCandidate *cand, gsize index)
{
	NiceCandidateType type = NICE_CANDIDATE_TYPE_HOST;
	guint32 preference = PREF_HOST;
	NiceCandidate *nice;

	switch (cand->type) {
	case NAT_CAND_HOST:
		break;
	case NAT_CAND_SRFLX:
	case NAT_CAND_CONFIGURED:
	case NAT_CAND_ROAMED:
		type = NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE;
		preference = PREF_SRFLX;
		break;
	case NAT_CAND_PRFLX:
		type = NICE_CANDIDATE_TYPE_PEER_REFLEXIVE;
		preference = PREF_PRFLX;
		break;
	case NAT_CAND_RELAY:
		type = NICE_CANDIDATE_TYPE_RELAYED;
		preference = PREF_RELAY;
		break;
	}
	nice = nice_candidate_new(type);
	nice->transport = NICE_CANDIDATE_TRANSPORT_UDP;
	nice->stream_id = 1;
	nice->component_id = 1;
	to_nice_address(&cand->endpoint, &nice->addr);
	nice->base_addr = nice->addr;
	/* RFC 8445 §5.1.2.1; the sender's order is the local preference. */
	nice->priority = preference << 24 | (65535u - (guint32)index) << 8 | 255u;
	g_snprintf(nice->foundation, sizeof nice->foundation, "%u", (guint)index + 1);
	return nice;
}

static void
core_add_remote(gpointer data)
{
	Remote *remote = data;
	Core *core = &remote->ice->core;
	GSList *list = NULL;

	for (gsize i = remote->n; i > 0; i--)
		list = g_slist_prepend(list, to_nice_candidate(&remote->candidates[i - 1], i - 1));
	if (core->agent != NULL)
		add_remote(core, list);
	else if (g_slist_length(core->early) < MAX_CHECKS)
		core->early = g_slist_concat(core->early, list);
	else
		g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
}

static void
remote_free(gpointer data)
{
	Remote *remote = data;

	ice_unref(remote->ice);
	g_free(remote);
}

static void
core_stop(gpointer data)
{
	NatIce *ice = data;

	g_slist_free_full(g_steal_pointer(&ice->core.early), (GDestroyNotify)nice_candidate_free);
	if (ice->core.agent != NULL)
		drop_agent(ice);
}

/* ---- host thread ---- */

NatIce *
nat_ice_new(NatIceNs *ns, const NatIceParams *params, const NatIceFuncs *funcs, gpointer user_data)
{
	NatIce *ice = g_new0(NatIce, 1);

	ice->refs = 1;
	ice->ns = ns;
	ice->host = g_main_context_ref_thread_default();
	ice->funcs = *funcs;
	ice->user_data = user_data;
	ice->port = params->port;
	ice->ta_ms = params->ta_ms;
	ice->controlling = params->controlling;
	ice->local_ufrag = g_strdup(params->local_ufrag);
	ice->local_pwd = g_strdup(params->local_pwd);
	ice->remote_ufrag = g_strdup(params->remote_ufrag);
	ice->remote_pwd = g_strdup(params->remote_pwd);
	ice->addresses = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	for (gsize i = 0; i < params->n_addresses; i++) {
		WgEndpoint inside;

		if (nat_ice_ns_to_inside(ns, &params->addresses[i], &inside))
			g_array_append_val(ice->addresses, inside);
	}
	nat_ice_ns_invoke(ns, core_start, ice_ref(ice), ice_unref);
	return ice;
}

void
nat_ice_free(NatIce *ice)
{
	if (ice == NULL)
		return;
	ice->closed = TRUE;
	nat_ice_ns_invoke(ice->ns, core_stop, ice, ice_unref);
}

void
nat_ice_try_port(NatIce *ice, guint16 port)
{
	ice->port = port;
	nat_ice_ns_invoke(ice->ns, core_start, ice_ref(ice), ice_unref);
}

void
nat_ice_add_remote(NatIce *ice, const NatCandidate *candidates, gsize n)
{
	Remote *remote = g_malloc(sizeof *remote + n * sizeof *candidates);

	remote->ice = ice_ref(ice);
	remote->n = n;
	for (gsize i = 0; i < n; i++)
		remote->candidates[i] = candidates[i];
	nat_ice_ns_invoke(ice->ns, core_add_remote, remote, remote_free);
}
