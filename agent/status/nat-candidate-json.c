/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-candidate-json.h"

#include "agent/base/nat-json.h"

void
nat_json_set_endpoint(JsonObject *obj, const char *member, const WgEndpoint *ep)
{
	char buf[WG_ENDPOINT_STRLEN];

	nat_json_set_string(obj, member,
			    wg_endpoint_is_set(ep) ? wg_endpoint_format(ep, buf) : NULL);
}

JsonObject *
nat_json_candidate(const NatCandidate *cand)
{
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "type", nat_cand_type_to_string(cand->type));
	nat_json_set_endpoint(obj, "endpoint", &cand->endpoint);
	return obj;
}

void
nat_json_set_candidate(JsonObject *obj, const char *member, const NatCandidate *cand)
{
	if (wg_endpoint_is_set(&cand->endpoint))
		json_object_set_object_member(obj, member, nat_json_candidate(cand));
	else
		json_object_set_null_member(obj, member);
}
