/* SPDX-License-Identifier: MIT */
/* Calls and replies of the control socket, split as its framing does. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/control/nat-service.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static NatStatus *
no_status(const NatServiceWhom *whom, gboolean detail, GError **error, gpointer user_data)
{
	return nat_status_new();
}

static NatEvents *
some_events(gpointer user_data)
{
	return user_data;
}

static gboolean
any_peer(const NatServiceWhom *whom, WgKey *key, GError **error, gpointer user_data)
{
	*key = (WgKey){{0}};
	return TRUE;
}

static void
no_ping(const NatServiceWhom *whom, gboolean paths, NatCall *call, gpointer user_data)
{
	nat_call_reply(call, NULL);
}

static gboolean
no_restart(const NatServiceWhom *whom, GError **error, gpointer user_data)
{
	return TRUE;
}

static gboolean
no_reload(GError **error, gpointer user_data)
{
	return TRUE;
}

static char *
no_metrics(gpointer user_data)
{
	return g_strdup("");
}

static const NatServiceFuncs FUNCS = {no_status, some_events, any_peer,	 no_ping,
				      no_restart, no_reload, no_metrics};

/* Every answer is JSON; the last one was given, or the caller went. */
static void
on_answer(char *text_take, gboolean last, gpointer owner)
{
	g_autofree char *text = text_take;
	g_autoptr(JsonNode) ours = text ? nat_json_parse(text, strlen(text), NULL) : NULL;
	NatCall **call = owner;

	if (text && !ours)
		abort();
	if (last)
		*call = NULL;
}

static gsize
no_backlog(gpointer owner)
{
	return 0;
}

static void
one_call(const char *text, gsize len, NatService *service, NatEvents *events)
{
	static const NatCallWay WAY = {on_answer, no_backlog};
	gboolean garbage;
	g_autofree char *problem = NULL;
	NatVarlinkCall *parsed = nat_varlink_parse_call(text, len, &problem, &garbage);
	NatCall *call = NULL;

	if (garbage && (parsed || !problem))
		abort();
	if (!parsed)
		return;
	call = nat_call_new(parsed, &WAY, &call);
	nat_service_call(call, service);
	nat_events_add(events, "wg0", NULL, NULL, NAT_EVENT_NETWORK, "an event");
	if (call)
		nat_call_abandon(call);
}

static void
one_message(const char *text, gsize len, NatService *service, NatEvents *events)
{
	gboolean continues;
	g_autoptr(JsonNode) good = nat_varlink_parse_reply(text, len, &continues, NULL);

	if (good && !JSON_NODE_HOLDS_OBJECT(good))
		abort();
	one_call(text, len, service, events);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	g_autoptr(NatEvents) events = nat_events_new();
	NatService *service = nat_service_new(&FUNCS, events);

	while (size > 0) {
		const guint8 *nul = memchr(data, '\0', size);
		gsize len = nul ? (gsize)(nul - data) : size;

		one_message((const char *)data, len, service, events);
		data += len + (nul ? 1 : 0);
		size -= len + (nul ? 1 : 0);
	}
	nat_service_free(service);
	return 0;
}
