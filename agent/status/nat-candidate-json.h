/* SPDX-License-Identifier: MIT */
/*
 * Endpoints and candidates as the control socket's answers have them. Pure; any thread.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/base/nat-types.h"

/* "203.0.113.9:41020"; unset: null. */
void nat_json_set_endpoint(JsonObject *obj, const char *member, const WgEndpoint *ep);
/* {"type", "endpoint"} (transfer full). */
JsonObject *nat_json_candidate(const NatCandidate *cand);
/* The same as a member; without an endpoint: null. */
void nat_json_set_candidate(JsonObject *obj, const char *member, const NatCandidate *cand);
