/* SPDX-License-Identifier: MIT */
/* NatClass in the JSON of status: "mapping", "filtering" and "allocation". Pure. */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/probe/nat-class.h"

/* Its members into obj; allocation is null where nothing is known of it. */
void nat_json_set_class(JsonObject *obj, const NatClass *nat);
/* Words that this version does not know, and what is absent, are unknown; what is of a wrong type
 * is an error. */
gboolean nat_json_get_class(JsonObject *obj, NatClass *out, GError **error);
