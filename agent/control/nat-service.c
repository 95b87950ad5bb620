/* SPDX-License-Identifier: MIT */
#include "agent/control/nat-service.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/control/nat-varlink-description.h"

#define VARLINK "org.varlink.service"

struct NatService {
	const NatServiceFuncs *funcs;
	gpointer user_data;
	GPtrArray *followers; /* of Follower */
};

/* Who called Events and wants more. */
typedef struct {
	NatService *service;
	NatCall *call;
	guint id;
	char *interface; /* NULL: any */
	gboolean of_peer;
	WgKey peer;
	guint64 missed; /* events that were not sent since it is behind */
} Follower;

/* ---- org.varlink.service ---- */

static void
get_info(NatService *service, NatCall *call)
{
	JsonObject *obj = json_object_new();
	JsonArray *interfaces = json_array_new();

	json_array_add_string_element(interfaces, VARLINK);
	json_array_add_string_element(interfaces, NAT_SERVICE_INTERFACE);
	json_object_set_string_member(obj, "vendor", "nat-agent");
	json_object_set_string_member(obj, "product", "nat-agent");
	json_object_set_string_member(obj, "version", NAT_VERSION);
	json_object_set_string_member(obj, "url", "");
	json_object_set_array_member(obj, "interfaces", interfaces);
	nat_call_reply(call, nat_json_node_take(obj));
}

static void
describe(NatService *service, NatCall *call)
{
	const char *interface = NULL, *text = NULL;
	JsonObject *obj;

	if (!nat_json_get_string(nat_call_parameters(call), "interface", &interface, NULL) ||
	    interface == NULL) {
		nat_call_fail(call, NAT_VARLINK_INVALID_PARAMETER, "parameter", "interface");
		return;
	}
	if (strcmp(interface, NAT_SERVICE_INTERFACE) == 0)
		text = NAT_VARLINK_DESCRIPTION;
	else if (strcmp(interface, VARLINK) == 0)
		text = NAT_VARLINK_SERVICE_DESCRIPTION;
	if (text == NULL) {
		nat_call_fail(call, NAT_VARLINK_INTERFACE_NOT_FOUND, "interface", interface);
		return;
	}
	obj = json_object_new();
	json_object_set_string_member(obj, "description", text);
	nat_call_reply(call, nat_json_node_take(obj));
}

/* ---- whom a call is about ---- */

/* FALSE: the call was answered. */
static gboolean
get_whom(NatCall *call, NatServiceWhom *whom)
{
	JsonObject *parameters = nat_call_parameters(call);
	const char *bad = NULL;

	*whom = (NatServiceWhom){NULL, NULL};
	if (!nat_json_get_string(parameters, "interface", &whom->interface, NULL))
		bad = "interface";
	else if (!nat_json_get_string(parameters, "peer", &whom->peer, NULL) ||
		 (whom->peer != NULL && *whom->peer == '\0'))
		bad = "peer";
	if (bad != NULL)
		nat_call_fail(call, NAT_VARLINK_INVALID_PARAMETER, "parameter", bad);
	return bad == NULL;
}

static gboolean
get_flag(NatCall *call, const char *member, gboolean *out)
{
	*out = FALSE;
	if (nat_json_get_boolean(nat_call_parameters(call), member, out, NULL))
		return TRUE;
	nat_call_fail(call, NAT_VARLINK_INVALID_PARAMETER, "parameter", member);
	return FALSE;
}

/* The same, of one peer. */
static gboolean
get_peer(NatCall *call, NatServiceWhom *whom)
{
	if (!get_whom(call, whom))
		return FALSE;
	if (whom->peer != NULL)
		return TRUE;
	nat_call_fail(call, NAT_VARLINK_INVALID_PARAMETER, "parameter", "peer");
	return FALSE;
}

void
nat_service_fail(NatCall *call, const GError *error)
{
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
		nat_call_fail(call, NAT_SERVICE_NO_SUCH_PEER, "reason", error->message);
	else
		nat_call_fail(call, NAT_SERVICE_FAILED, "reason", error->message);
}

/* ---- what is asked ---- */

static void
status(NatService *service, NatCall *call)
{
	g_autoptr(NatStatus) now = NULL;
	g_autoptr(GError) error = NULL;
	NatServiceWhom whom;
	gboolean detail;
	JsonObject *obj;

	if (!get_whom(call, &whom) || !get_flag(call, "detail", &detail))
		return;
	now = service->funcs->status(&whom, detail, &error, service->user_data);
	if (now == NULL) {
		nat_service_fail(call, error);
		return;
	}
	obj = json_object_new();
	json_object_set_member(obj, "status", nat_status_to_json(now));
	nat_call_reply(call, nat_json_node_take(obj));
}

static void
ping(NatService *service, NatCall *call)
{
	NatServiceWhom whom;
	gboolean paths;

	if (get_peer(call, &whom) && get_flag(call, "paths", &paths))
		service->funcs->ping(&whom, paths, call, service->user_data);
}

static void
restart_peer(NatService *service, NatCall *call)
{
	g_autoptr(GError) error = NULL;
	NatServiceWhom whom;

	if (!get_peer(call, &whom))
		return;
	if (service->funcs->restart(&whom, &error, service->user_data))
		nat_call_reply(call, NULL);
	else
		nat_service_fail(call, error);
}

static void
reload(NatService *service, NatCall *call)
{
	g_autoptr(GError) error = NULL;

	/* what is not found then is no peer */
	if (service->funcs->reload(&error, service->user_data))
		nat_call_reply(call, NULL);
	else
		nat_call_fail(call, NAT_SERVICE_FAILED, "reason", error->message);
}

static void
metrics(NatService *service, NatCall *call)
{
	g_autofree char *text = service->funcs->metrics(service->user_data);
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "text", text);
	nat_call_reply(call, nat_json_node_take(obj));
}

/* ---- events ---- */

static JsonNode *
events_node(JsonArray *list_take, guint64 missed)
{
	JsonObject *obj = json_object_new();

	json_object_set_array_member(obj, "events", list_take);
	json_object_set_int_member(obj, "missed", (gint64)missed);
	return nat_json_node_take(obj);
}

static void
on_event(const NatEvent *event, gpointer user_data)
{
	Follower *follower = user_data;
	JsonArray *list;

	if (!nat_event_is_of(event, follower->interface,
			     follower->of_peer ? &follower->peer : NULL))
		return;
	if (nat_call_is_behind(follower->call)) {
		follower->missed++;
		return;
	}
	list = json_array_new();
	json_array_add_element(list, nat_event_to_json(event, g_get_monotonic_time()));
	nat_call_continue(follower->call, events_node(list, follower->missed));
	follower->missed = 0;
}

static void
follower_free(gpointer p)
{
	Follower *follower = p;

	nat_events_unfollow(follower->service->funcs->events(follower->service->user_data),
			    follower->id);
	g_free(follower->interface);
	g_free(follower);
}

static void
on_gone(gpointer user_data)
{
	Follower *follower = user_data;

	g_ptr_array_remove_fast(follower->service->followers, follower);
}

static void
follow(NatService *service, NatCall *call, const char *interface, const WgKey *peer)
{
	Follower *follower = g_new0(Follower, 1);

	follower->service = service;
	follower->call = call;
	follower->interface = g_strdup(interface);
	follower->of_peer = peer != NULL;
	if (peer != NULL)
		follower->peer = *peer;
	follower->id =
		nat_events_follow(service->funcs->events(service->user_data), on_event, follower);
	g_ptr_array_add(service->followers, follower);
	nat_call_on_gone(call, on_gone, follower);
}

static void
events(NatService *service, NatCall *call)
{
	g_autoptr(GPtrArray) known = NULL;
	g_autoptr(GError) error = NULL;
	const WgKey *peer = NULL;
	NatServiceWhom whom;
	JsonArray *list;
	WgKey key;

	if (!get_whom(call, &whom))
		return;
	if (whom.peer != NULL) {
		if (!service->funcs->resolve(&whom, &key, &error, service->user_data)) {
			nat_service_fail(call, error);
			return;
		}
		peer = &key;
	}
	known = nat_events_list(service->funcs->events(service->user_data), whom.interface, peer);
	list = json_array_new();
	for (guint i = 0; i < known->len; i++)
		json_array_add_element(list, nat_event_to_json(g_ptr_array_index(known, i),
							       g_get_monotonic_time()));
	if (!nat_call_wants_more(call)) {
		nat_call_reply(call, events_node(list, 0));
		return;
	}
	follow(service, call, whom.interface, peer);
	nat_call_continue(call, events_node(list, 0));
}

/* ---- all of it ---- */

static const struct {
	const char *name;
	void (*answer)(NatService *service, NatCall *call);
} METHODS[] = {
	{NAT_SERVICE_STATUS, status},	  {NAT_SERVICE_EVENTS, events},
	{NAT_SERVICE_PING, ping},	  {NAT_SERVICE_RESTART_PEER, restart_peer},
	{NAT_SERVICE_RELOAD, reload},	  {NAT_SERVICE_METRICS, metrics},
	{NAT_SERVICE_GET_INFO, get_info}, {NAT_SERVICE_DESCRIBE, describe},
};

/* Varlink tells an interface that is not there from a method that it lacks. */
static void
unknown(NatCall *call)
{
	const char *method = nat_call_method(call), *dot = strrchr(method, '.');
	g_autofree char *interface = g_strndup(method, dot != NULL ? (gsize)(dot - method) : 0);

	if (strcmp(interface, NAT_SERVICE_INTERFACE) == 0 || strcmp(interface, VARLINK) == 0)
		nat_call_fail(call, NAT_VARLINK_METHOD_NOT_FOUND, "method", method);
	else
		nat_call_fail(call, NAT_VARLINK_INTERFACE_NOT_FOUND, "interface", interface);
}

void
nat_service_call(NatCall *call, gpointer user_data)
{
	for (guint i = 0; i < G_N_ELEMENTS(METHODS); i++) {
		if (strcmp(nat_call_method(call), METHODS[i].name) == 0) {
			METHODS[i].answer(user_data, call);
			return;
		}
	}
	unknown(call);
}

NatService *
nat_service_new(const NatServiceFuncs *funcs, gpointer user_data)
{
	NatService *service = g_new0(NatService, 1);

	service->funcs = funcs;
	service->user_data = user_data;
	service->followers = g_ptr_array_new_with_free_func(follower_free);
	return service;
}

void
nat_service_free(NatService *service)
{
	if (service == NULL)
		return;
	g_ptr_array_unref(service->followers);
	g_free(service);
}
