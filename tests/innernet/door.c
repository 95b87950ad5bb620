/* SPDX-License-Identifier: MIT */
/*
 * What a test may tell the server, a line of words each (parted by \x1f), answered by "ok" or
 * "error: WHY", a line end, and what there is to say. inn-server.c has the words' meaning in its
 * usage.
 */
#include "server.h"

#include <string.h>

#define INVITE_S (14 * 24 * 3600)

typedef struct {
	Server *server;
	const char *const *words; /* behind the command */
	GString *out;
} Command;

typedef gboolean (*CommandFunc)(Command *command, GError **error);

static gboolean
fail(GError **error, const char *format, const char *word)
{
	g_set_error(error, DB_ERROR, 400, "%s: %s", word, format);
	return FALSE;
}

/* VALUE of a word NAME=VALUE behind the first `from`, NULL: there is none. */
static const char *
option(const Command *command, guint from, const char *name)
{
	g_autofree char *prefix = g_strconcat(name, "=", NULL);

	for (guint i = from; command->words[i] != NULL; i++)
		if (g_str_has_prefix(command->words[i], prefix))
			return command->words[i] + strlen(prefix);
	return NULL;
}

static gboolean
has_word(const Command *command, const char *word)
{
	return g_strv_contains(command->words, word);
}

static DbPeer *
peer_of(const Command *command, GError **error)
{
	DbPeer *peer = db_peer_by_name(command->server->db, command->words[0]);

	if (peer == NULL)
		fail(error, "no such peer", command->words[0]);
	return peer;
}

static void
print_invitation(Command *command, const DbPeer *peer, const WgKey *private_key)
{
	const Db *db = command->server->db;
	const DbPeer *self = db_peer_by_id(db, DB_SERVER_ID);
	TextNet net = {peer->ip, db->address.prefix};
	WgEndpoint internal = db->address.address;
	g_autofree char *address = text_net_print(&net);
	char key[WG_KEY_STRLEN], endpoint[WG_ENDPOINT_STRLEN];

	wg_endpoint_set_port(&internal, db->port);
	g_string_append(command->out, "# An invitation to an innernet network, for one use.\n\n");
	g_string_append_printf(command->out,
			       "[interface]\nnetwork-name = \"%s\"\naddress = \"%s\"\n"
			       "private-key = \"%s\"\n\n",
			       ((DbCidr *)db->cidrs->pdata[0])->name, address,
			       wg_key_format(private_key, key));
	g_string_append_printf(command->out,
			       "[server]\npublic-key = \"%s\"\nexternal-endpoint = \"%s\"\n"
			       "internal-endpoint = \"%s\"\n",
			       self->public_key, self->endpoint,
			       wg_endpoint_format(&internal, endpoint));
}

/* A new peer with a key made here, or redeemed at once with the key that is given. */
static DbPeer *
peer_from_words(Command *command, WgKey *private_key, GError **error)
{
	const char *key = option(command, 2, "key"), *cidr_name = option(command, 2, "cidr");
	const char *expires = option(command, 2, "expires");
	const DbCidr *cidr;
	char text[WG_KEY_STRLEN];
	WgEndpoint ip;
	WgKey public;
	DbPeer *peer;

	if (!wg_endpoint_parse_address(command->words[1], 0, &ip)) {
		fail(error, "no address", command->words[1]);
		return NULL;
	}
	cidr = cidr_name != NULL ? db_cidr_by_name(command->server->db, cidr_name)
				 : db_cidr_for(command->server->db, &ip);
	if (cidr == NULL) {
		fail(error, "no CIDR for it", command->words[1]);
		return NULL;
	}
	wg_key_generate_private(private_key);
	wg_key_public_from_private(private_key, &public);
	peer = db_peer_new(command->words[0], &ip, cidr->id,
			   key != NULL ? key : wg_key_format(&public, text));
	peer->is_redeemed = key != NULL;
	peer->is_admin = has_word(command, "admin");
	if (key == NULL)
		peer->invite_expires =
			g_get_real_time() / G_USEC_PER_SEC +
			(expires == NULL ? INVITE_S : g_ascii_strtoll(expires, NULL, 10));
	return db_peer_add_take(command->server->db, peer, error);
}

static gboolean
do_add(Command *command, GError **error)
{
	WgKey private_key = {0};
	DbPeer *peer = peer_from_words(command, &private_key, error);
	gboolean ok = peer != NULL && device_add(command->server->device, peer, error);

	if (ok && !peer->is_redeemed)
		print_invitation(command, peer, &private_key);
	wg_key_clear(&private_key);
	return ok;
}

static gboolean
do_disable(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	if (peer == NULL)
		return FALSE;
	peer->is_disabled = TRUE;
	/* An admin's client changes the database alone, the server's own command the device too. */
	return has_word(command, "remotely") ||
	       device_remove(command->server->device, peer->public_key, error);
}

static gboolean
do_enable(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	if (peer == NULL)
		return FALSE;
	peer->is_disabled = FALSE;
	return device_add(command->server->device, peer, error);
}

static gboolean
do_rename(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	return peer != NULL && db_peer_rename(command->server->db, peer, command->words[1], error);
}

/* Without a key: a fresh one that nobody has the private part of. */
static gboolean
do_rekey(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);
	g_autofree char *old = peer == NULL ? NULL : g_strdup(peer->public_key);
	char text[WG_KEY_STRLEN];
	WgKey private_key, public;

	if (peer == NULL)
		return FALSE;
	wg_key_generate_private(&private_key);
	wg_key_public_from_private(&private_key, &public);
	wg_key_format(&public, text);
	if (!db_peer_set_key(command->server->db, peer,
			     command->words[1] != NULL ? command->words[1] : text, error))
		return FALSE;
	g_string_append_printf(command->out, "%s\n", peer->public_key);
	return device_swap(command->server->device, old, peer, error);
}

static gboolean
do_expire(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	if (peer == NULL)
		return FALSE;
	peer->invite_expires =
		g_get_real_time() / G_USEC_PER_SEC + g_ascii_strtoll(command->words[1], NULL, 10);
	return TRUE;
}

static gboolean
do_admin(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	if (peer != NULL)
		peer->is_admin = strcmp(command->words[1], "on") == 0;
	return peer != NULL;
}

/* As they are: also what the API would not take. */
static gboolean
do_candidates(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	if (peer == NULL)
		return FALSE;
	g_ptr_array_set_size(peer->candidates, 0);
	for (guint i = 1; command->words[i] != NULL; i++)
		g_ptr_array_add(peer->candidates, g_strdup(command->words[i]));
	return TRUE;
}

static gboolean
do_endpoint(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	if (peer == NULL)
		return FALSE;
	g_free(peer->endpoint);
	peer->endpoint =
		strcmp(command->words[1], "none") == 0 ? NULL : g_strdup(command->words[1]);
	return TRUE;
}

static gboolean
do_observe(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);
	WgEndpoint ep;

	if (peer == NULL)
		return FALSE;
	if (!wg_endpoint_parse(command->words[1], &ep))
		return fail(error, "no endpoint", command->words[1]);
	server_observe(command->server, peer->public_key, &ep);
	return TRUE;
}

static gboolean
do_cidr(Command *command, GError **error)
{
	Db *db = command->server->db;
	DbCidr *parent;
	TextNet net;

	if (!text_net_parse(command->words[1], &net))
		return fail(error, "no network", command->words[1]);
	parent = db_cidr_for(db, &net.address);
	while (parent != NULL && parent->net.prefix >= net.prefix)
		parent = db_cidr_by_id(db, parent->parent);
	return db_cidr_add(db, command->words[0], &net, parent == NULL ? 0 : parent->id, error) !=
	       NULL;
}

static gboolean
do_associate(Command *command, GError **error)
{
	Db *db = command->server->db;
	const DbCidr *a = db_cidr_by_name(db, command->words[0]);
	const DbCidr *b = db_cidr_by_name(db, command->words[1]);

	if (a == NULL || b == NULL)
		return fail(error, "no such CIDR", command->words[a == NULL ? 0 : 1]);
	if (has_word(command, "no"))
		return db_dissociate(db, a->id, b->id) || fail(error, "not associated", "no");
	return db_associate(db, a->id, b->id, error) != NULL;
}

static gboolean
do_list(Command *command, GError **error)
{
	const Db *db = command->server->db;

	for (guint i = 0; i < db->peers->len; i++) {
		const DbPeer *peer = db->peers->pdata[i];
		const WgEndpoint *ep =
			g_hash_table_lookup(command->server->api.observed, peer->public_key);
		char ip[WG_ENDPOINT_STRLEN], text[WG_ENDPOINT_STRLEN];

		g_string_append_printf(command->out, "%s %s %s %s%s%s%s\n", peer->name,
				       wg_endpoint_format_address(&peer->ip, ip), peer->public_key,
				       ep == NULL ? "-" : wg_endpoint_format(ep, text),
				       peer->is_admin ? " admin" : "",
				       peer->is_disabled ? " disabled" : "",
				       peer->is_redeemed ? "" : " invited");
	}
	return TRUE;
}

/* The candidates as they are stored, one a line. */
static gboolean
do_show(Command *command, GError **error)
{
	DbPeer *peer = peer_of(command, error);

	if (peer == NULL)
		return FALSE;
	g_string_append_printf(command->out, "endpoint %s\n",
			       peer->endpoint == NULL ? "none" : peer->endpoint);
	for (guint i = 0; i < peer->candidates->len; i++)
		g_string_append_printf(command->out, "candidate %s\n",
				       (char *)peer->candidates->pdata[i]);
	return TRUE;
}

static gboolean
do_calls(Command *command, GError **error)
{
	g_autoptr(GList) keys = g_hash_table_get_keys(command->server->calls);

	keys = g_list_sort(keys, (GCompareFunc)strcmp);
	for (GList *l = keys; l != NULL; l = l->next)
		g_string_append_printf(
			command->out, "%s %u\n", (char *)l->data,
			GPOINTER_TO_UINT(g_hash_table_lookup(command->server->calls, l->data)));
	return TRUE;
}

/* How many calls there were whose line begins with these words. */
static gboolean
do_count(Command *command, GError **error)
{
	g_autofree char *words = g_strjoinv(" ", (char **)command->words);
	g_autofree char *prefix = g_strconcat(words, " ", NULL);
	GHashTableIter iter;
	gpointer key, value;
	guint sum = 0;

	g_hash_table_iter_init(&iter, command->server->calls);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		g_autofree char *line = g_strconcat(key, " ", NULL);

		if (g_str_has_prefix(line, prefix))
			sum += GPOINTER_TO_UINT(value);
	}
	g_string_append_printf(command->out, "%u\n", sum);
	return TRUE;
}

static gboolean
do_fault(Command *command, GError **error)
{
	Fault *fault;

	if (strcmp(command->words[0], "off") == 0) {
		g_ptr_array_set_size(command->server->faults, 0);
		g_ptr_array_set_size(command->server->hung, 0);
		return TRUE;
	}
	fault = fault_parse(command->words, error);
	if (fault == NULL)
		return FALSE;
	g_ptr_array_add(command->server->faults, fault);
	return TRUE;
}

static gboolean
do_sample(Command *command, GError **error)
{
	server_sample(command->server);
	return TRUE;
}

static gboolean
do_ping(Command *command, GError **error)
{
	return TRUE;
}

static const struct {
	const char *name;
	guint words; /* at least */
	gboolean changes;
	CommandFunc func;
} commands[] = {
	{"add", 2, TRUE, do_add},
	{"admin", 2, TRUE, do_admin},
	{"associate", 2, TRUE, do_associate},
	{"calls", 0, FALSE, do_calls},
	{"candidates", 1, TRUE, do_candidates},
	{"cidr", 2, TRUE, do_cidr},
	{"count", 0, FALSE, do_count},
	{"disable", 1, TRUE, do_disable},
	{"enable", 1, TRUE, do_enable},
	{"endpoint", 2, TRUE, do_endpoint},
	{"expire", 2, TRUE, do_expire},
	{"fault", 1, FALSE, do_fault},
	{"list", 0, FALSE, do_list},
	{"observe", 2, FALSE, do_observe},
	{"ping", 0, FALSE, do_ping},
	{"rekey", 1, TRUE, do_rekey},
	{"rename", 2, TRUE, do_rename},
	{"sample", 0, FALSE, do_sample},
	{"show", 1, FALSE, do_show},
};

char *
door_command(Server *server, const char *const *words, GError **error)
{
	g_autoptr(GString) out = g_string_new(NULL);
	guint n = g_strv_length((char **)words);

	for (guint i = 0; n > 0 && i < G_N_ELEMENTS(commands); i++) {
		Command command = {server, words + 1, out};

		if (strcmp(commands[i].name, words[0]) != 0 || n - 1 < commands[i].words)
			continue;
		if (!commands[i].func(&command, error))
			return NULL;
		if (commands[i].changes)
			server_save(server);
		return g_string_free(g_steal_pointer(&out), FALSE);
	}
	fail(error, "no such command, or too few words", n == 0 ? "" : words[0]);
	return NULL;
}

typedef struct {
	Server *server;
	GIOStream *stream;
	GDataInputStream *in;
	char *out;
} Door;

static void
door_free(Door *door)
{
	g_io_stream_close(door->stream, NULL, NULL);
	g_object_unref(door->in);
	g_object_unref(door->stream);
	g_free(door->out);
	g_free(door);
}

static void
on_door_written(GObject *object, GAsyncResult *result, gpointer data)
{
	g_output_stream_write_all_finish(G_OUTPUT_STREAM(object), result, NULL, NULL);
	door_free(data);
}

static void
on_line(GObject *object, GAsyncResult *result, gpointer data)
{
	Door *door = data;
	g_autofree char *line = g_data_input_stream_read_line_finish(G_DATA_INPUT_STREAM(object),
								     result, NULL, NULL);
	g_auto(GStrv) words = g_strsplit(line == NULL ? "" : line, "\x1f", -1);
	g_autoptr(GError) error = NULL;
	g_autofree char *text = door_command(door->server, (const char *const *)words, &error);

	door->out = text != NULL ? g_strconcat("ok\n", text, NULL)
				 : g_strdup_printf("error: %s\n", error->message);
	g_output_stream_write_all_async(g_io_stream_get_output_stream(door->stream), door->out,
					strlen(door->out), G_PRIORITY_DEFAULT, NULL,
					on_door_written, door);
}

gboolean
door_accept(GSocketService *service, GSocketConnection *stream, GObject *source, gpointer data)
{
	Door *door = g_new0(Door, 1);

	door->server = data;
	door->stream = g_object_ref(G_IO_STREAM(stream));
	door->in = g_data_input_stream_new(g_io_stream_get_input_stream(door->stream));
	g_data_input_stream_read_line_async(door->in, G_PRIORITY_DEFAULT, NULL, on_line, door);
	return TRUE;
}
