/* SPDX-License-Identifier: MIT */
#include "agent/nat-service.h"

#include <string.h>

#include "agent/nat-json.h"

static JsonNode *
get_info(void)
{
	JsonObject *obj = json_object_new();
	JsonArray *interfaces = json_array_new();

	json_array_add_string_element(interfaces, "org.varlink.service");
	json_array_add_string_element(interfaces, NAT_SERVICE_INTERFACE);
	json_object_set_string_member(obj, "vendor", "nat-agent");
	json_object_set_string_member(obj, "product", "nat-agent");
	json_object_set_string_member(obj, "version", NAT_VERSION);
	json_object_set_string_member(obj, "url", "");
	json_object_set_array_member(obj, "interfaces", interfaces);
	return nat_json_node_take(obj);
}

static JsonNode *
get_status(const NatService *service)
{
	g_autoptr(NatStatus) status = service->status(service->user_data);
	JsonObject *obj = json_object_new();

	json_object_set_member(obj, "status", nat_status_to_json(status));
	return nat_json_node_take(obj);
}

static JsonNode *
get_metrics(const NatService *service)
{
	g_autofree char *text = service->metrics(service->user_data);
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "text", text);
	return nat_json_node_take(obj);
}

JsonNode *
nat_service_call(const char *method, JsonObject *parameters, const char **varlink_error,
		 gpointer user_data)
{
	const NatService *service = user_data;

	if (strcmp(method, NAT_SERVICE_STATUS) == 0)
		return get_status(service);
	if (strcmp(method, NAT_SERVICE_METRICS) == 0)
		return get_metrics(service);
	if (strcmp(method, NAT_SERVICE_GET_INFO) == 0)
		return get_info();
	*varlink_error = NAT_VARLINK_METHOD_NOT_FOUND;
	return NULL;
}
