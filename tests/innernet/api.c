/* SPDX-License-Identifier: MIT */
/*
 * The order of the checks is the original's, because it decides which status a caller sees who is
 * wrong in two ways: path below /v1, key and source address, resource, right, then the body.
 */
#include "api.h"
#include "form.h"
#include "strict.h"

#include <string.h>

typedef struct {
	Api *api;
	const ApiCall *call;
	ApiAnswer *answer;
	DbPeer *peer; /* who calls */
	char **words; /* of the path, behind "v1", NULL-terminated */
} Session;

typedef void (*Handler)(Session *session);

void
api_answer_clear(ApiAnswer *answer)
{
	g_clear_pointer(&answer->body, g_free);
}

static void
say(Session *session, guint status)
{
	session->answer->status = status;
}

static void
say_json(Session *session, guint status, JsonBuilder *builder)
{
	session->answer->status = status;
	session->answer->body = form_print(builder);
}

static void
say_error(Session *session, const GError *error)
{
	say(session, error->domain == DB_ERROR ? (guint)error->code : 400);
}

/* What came of a change. */
static void
say_done(Session *session, gboolean ok, const GError *error, guint status)
{
	if (!ok) {
		say_error(session, error);
		return;
	}
	session->answer->changed = TRUE;
	say(session, status);
}

static const WgEndpoint *
observed(const Session *session, const DbPeer *peer)
{
	return g_hash_table_lookup(session->api->observed, peer->public_key);
}

/* The body, or NULL with a status (0: it is to be read first). */
static JsonNode *
form_of(Session *session)
{
	const Request *request = session->call->request;
	JsonNode *node;

	if (!request->has_length || request->is_chunked || request->length > API_BODY_MAX) {
		say(session, 400);
		return NULL;
	}
	if (session->call->body == NULL) {
		say(session, 0);
		return NULL;
	}
	node = strict_parse(session->call->body, session->call->body_len, NULL);
	if (node == NULL)
		say(session, 400);
	return node;
}

static void
list_cidrs(Session *session, JsonBuilder *builder)
{
	GPtrArray *cidrs = session->api->db->cidrs;

	json_builder_begin_array(builder);
	for (guint i = 0; i < cidrs->len; i++)
		form_add_cidr(builder, cidrs->pdata[i]);
	json_builder_end_array(builder);
}

static void
list_peers(Session *session, JsonBuilder *builder, GPtrArray *peers)
{
	json_builder_begin_array(builder);
	for (guint i = 0; i < peers->len; i++)
		form_add_peer(builder, peers->pdata[i], observed(session, peers->pdata[i]));
	json_builder_end_array(builder);
}

static void
user_state(Session *session)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(GPtrArray) peers = db_visible(session->api->db, session->peer);

	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "peers");
	list_peers(session, builder, peers);
	json_builder_set_member_name(builder, "cidrs");
	list_cidrs(session, builder);
	json_builder_end_object(builder);
	say_json(session, 200, builder);
}

static void
user_capabilities(Session *session)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();

	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "unspecified_ip_in_override_endpoint");
	json_builder_add_boolean_value(builder, TRUE);
	json_builder_end_object(builder);
	say_json(session, 200, builder);
}

static void
user_redeem(Session *session)
{
	g_autoptr(JsonNode) form = form_of(session);
	g_autofree char *old_key = g_strdup(session->peer->public_key);
	g_autoptr(GError) error = NULL;
	gboolean ok = TRUE;
	const char *key;

	if (form == NULL)
		return;
	key = JSON_NODE_HOLDS_OBJECT(form)
		      ? strict_string(json_node_get_object(form), "public_key", &ok)
		      : NULL;
	if (key == NULL) {
		say(session, 400);
		return;
	}
	ok = db_peer_redeem(session->api->db, session->peer, key, session->call->now, &error);
	say_done(session, ok, error, 204);
	if (ok)
		session->api->peer_redeemed(session->peer, old_key, session->api->user_data);
}

static void
user_endpoint(Session *session)
{
	g_autoptr(JsonNode) form = form_of(session);
	char *endpoint;

	if (form == NULL)
		return;
	if (!form_read_endpoint_option(form, &endpoint)) {
		say(session, 400);
		return;
	}
	g_free(session->peer->endpoint);
	session->peer->endpoint = endpoint;
	say_done(session, TRUE, NULL, 204);
}

static void
user_candidates(Session *session)
{
	g_autoptr(JsonNode) form = form_of(session);
	g_autoptr(GPtrArray) list = form == NULL ? NULL : form_read_endpoints(form);

	if (form == NULL)
		return;
	if (list == NULL || list->len > API_CANDIDATES_MAX) {
		say(session, list == NULL ? 400 : 413);
		return;
	}
	g_ptr_array_unref(session->peer->candidates);
	session->peer->candidates = g_steal_pointer(&list);
	say_done(session, TRUE, NULL, 204);
}

static void
admin_peers(Session *session)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();

	list_peers(session, builder, session->api->db->peers);
	say_json(session, 200, builder);
}

static void
admin_peer_create(Session *session)
{
	g_autoptr(JsonNode) form = form_of(session);
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(GError) error = NULL;
	DbPeer *peer;

	if (form == NULL)
		return;
	peer = form_read_peer(form, &error);
	if (peer != NULL)
		peer = db_peer_add_take(session->api->db, peer, &error);
	if (peer == NULL) {
		say_error(session, error);
		return;
	}
	session->answer->changed = TRUE;
	if (!session->api->peer_added(peer, session->api->user_data)) {
		say(session, 500);
		return;
	}
	form_add_stored_peer(builder, peer);
	say_json(session, 201, builder);
}

/* The one that the path names. */
static DbPeer *
peer_of_path(Session *session)
{
	char *end;
	gint64 id = g_ascii_strtoll(session->words[2], &end, 10);
	DbPeer *peer = *end != 0 ? NULL : db_peer_by_id(session->api->db, id);

	if (peer == NULL)
		say(session, 404);
	return peer;
}

static void
admin_peer_update(Session *session)
{
	g_autoptr(JsonNode) form = form_of(session);
	g_autoptr(GError) error = NULL;
	g_autoptr(DbPeer) wish = form == NULL ? NULL : form_read_peer(form, &error);
	DbPeer *peer;

	if (form == NULL)
		return;
	if (wish == NULL) {
		say_error(session, error);
		return;
	}
	peer = peer_of_path(session);
	if (peer == NULL)
		return;
	if (db_peer_rename(session->api->db, peer, wish->name, &error)) {
		g_free(peer->endpoint);
		peer->endpoint = g_steal_pointer(&wish->endpoint);
		peer->is_admin = wish->is_admin;
		peer->is_disabled = wish->is_disabled;
		g_ptr_array_unref(peer->candidates);
		peer->candidates = g_ptr_array_ref(wish->candidates);
	}
	say_done(session, error == NULL, error, 204);
}

static void
admin_peer_delete(Session *session)
{
	DbPeer *peer = peer_of_path(session);

	if (peer == NULL)
		return;
	peer->is_disabled = TRUE;
	say_done(session, TRUE, NULL, 204);
}

static void
admin_cidrs(Session *session)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();

	list_cidrs(session, builder);
	say_json(session, 200, builder);
}

static void
admin_cidr_create(Session *session)
{
	g_autoptr(JsonNode) form = form_of(session);
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(DbCidr) wish = form == NULL ? NULL : form_read_cidr(form, &error);
	const DbCidr *cidr;

	if (form == NULL)
		return;
	cidr = wish == NULL ? NULL
			    : db_cidr_add(session->api->db, wish->name, &wish->net, wish->parent,
					  &error);
	if (cidr == NULL) {
		say_error(session, error);
		return;
	}
	session->answer->changed = TRUE;
	form_add_cidr(builder, cidr);
	say_json(session, 201, builder);
}

static void
admin_cidr_delete(Session *session)
{
	g_autoptr(GError) error = NULL;
	gint64 id = g_ascii_strtoll(session->words[2], NULL, 10);
	gboolean ok = db_cidr_remove(session->api->db, id, &error);

	say_done(session, ok, error, 204);
}

static void
admin_associations(Session *session)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	GPtrArray *list = session->api->db->associations;

	json_builder_begin_array(builder);
	for (guint i = 0; i < list->len; i++) {
		const DbAssociation *association = list->pdata[i];

		json_builder_begin_object(builder);
		json_builder_set_member_name(builder, "id");
		json_builder_add_int_value(builder, association->id);
		json_builder_set_member_name(builder, "cidr_id_1");
		json_builder_add_int_value(builder, association->a);
		json_builder_set_member_name(builder, "cidr_id_2");
		json_builder_add_int_value(builder, association->b);
		json_builder_end_object(builder);
	}
	json_builder_end_array(builder);
	say_json(session, 200, builder);
}

static void
admin_associate(Session *session)
{
	g_autoptr(JsonNode) form = form_of(session);
	g_autoptr(GError) error = NULL;
	gboolean ok = form != NULL && JSON_NODE_HOLDS_OBJECT(form);
	gint64 a = 0, b = 0;

	if (form == NULL)
		return;
	if (ok) {
		a = strict_int(json_node_get_object(form), "cidr_id_1", 1, G_MAXINT64, &ok);
		b = strict_int(json_node_get_object(form), "cidr_id_2", 1, G_MAXINT64, &ok);
	}
	if (!ok) {
		say(session, 400);
		return;
	}
	ok = db_associate(session->api->db, a, b, &error) != NULL;
	say_done(session, ok, error, 201);
}

static void
admin_dissociate(Session *session)
{
	GPtrArray *list = session->api->db->associations;
	gint64 id = g_ascii_strtoll(session->words[2], NULL, 10);

	for (guint i = 0; i < list->len; i++) {
		const DbAssociation *association = list->pdata[i];

		if (association->id == id)
			g_ptr_array_remove_index(list, i--);
	}
	say_done(session, TRUE, NULL, 204);
}

enum { ANY, USER, REDEEMABLE }; /* who may call */

static const struct {
	const char *method, *resource;
	gint right;
	Handler handler;
} user_routes[] = {
	{"GET", "state", USER, user_state},
	{"GET", "capabilities", ANY, user_capabilities},
	{"POST", "redeem", REDEEMABLE, user_redeem},
	{"PUT", "endpoint", USER, user_endpoint},
	{"PUT", "candidates", USER, user_candidates},
};

static const struct {
	const char *method, *resource;
	gboolean with_id;
	Handler handler;
} admin_routes[] = {
	{"GET", "peers", FALSE, admin_peers},
	{"POST", "peers", FALSE, admin_peer_create},
	{"PUT", "peers", TRUE, admin_peer_update},
	{"DELETE", "peers", TRUE, admin_peer_delete},
	{"GET", "cidrs", FALSE, admin_cidrs},
	{"POST", "cidrs", FALSE, admin_cidr_create},
	{"DELETE", "cidrs", TRUE, admin_cidr_delete},
	{"GET", "associations", FALSE, admin_associations},
	{"POST", "associations", FALSE, admin_associate},
	{"DELETE", "associations", TRUE, admin_dissociate},
};

/* What follows the resource in the path is of no importance to it. */
static void
route_user(Session *session)
{
	const char *method = session->call->request->method;

	for (guint i = 0; i < G_N_ELEMENTS(user_routes); i++) {
		gint right = user_routes[i].right;

		if (strcmp(method, user_routes[i].method) != 0 ||
		    g_strcmp0(session->words[1], user_routes[i].resource) != 0)
			continue;
		if (right != ANY && session->peer->is_redeemed != (right == USER))
			say(session, 401);
		else
			user_routes[i].handler(session);
		return;
	}
	say(session, 404);
}

static void
route_admin(Session *session)
{
	const char *method = session->call->request->method;
	gboolean with_id = session->words[1] != NULL && session->words[2] != NULL;

	if (!session->peer->is_admin || !session->peer->is_redeemed) {
		say(session, 401);
		return;
	}
	for (guint i = 0; i < G_N_ELEMENTS(admin_routes); i++) {
		if (strcmp(method, admin_routes[i].method) != 0 ||
		    g_strcmp0(session->words[1], admin_routes[i].resource) != 0 ||
		    with_id != admin_routes[i].with_id)
			continue;
		admin_routes[i].handler(session);
		return;
	}
	say(session, 404);
}

static gboolean
has_key(const Session *session)
{
	const char *text = session->call->request->server_key;
	WgKey key;

	return text != NULL && wg_key_parse(text, &key) &&
	       wg_key_equal(&key, &session->api->public_key);
}

void
api_answer(Api *api, const ApiCall *call, ApiAnswer *answer)
{
	const char *path = call->request->path;
	g_auto(GStrv) words = g_strsplit(path + strspn(path, "/"), "/", -1);
	Session session = {api, call, answer, db_peer_by_ip(api->db, &call->source), words + 1};

	memset(answer, 0, sizeof *answer);
	if (words[0] == NULL || strcmp(words[0], "v1") != 0)
		say(&session, 404);
	else if (!has_key(&session) || session.peer == NULL || session.peer->is_disabled)
		say(&session, 401);
	else if (g_strcmp0(words[1], "user") == 0)
		route_user(&session);
	else if (g_strcmp0(words[1], "admin") == 0)
		route_admin(&session);
	else
		say(&session, 404);
}
