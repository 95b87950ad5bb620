/* SPDX-License-Identifier: MIT */
#include "agent/nat-varlink.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/nat-json.h"
#include "agent/nat-log.h"

/* member/value: what the error is about, NULL: nothing. */
static char *
error_reply(const char *name, const char *member, const char *value)
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
nat_varlink_error(const char *name)
{
	return error_reply(name, NULL, NULL);
}

static char *
good_reply(JsonNode *parameters_take)
{
	JsonObject *reply = json_object_new();
	g_autoptr(JsonNode) node = nat_json_node_take(reply);

	json_object_set_member(reply, "parameters", parameters_take);
	return nat_json_print(node, FALSE);
}

static char *
dispatch(const char *method, JsonObject *parameters, NatControlFunc func, gpointer user_data)
{
	g_autoptr(JsonObject) none = json_object_new();
	const char *name = NAT_VARLINK_METHOD_NOT_FOUND;
	JsonNode *result = func(method, parameters ? parameters : none, &name, user_data);

	if (result)
		return good_reply(result);
	if (strcmp(name, NAT_VARLINK_METHOD_NOT_FOUND) == 0)
		return error_reply(name, "method", method);
	return nat_varlink_error(name);
}

char *
nat_varlink_answer(const char *text, gsize len, NatControlFunc func, gpointer user_data,
		   gboolean *garbage)
{
	g_autoptr(JsonNode) call = nat_json_parse(text, len, NULL);
	JsonObject *obj, *parameters = NULL;
	const char *method = NULL;
	gboolean oneway = FALSE;
	char *reply;

	*garbage = !call;
	if (!call)
		return error_reply(NAT_VARLINK_INVALID_PARAMETER, "parameter", "method");
	obj = json_node_get_object(call);
	if (!nat_json_get_boolean(obj, "oneway", &oneway, NULL))
		reply = error_reply(NAT_VARLINK_INVALID_PARAMETER, "parameter", "oneway");
	else if (!nat_json_get_string(obj, "method", &method, NULL) || !method)
		reply = error_reply(NAT_VARLINK_INVALID_PARAMETER, "parameter", "method");
	else if (!nat_json_get_object(obj, "parameters", &parameters, NULL))
		reply = error_reply(NAT_VARLINK_INVALID_PARAMETER, "parameter", "parameters");
	else
		reply = dispatch(method, parameters, func, user_data);
	if (oneway)
		g_clear_pointer(&reply, g_free);
	return reply;
}

char *
nat_varlink_call(const char *method, JsonNode *parameters)
{
	JsonObject *obj = json_object_new();
	g_autoptr(JsonNode) node = nat_json_node_take(obj);

	json_object_set_string_member(obj, "method", method);
	if (parameters)
		json_object_set_member(obj, "parameters", json_node_copy(parameters));
	else
		json_object_set_object_member(obj, "parameters", json_object_new());
	return nat_json_print(node, FALSE);
}

JsonNode *
nat_varlink_parse_reply(const char *text, gsize len, GError **error)
{
	g_autoptr(JsonNode) reply = nat_json_parse(text, len, error);
	JsonObject *obj, *parameters = NULL;
	const char *name = NULL;

	if (!reply)
		return NULL;
	obj = json_node_get_object(reply);
	if (!nat_json_get_string(obj, "error", &name, error) ||
	    !nat_json_get_object(obj, "parameters", &parameters, error))
		return NULL;
	if (name) {
		g_autofree char *plain = nat_log_escape(name, -1);

		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the agent answers %s", plain);
		return NULL;
	}
	if (!parameters)
		return nat_json_node_take(json_object_new());
	return json_node_copy(json_object_get_member(obj, "parameters"));
}
