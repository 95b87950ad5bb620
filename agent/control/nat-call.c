/* SPDX-License-Identifier: MIT */
#include "agent/control/nat-call.h"

#include "agent/base/nat-json.h"

/* Some thousand events: whoever is so far behind does not read them. */
#define BEHIND_BYTES (256 * 1024)

struct NatCall {
	NatVarlinkCall *call;
	const NatCallWay *way;
	gpointer owner;
	NatCallGone gone;
	gpointer gone_data;
};

NatCall *
nat_call_new(NatVarlinkCall *call_take, const NatCallWay *way, gpointer owner)
{
	NatCall *call = g_new0(NatCall, 1);

	call->call = call_take;
	call->way = way;
	call->owner = owner;
	return call;
}

static void
call_free(NatCall *call)
{
	nat_varlink_call_free(call->call);
	g_free(call);
}

void
nat_call_abandon(NatCall *call)
{
	if (call->gone)
		call->gone(call->gone_data);
	call_free(call);
}

const char *
nat_call_method(const NatCall *call)
{
	return call->call->method;
}

JsonObject *
nat_call_parameters(const NatCall *call)
{
	return call->call->parameters;
}

gboolean
nat_call_wants_more(const NatCall *call)
{
	return call->call->more && !call->call->oneway;
}

gboolean
nat_call_is_behind(const NatCall *call)
{
	return call->way->backlog(call->owner) > BEHIND_BYTES;
}

void
nat_call_on_gone(NatCall *call, NatCallGone gone, gpointer user_data)
{
	call->gone = gone;
	call->gone_data = user_data;
}

static void
finish(NatCall *call, char *text_take)
{
	const NatCallWay *way = call->way;
	gpointer owner = call->owner;

	if (call->call->oneway)
		g_clear_pointer(&text_take, g_free);
	call_free(call);
	way->send(text_take, TRUE, owner);
}

void
nat_call_reply(NatCall *call, JsonNode *parameters_take)
{
	if (!parameters_take)
		parameters_take = nat_json_node_take(json_object_new());
	finish(call, nat_varlink_reply(parameters_take, FALSE));
}

void
nat_call_fail(NatCall *call, const char *error, const char *member, const char *value)
{
	finish(call, nat_varlink_error(error, member, value));
}

void
nat_call_continue(NatCall *call, JsonNode *parameters_take)
{
	g_return_if_fail(nat_call_wants_more(call));
	call->way->send(nat_varlink_reply(parameters_take, TRUE), FALSE, call->owner);
}
