/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-class-json.h"

#include <string.h>

#include "agent/base/nat-json.h"

static JsonObject *
allocation_out(const NatClass *nat)
{
	JsonObject *obj = json_object_new();
	gboolean block = nat->ports == NAT_PORTS_BLOCK;

	json_object_set_string_member(obj, "kind", nat_ports_to_string(nat->ports));
	if (nat->ports == NAT_PORTS_SEQUENTIAL)
		json_object_set_int_member(obj, "step", nat->step);
	else
		json_object_set_null_member(obj, "step");
	nat_json_set_int(obj, "lowest", block ? nat->lowest : -1);
	nat_json_set_int(obj, "highest", block ? nat->highest : -1);
	json_object_set_boolean_member(obj, "parity", nat->parity);
	return obj;
}

void
nat_json_set_class(JsonObject *obj, const NatClass *nat)
{
	json_object_set_string_member(obj, "mapping", nat_mapping_to_string(nat->mapping));
	json_object_set_string_member(obj, "filtering", nat_filtering_to_string(nat->filtering));
	if (nat->ports != NAT_PORTS_UNKNOWN)
		json_object_set_object_member(obj, "allocation", allocation_out(nat));
	else
		json_object_set_null_member(obj, "allocation");
}

static gboolean
allocation_in(JsonObject *obj, NatClass *out, GError **error)
{
	const char *kind = NULL;
	gint64 step = 0, lowest = 0, highest = 0;

	if (!nat_json_get_string(obj, "kind", &kind, error) ||
	    !nat_json_get_int(obj, "step", &step, error) ||
	    !nat_json_get_int(obj, "lowest", &lowest, error) ||
	    !nat_json_get_int(obj, "highest", &highest, error) ||
	    !nat_json_get_boolean(obj, "parity", &out->parity, error))
		return FALSE;
	nat_ports_from_string(kind, &out->ports);
	out->step = (gint16)CLAMP(step, G_MININT16, G_MAXINT16);
	out->lowest = (guint16)CLAMP(lowest, 0, G_MAXUINT16);
	out->highest = (guint16)CLAMP(highest, 0, G_MAXUINT16);
	return TRUE;
}

gboolean
nat_json_get_class(JsonObject *obj, NatClass *out, GError **error)
{
	const char *mapping = NULL, *filtering = NULL;
	JsonObject *allocation = NULL;

	memset(out, 0, sizeof *out);
	if (!nat_json_get_string(obj, "mapping", &mapping, error) ||
	    !nat_json_get_string(obj, "filtering", &filtering, error) ||
	    !nat_json_get_object(obj, "allocation", &allocation, error) ||
	    (allocation && !allocation_in(allocation, out, error)))
		return FALSE;
	nat_mapping_from_string(mapping, &out->mapping);
	nat_filtering_from_string(filtering, &out->filtering);
	nat_class_sanitize(out);
	return TRUE;
}
