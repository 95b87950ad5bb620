/* SPDX-License-Identifier: MIT */
#include "agent/control/nat-varlink.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"

/* ---- server side ---- */

char *
nat_varlink_error(const char *name, const char *member, const char *value)
{
	JsonObject *reply = json_object_new(), *parameters = json_object_new();
	g_autoptr(JsonNode) node = nat_json_node_take(reply);

	if (member)
		json_object_set_string_member(parameters, member, value);
	json_object_set_string_member(reply, "error", name);
	json_object_set_object_member(reply, "parameters", parameters);
	return nat_json_print(node, FALSE);
}

char *
nat_varlink_reply(JsonNode *parameters_take, gboolean continues)
{
	JsonObject *reply = json_object_new();
	g_autoptr(JsonNode) node = nat_json_node_take(reply);

	json_object_set_member(reply, "parameters", parameters_take);
	if (continues)
		json_object_set_boolean_member(reply, "continues", TRUE);
	return nat_json_print(node, FALSE);
}

void
nat_varlink_call_free(NatVarlinkCall *call)
{
	if (!call)
		return;
	g_free(call->method);
	g_clear_pointer(&call->parameters, json_object_unref);
	g_free(call);
}

/* The member that is not as it must be; NULL: the call is complete. */
static const char *
read_call(JsonObject *obj, NatVarlinkCall *call)
{
	JsonObject *parameters = NULL;
	const char *method = NULL;

	if (!nat_json_get_boolean(obj, "oneway", &call->oneway, NULL))
		return "oneway";
	if (!nat_json_get_boolean(obj, "more", &call->more, NULL))
		return "more";
	if (!nat_json_get_string(obj, "method", &method, NULL) || !method)
		return "method";
	if (!nat_json_get_object(obj, "parameters", &parameters, NULL))
		return "parameters";
	call->method = g_strdup(method);
	call->parameters = parameters ? json_object_ref(parameters) : json_object_new();
	return NULL;
}

NatVarlinkCall *
nat_varlink_parse_call(const char *text, gsize len, char **problem, gboolean *garbage)
{
	g_autoptr(NatVarlinkCall) call = g_new0(NatVarlinkCall, 1);
	g_autoptr(JsonNode) node = nat_json_parse(text, len, NULL);
	const char *bad = node ? read_call(json_node_get_object(node), call) : "method";

	*garbage = !node;
	*problem = NULL;
	if (!bad)
		return g_steal_pointer(&call);
	if (!call->oneway)
		*problem = nat_varlink_error(NAT_VARLINK_INVALID_PARAMETER, "parameter", bad);
	return NULL;
}

/* ---- client side ---- */

char *
nat_varlink_call(const char *method, JsonNode *parameters, gboolean more)
{
	JsonObject *obj = json_object_new();
	g_autoptr(JsonNode) node = nat_json_node_take(obj);

	json_object_set_string_member(obj, "method", method);
	if (parameters)
		json_object_set_member(obj, "parameters", json_node_copy(parameters));
	else
		json_object_set_object_member(obj, "parameters", json_object_new());
	if (more)
		json_object_set_boolean_member(obj, "more", TRUE);
	return nat_json_print(node, FALSE);
}

/* What the error is about: its first parameter that is text. */
static char *
error_subject(JsonObject *parameters)
{
	g_autoptr(GList) members = parameters ? json_object_get_members(parameters) : NULL;
	const char *value = NULL;

	for (GList *m = members; m; m = m->next)
		if (!value && !nat_json_get_string(parameters, m->data, &value, NULL))
			value = NULL;
	return value ? nat_log_escape(value, -1) : NULL;
}

static void
set_reply_error(GError **error, const char *name, JsonObject *parameters)
{
	g_autofree char *plain = nat_log_escape(name, -1), *subject = error_subject(parameters);
	gboolean unknown = strcmp(name, NAT_VARLINK_METHOD_NOT_FOUND) == 0 ||
			   strcmp(name, NAT_VARLINK_INTERFACE_NOT_FOUND) == 0;

	if (unknown)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
			    "the agent does not know %s: it is older than this command, restart it",
			    subject ? subject : "that");
	else if (g_str_has_suffix(name, ".NotPermitted"))
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
				    "the agent does not let you ask: try as root, or join the "
				    "group of its socket");
	else if (subject && g_str_has_suffix(name, ".NoSuchPeer"))
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, subject);
	else if (subject && g_str_has_suffix(name, ".Failed"))
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, subject);
	else
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the agent answers %s%s%s", plain,
			    subject ? ": " : "", subject ? subject : "");
}

JsonNode *
nat_varlink_parse_reply(const char *text, gsize len, gboolean *continues, GError **error)
{
	g_autoptr(JsonNode) reply = nat_json_parse(text, len, error);
	JsonObject *obj, *parameters = NULL;
	const char *name = NULL;
	gboolean more = FALSE;

	if (!reply)
		return NULL;
	obj = json_node_get_object(reply);
	if (!nat_json_get_string(obj, "error", &name, error) ||
	    !nat_json_get_object(obj, "parameters", &parameters, error) ||
	    !nat_json_get_boolean(obj, "continues", &more, error))
		return NULL;
	if (name) {
		set_reply_error(error, name, parameters);
		return NULL;
	}
	if (continues)
		*continues = more;
	if (!parameters)
		return nat_json_node_take(json_object_new());
	return json_node_copy(json_object_get_member(obj, "parameters"));
}
