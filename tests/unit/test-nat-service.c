/* SPDX-License-Identifier: MIT */
/*
 * The methods behind the control socket, and their description: it is read here as a Varlink client
 * would read it (https://varlink.org/Interface-Definition), and what the agent answers must be of
 * the types that it names, no member more and none less.
 */
#include "agent/control/nat-service.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-json.h"

/* ---- a reader of descriptions ---- */

typedef struct {
	const char *at;
} Reader;

typedef enum { T_BOOL, T_INT, T_FLOAT, T_STRING, T_OBJECT, T_NAME, T_STRUCT, T_ENUM } Kind;

typedef struct Type Type;
struct Type {
	Kind kind;
	gboolean optional, array, map;
	char *name;	   /* of NAME */
	GPtrArray *names;  /* of STRUCT and ENUM */
	GPtrArray *fields; /* of STRUCT: Type */
};

static Type *read_type(Reader *r);

static void
skip(Reader *r)
{
	for (;;) {
		r->at += strspn(r->at, " \t\n");
		if (*r->at != '#')
			return;
		r->at += strcspn(r->at, "\n");
	}
}

static gboolean
take(Reader *r, const char *text)
{
	skip(r);
	if (!g_str_has_prefix(r->at, text))
		return FALSE;
	r->at += strlen(text);
	return TRUE;
}

static char *
take_name(Reader *r)
{
	gsize len;
	char *name;

	skip(r);
	len = strspn(r->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	g_assert_cmpuint(len, >, 0);
	g_assert_true(g_ascii_isalpha(*r->at));
	name = g_strndup(r->at, len);
	r->at += len;
	return name;
}

/* "( a: int, b: string )" or "( one, two )" */
static void
read_body(Reader *r, Type *type)
{
	gboolean first = TRUE;

	type->names = g_ptr_array_new();
	type->fields = g_ptr_array_new();
	type->kind = T_STRUCT;
	while (!take(r, ")")) {
		if (!first)
			g_assert_true(take(r, ","));
		first = FALSE;
		g_ptr_array_add(type->names, take_name(r));
		if (take(r, ":"))
			g_ptr_array_add(type->fields, read_type(r));
	}
	if (type->fields->len == 0 && type->names->len > 0)
		type->kind = T_ENUM;
	else
		g_assert_cmpuint(type->fields->len, ==, type->names->len);
}

static Type *
read_type(Reader *r)
{
	static const char *const BASIC[] = {"bool", "int", "float", "string", "object"};
	Type *type = g_new0(Type, 1);

	type->optional = take(r, "?");
	type->array = take(r, "[]");
	type->map = !type->array && take(r, "[string]");
	if (take(r, "(")) {
		read_body(r, type);
		return type;
	}
	type->name = take_name(r);
	type->kind = T_NAME;
	for (guint i = 0; i < G_N_ELEMENTS(BASIC); i++)
		if (strcmp(type->name, BASIC[i]) == 0)
			type->kind = (Kind)i;
	return type;
}

typedef struct {
	char *interface;
	GHashTable *types, *methods, *answers, *errors; /* name → Type; answers: of methods */
} Description;

static Type *
read_struct(Reader *r)
{
	Type *type = g_new0(Type, 1);

	g_assert_true(take(r, "("));
	read_body(r, type);
	return type;
}

static Description
read_description(const char *text)
{
	Reader r = {text};
	Description d = {.types = g_hash_table_new(g_str_hash, g_str_equal),
			 .methods = g_hash_table_new(g_str_hash, g_str_equal),
			 .answers = g_hash_table_new(g_str_hash, g_str_equal),
			 .errors = g_hash_table_new(g_str_hash, g_str_equal)};

	g_assert_true(take(&r, "interface "));
	d.interface = g_strndup(r.at, strcspn(r.at, "\n"));
	r.at += strlen(d.interface);
	for (skip(&r); *r.at != '\0'; skip(&r)) {
		if (take(&r, "type ")) {
			char *name = take_name(&r);

			g_hash_table_insert(d.types, name, read_struct(&r));
		} else if (take(&r, "method ")) {
			char *name = take_name(&r);

			g_hash_table_insert(d.methods, name, read_struct(&r));
			g_assert_true(take(&r, "->"));
			g_hash_table_insert(d.answers, name, read_struct(&r));
		} else {
			char *name;

			g_assert_true(take(&r, "error "));
			name = take_name(&r);
			g_hash_table_insert(d.errors, name, read_struct(&r));
		}
	}
	return d;
}

/* ---- values against types ---- */

static void check_value(const Description *d, const Type *type, JsonNode *node, const char *where);

static void
check_struct(const Description *d, const Type *type, JsonObject *obj, const char *where)
{
	g_autoptr(GList) members = json_object_get_members(obj);

	for (guint i = 0; i < type->names->len; i++) {
		const char *name = g_ptr_array_index(type->names, i);
		const Type *field = g_ptr_array_index(type->fields, i);
		g_autofree char *there = g_strconcat(where, ".", name, NULL);

		if (!json_object_has_member(obj, name)) {
			if (!field->optional)
				g_error("%s is missing", there);
			continue;
		}
		check_value(d, field, json_object_get_member(obj, name), there);
	}
	for (GList *m = members; m != NULL; m = m->next) {
		gboolean known = FALSE;

		for (guint i = 0; i < type->names->len; i++)
			known |= strcmp(m->data, g_ptr_array_index(type->names, i)) == 0;
		if (!known)
			g_error("%s.%s is not described", where, (char *)m->data);
	}
}

static void
check_single(const Description *d, const Type *type, JsonNode *node, const char *where)
{
	GType value = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
	gboolean ok = FALSE;

	switch (type->kind) {
	case T_BOOL:
		ok = value == G_TYPE_BOOLEAN;
		break;
	case T_INT:
		ok = value == G_TYPE_INT64;
		break;
	case T_FLOAT:
		ok = value == G_TYPE_DOUBLE || value == G_TYPE_INT64;
		break;
	case T_STRING:
		ok = value == G_TYPE_STRING;
		break;
	case T_OBJECT:
		ok = JSON_NODE_HOLDS_OBJECT(node);
		break;
	case T_NAME:
		g_assert_nonnull(g_hash_table_lookup(d->types, type->name));
		check_value(d, g_hash_table_lookup(d->types, type->name), node, where);
		return;
	case T_STRUCT:
		ok = JSON_NODE_HOLDS_OBJECT(node);
		if (ok)
			check_struct(d, type, json_node_get_object(node), where);
		break;
	case T_ENUM:
		for (guint i = 0; value == G_TYPE_STRING && i < type->names->len; i++)
			ok |= strcmp(json_node_get_string(node),
				     g_ptr_array_index(type->names, i)) == 0;
		break;
	}
	if (!ok)
		g_error("%s is not of its type", where);
}

static void
check_value(const Description *d, const Type *type, JsonNode *node, const char *where)
{
	if (JSON_NODE_HOLDS_NULL(node)) {
		if (!type->optional)
			g_error("%s is null", where);
	} else if (type->array) {
		JsonArray *list = json_node_get_array(node);

		for (guint i = 0; i < json_array_get_length(list); i++)
			check_single(d, type, json_array_get_element(list, i), where);
	} else if (type->map) {
		JsonObject *map = json_node_get_object(node);
		g_autoptr(GList) values = json_object_get_values(map);

		for (GList *v = values; v != NULL; v = v->next)
			check_single(d, type, v->data, where);
	} else {
		check_single(d, type, node, where);
	}
}

/* ---- a service without an agent ---- */

typedef struct {
	NatService *service;
	NatEvents *events;
	NatCall *call;	    /* not answered yet */
	GPtrArray *answers; /* char* */
	gsize backlog;
	char *said; /* what the last call asked for */
} Fixture;

static NatStatus *
full_status(const NatServiceWhom *whom, gboolean detail, GError **error, gpointer user_data)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusInterface *iface = nat_status_add_interface(status, "wg0");
	NatCandidate cand = {.type = NAT_CAND_SRFLX};
	WgKey key = {{1}};
	NatStatusPeer *peer;

	if (g_strcmp0(whom->peer, "nobody") == 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "nobody is there");
		return NULL;
	}
	g_assert_true(wg_endpoint_parse("198.51.100.7:51820", &cand.endpoint));
	g_array_append_val(iface->candidates, cand);
	g_array_append_val(iface->public_endpoints, cand.endpoint);
	iface->signal_url = g_strdup("ws://a");
	iface->signal_state = g_strdup("connected");
	iface->innernet_mode = g_strdup("yes");
	iface->mapping_lifetime_s = 30;
	iface->port_mapping.state = g_strdup("double-nat");
	iface->port_mapping.protocol = g_strdup("nat-pmp");
	iface->port_mapping.gateway = iface->port_mapping.external = cand.endpoint;
	iface->port_mapping.lifetime_s = 1;
	iface->port_mapping.problem = g_strdup("x");
	nat_status_set_counter(iface, "drop_x", 3);
	nat_status_add_relay(iface, "turn:a");
	nat_status_add_peer(iface, &key);
	peer = nat_status_add_peer(iface, &key);
	peer->state = NAT_PEER_CONNECTED;
	peer->has_path = peer->has_standby = TRUE;
	peer->local = peer->remote = peer->standby = cand;
	peer->rtt_ms = 12.3;
	if (detail) {
		NatStatusDetail *d = peer->detail = nat_status_detail_new();
		NatCheck *check = nat_checks_of(&d->checks, &cand.endpoint, &cand.endpoint);
		NatStatusPair *pair = nat_status_detail_add_pair(d);
		NatEvent event = {.interface = (char *)"wg0", .text = (char *)"x", .times = 1};

		check->sent = 3;
		pair->state = g_strdup("alive");
		pair->local = cand;
		g_array_append_val(d->local, cand);
		g_array_append_val(d->remote, cand);
		nat_status_detail_add_event(d, &event);
	}
	return g_steal_pointer(&status);
}

static NatEvents *
get_events(gpointer user_data)
{
	return ((Fixture *)user_data)->events;
}

/* "a" is the peer whose key begins with 1 */
static gboolean
resolve(const NatServiceWhom *whom, WgKey *key, GError **error, gpointer user_data)
{
	*key = (WgKey){{1}};
	if (strcmp(whom->peer, "a") == 0)
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "nobody is there");
	return FALSE;
}

static void
ping(const NatServiceWhom *whom, gboolean paths, NatCall *call, gpointer user_data)
{
	Fixture *f = user_data;

	g_free(f->said);
	f->said = g_strdup_printf("ping %s %d", whom->peer, paths);
	nat_call_reply(call, NULL);
}

static gboolean
restart(const NatServiceWhom *whom, GError **error, gpointer user_data)
{
	Fixture *f = user_data;

	g_free(f->said);
	f->said = g_strdup_printf("restart %s %s", whom->interface, whom->peer);
	return TRUE;
}

/* a file that is not found is no peer that is not found */
static gboolean
reload(GError **error, gpointer user_data)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "line 3 is wrong");
	return FALSE;
}

static char *
metrics(gpointer user_data)
{
	return g_strdup("# HELP a \"b\"\n");
}

static const NatServiceFuncs FUNCS = {full_status, get_events, resolve, ping,
				      restart,	   reload,     metrics};

static void
on_answer(char *text_take, gboolean last, gpointer owner)
{
	Fixture *f = owner;

	g_ptr_array_add(f->answers, text_take);
	if (last)
		f->call = NULL;
}

static gsize
get_backlog(gpointer owner)
{
	return ((Fixture *)owner)->backlog;
}

static void
ask(Fixture *f, const char *text)
{
	static const NatCallWay WAY = {on_answer, get_backlog};
	gboolean garbage;
	char *problem;
	NatVarlinkCall *call = nat_varlink_parse_call(text, strlen(text), &problem, &garbage);

	g_assert_nonnull(call);
	f->call = nat_call_new(call, &WAY, f);
	nat_service_call(f->call, f->service);
}

/* "parameters" of the newest answer. */
static JsonObject *
answered(Fixture *f)
{
	const char *text = g_ptr_array_index(f->answers, f->answers->len - 1);
	JsonNode *node = nat_json_parse(text, strlen(text), NULL);

	g_assert_nonnull(node);
	return json_object_get_object_member(json_node_get_object(node), "parameters");
}

static void
expect(Fixture *f, const char *call, const char *answer)
{
	ask(f, call);
	g_assert_null(f->call);
	g_assert_cmpstr(g_ptr_array_index(f->answers, f->answers->len - 1), ==, answer);
}

static Description
description(Fixture *f, const char *interface)
{
	g_autofree char *call =
		g_strdup_printf("{\"method\":\"org.varlink.service.GetInterfaceDescription\","
				"\"parameters\":{\"interface\":\"%s\"}}",
				interface);

	ask(f, call);
	return read_description(json_object_get_string_member(answered(f), "description"));
}

static void
set_up(Fixture *f, gconstpointer unused)
{
	f->events = nat_events_new();
	f->service = nat_service_new(&FUNCS, f);
	f->answers = g_ptr_array_new_with_free_func(g_free);
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
	if (f->call)
		nat_call_abandon(f->call);
	nat_service_free(f->service);
	nat_events_free(f->events);
	g_ptr_array_unref(f->answers);
	g_free(f->said);
}

/* ---- the tests ---- */

static void
described(Fixture *f, gconstpointer unused)
{
	static const char *const METHODS[] = {"Status",	     "Events", "Ping",
					      "RestartPeer", "Reload", "Metrics"};
	Description ours = description(f, NAT_SERVICE_INTERFACE);
	Description varlink = description(f, "org.varlink.service");

	g_assert_cmpstr(ours.interface, ==, NAT_SERVICE_INTERFACE);
	g_assert_cmpstr(varlink.interface, ==, "org.varlink.service");
	for (guint i = 0; i < G_N_ELEMENTS(METHODS); i++)
		g_assert_nonnull(g_hash_table_lookup(ours.methods, METHODS[i]));
	g_assert_nonnull(g_hash_table_lookup(ours.errors, "NoSuchPeer"));
	g_assert_nonnull(g_hash_table_lookup(varlink.methods, "GetInfo"));
	ask(f, "{\"method\":\"org.varlink.service.GetInfo\"}");
	check_struct(&varlink, g_hash_table_lookup(varlink.answers, "GetInfo"), answered(f),
		     "GetInfo");
}

static void
status_as_described(Fixture *f, gconstpointer unused)
{
	Description d = description(f, NAT_SERVICE_INTERFACE);

	ask(f, "{\"method\":\"io.github.nat-agent.Status\"}");
	check_struct(&d, g_hash_table_lookup(d.answers, "Status"), answered(f), "Status");
	ask(f, "{\"method\":\"io.github.nat-agent.Status\",\"parameters\":{\"detail\":true,"
	       "\"peer\":\"a\",\"interface\":null}}");
	check_struct(&d, g_hash_table_lookup(d.answers, "Status"), answered(f), "Status");
	expect(f,
	       "{\"method\":\"io.github.nat-agent.Status\",\"parameters\":{\"peer\":\"nobody\"}}",
	       "{\"error\":\"io.github.nat-agent.NoSuchPeer\",\"parameters\":{\"reason\":\"nobody "
	       "is "
	       "there\"}}");
}

static void
events_as_described(Fixture *f, gconstpointer unused)
{
	Description d = description(f, NAT_SERVICE_INTERFACE);
	const Type *type = g_hash_table_lookup(d.answers, "Events");
	WgKey alice = {{1}};

	for (guint kind = 0; kind < NAT_EVENT_KINDS; kind++)
		nat_events_add(f->events, "wg0", kind % 2 ? &alice : NULL, kind % 2 ? "a" : NULL,
			       (NatEventKind)kind, "text");
	ask(f, "{\"method\":\"io.github.nat-agent.Events\"}");
	g_assert_null(f->call);
	check_struct(&d, type, answered(f), "Events");
	g_assert_cmpuint(json_array_get_length(json_object_get_array_member(answered(f), "events")),
			 ==, NAT_EVENT_KINDS);
}

static void
events_followed(Fixture *f, gconstpointer unused)
{
	WgKey alice = {{1}}, bob = {{2}};
	guint before;

	nat_events_add(f->events, "wg0", &alice, "a", NAT_EVENT_PATH, "old");
	ask(f, "{\"method\":\"io.github.nat-agent.Events\",\"more\":true,\"parameters\":{\"peer\":"
	       "\"a\"}}");
	g_assert_nonnull(f->call);
	before = f->answers->len;
	nat_events_add(f->events, "wg0", NULL, NULL, NAT_EVENT_PATH, "not asked for");
	g_assert_cmpuint(f->answers->len, ==, before);
	nat_events_add(f->events, "wg0", &alice, "a", NAT_EVENT_PATH, "new");
	g_assert_cmpuint(f->answers->len, ==, before + 1);
	nat_events_add(f->events, "wg0", &bob, "a", NAT_EVENT_PATH, "another of the name");
	g_assert_cmpuint(f->answers->len, ==, before + 1);
	/* who does not read is told how much was left out */
	f->backlog = 1 << 20;
	nat_events_add(f->events, "wg0", &alice, "a", NAT_EVENT_PATH, "lost");
	nat_events_add(f->events, "wg0", &alice, "a", NAT_EVENT_PATH, "lost, too");
	g_assert_cmpuint(f->answers->len, ==, before + 1);
	f->backlog = 0;
	nat_events_add(f->events, "wg0", &alice, "a", NAT_EVENT_PATH, "read again");
	g_assert_cmpint(json_object_get_int_member(answered(f), "missed"), ==, 2);
	nat_call_abandon(g_steal_pointer(&f->call));
	nat_events_add(f->events, "wg0", &alice, "a", NAT_EVENT_PATH, "nobody listens");
	g_assert_cmpuint(f->answers->len, ==, before + 2);
	expect(f, "{\"method\":\"io.github.nat-agent.Events\",\"parameters\":{\"peer\":\"b\"}}",
	       "{\"error\":\"io.github.nat-agent.NoSuchPeer\",\"parameters\":{\"reason\":\"nobody "
	       "is "
	       "there\"}}");
}

static void
commands(Fixture *f, gconstpointer unused)
{
	expect(f,
	       "{\"method\":\"io.github.nat-agent.Ping\",\"parameters\":{\"peer\":\"a\",\"paths\":"
	       "true}}",
	       "{\"parameters\":{}}");
	g_assert_cmpstr(f->said, ==, "ping a 1");
	expect(f,
	       "{\"method\":\"io.github.nat-agent.RestartPeer\",\"parameters\":{\"interface\":"
	       "\"wg0\",\"peer\":\"b\"}}",
	       "{\"parameters\":{}}");
	g_assert_cmpstr(f->said, ==, "restart wg0 b");
	expect(f, "{\"method\":\"io.github.nat-agent.Metrics\"}",
	       "{\"parameters\":{\"text\":\"# HELP a \\\"b\\\"\\u000a\"}}");
	expect(f, "{\"method\":\"io.github.nat-agent.Reload\"}",
	       "{\"error\":\"io.github.nat-agent.Failed\",\"parameters\":{\"reason\":\"line 3 is "
	       "wrong\"}}");
}

static void
bad_calls(Fixture *f, gconstpointer unused)
{
	static const struct {
		const char *method, *parameters, *bad;
	} CALLS[] = {
		{"Status", "{\"peer\":7}", "peer"},
		{"Status", "{\"peer\":\"\"}", "peer"},
		{"Status", "{\"interface\":[]}", "interface"},
		{"Status", "{\"detail\":\"yes\"}", "detail"},
		{"Ping", "{}", "peer"},
		{"Ping", "{\"peer\":\"a\",\"paths\":1}", "paths"},
		{"RestartPeer", "{\"peer\":null}", "peer"},
		{"Events", "{\"peer\":{}}", "peer"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(CALLS); i++) {
		g_autofree char *call =
			g_strdup_printf("{\"method\":\"io.github.nat-agent.%s\",\"parameters\":%s}",
					CALLS[i].method, CALLS[i].parameters);
		g_autofree char *answer =
			g_strdup_printf("{\"error\":\"org.varlink.service.InvalidParameter\","
					"\"parameters\":{\"parameter\":\"%s\"}}",
					CALLS[i].bad);

		expect(f, call, answer);
	}
	expect(f, "{\"method\":\"io.github.nat-agent.Nothing\"}",
	       "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":"
	       "\"io.github.nat-agent.Nothing\"}}");
	expect(f, "{\"method\":\"com.example.Else\"}",
	       "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":"
	       "\"com.example\"}}");
	expect(f, "{\"method\":\"nodot\"}",
	       "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":"
	       "\"\"}}");
	expect(f,
	       "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
	       "\"interface\":\"a.b\"}}",
	       "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":"
	       "\"a.b\"}}");
}

#define ADD(name, func) g_test_add("/service/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("described", described);
	ADD("status", status_as_described);
	ADD("events", events_as_described);
	ADD("followed", events_followed);
	ADD("commands", commands);
	ADD("bad-calls", bad_calls);
	return g_test_run();
}
