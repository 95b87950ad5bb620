/* SPDX-License-Identifier: MIT */
#include "agent/control/nat-daemon-service.h"

#include "agent/base/nat-json.h"
#include "agent/peer/nat-peer-ping.h"
#include "agent/status/nat-candidate-json.h"

static NatStatus *
status(const NatServiceWhom *whom, gboolean detail, GError **error, gpointer user_data)
{
	const NatDaemonService *service = user_data;
	g_autoptr(NatStatus) all = nat_daemon_status(service->daemon, detail, whom->peer);

	if ((whom->interface != NULL || whom->peer != NULL) &&
	    !nat_status_filter(all, whom->interface, whom->peer, error))
		return NULL;
	return g_steal_pointer(&all);
}

static NatEvents *
events(gpointer user_data)
{
	return nat_daemon_events(((NatDaemonService *)user_data)->daemon);
}

static gboolean
resolve(const NatServiceWhom *whom, WgKey *key, GError **error, gpointer user_data)
{
	const NatDaemonService *service = user_data;
	NatPeer *peer = nat_daemon_find_peer(service->daemon, whom->interface, whom->peer, error);

	if (peer != NULL)
		*key = *nat_peer_key(peer);
	return peer != NULL;
}

/* ---- ping ---- */

/* Its call; NULL: the caller is gone. */
typedef struct {
	NatCall *call;
} Asked;

static JsonObject *
answer_out(const NatPingAnswer *answer)
{
	JsonObject *obj = json_object_new();

	nat_json_set_candidate(obj, "local", &answer->local);
	nat_json_set_candidate(obj, "remote", &answer->remote);
	json_object_set_string_member(obj, "kind", answer->relay ? "relay" : "direct");
	json_object_set_boolean_member(obj, "chosen", answer->chosen);
	if (answer->rtt_ms >= 0)
		json_object_set_double_member(obj, "rtt_ms", answer->rtt_ms);
	else
		json_object_set_null_member(obj, "rtt_ms");
	return obj;
}

static void
on_gone(gpointer user_data)
{
	((Asked *)user_data)->call = NULL;
}

static void
on_pinged(const GArray *answers, gpointer user_data)
{
	g_autofree Asked *asked = user_data;
	JsonArray *list = json_array_new();
	JsonObject *obj = json_object_new();

	for (guint i = 0; i < answers->len; i++)
		json_array_add_object_element(
			list, answer_out(&g_array_index(answers, NatPingAnswer, i)));
	json_object_set_array_member(obj, "answers", list);
	if (asked->call != NULL)
		nat_call_reply(asked->call, nat_json_node_take(obj));
	else
		json_object_unref(obj);
}

static void
ping(const NatServiceWhom *whom, gboolean paths, NatCall *call, gpointer user_data)
{
	const NatDaemonService *service = user_data;
	g_autoptr(GError) error = NULL;
	NatPeer *peer = nat_daemon_find_peer(service->daemon, whom->interface, whom->peer, &error);
	Asked *asked = g_new0(Asked, 1);

	asked->call = call;
	if (peer == NULL || !nat_peer_ping(peer, paths, on_pinged, asked, &error)) {
		nat_service_fail(call, error);
		g_free(asked);
		return;
	}
	nat_call_on_gone(call, on_gone, asked);
}

/* ---- the rest ---- */

static gboolean
restart(const NatServiceWhom *whom, GError **error, gpointer user_data)
{
	const NatDaemonService *service = user_data;
	NatPeer *peer = nat_daemon_find_peer(service->daemon, whom->interface, whom->peer, error);

	if (peer != NULL)
		nat_peer_restart(peer);
	return peer != NULL;
}

static gboolean
reload(GError **error, gpointer user_data)
{
	const NatDaemonService *service = user_data;

	return service->reload(error, service->user_data);
}

static char *
metrics(gpointer user_data)
{
	const NatDaemonService *service = user_data;

	return service->metrics(service->user_data);
}

const NatServiceFuncs NAT_DAEMON_SERVICE = {
	.status = status,
	.events = events,
	.resolve = resolve,
	.ping = ping,
	.restart = restart,
	.reload = reload,
	.metrics = metrics,
};
