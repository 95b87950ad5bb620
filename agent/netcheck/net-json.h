/* SPDX-License-Identifier: MIT */
/* A Netcheck for programs: members are snake_case with their unit in the name, what is not known is
 * null, and members are only ever added. Pure; any thread. */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/netcheck/netcheck.h"

JsonNode *net_json(const Netcheck *check); /* (transfer full) */
