/* SPDX-License-Identifier: MIT */
/*
 * An innernet server that says whatever a test wants, on a port of the kernel's choice, in the
 * default context: it keeps our list of candidates as a real one does, unless it is told
 * otherwise. And an Inn that asks it.
 */
#pragma once

#include "agent/innernet/inn.h"
#include "tests/unit/net-util.h"
#include "tests/unit/scratch.h"

#include <glib/gstdio.h>
#include <string.h>

#define PATIENCE_MS 60000
#define KEY_OWN "/wTBW0HqEyJiRYE9/eLlG2+9JxCcVXzHeLtlDl0BuCw="
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define INNERNETS "\"192.168.1.2:51820\"" /* what an innernet daemon of this host reports */

typedef struct {
	GSocketService *service; /* NULL: it refuses connections */
	int refusing;		 /* the socket that holds the port */
	WgEndpoint addr;
	guint state_status, put_status;
	const char *state_text;		  /* NULL: the state as it is */
	const char *b_key, *b_candidates; /* of our one peer, at 10.66.1.2 */
	const char *b_more;		  /* other records, each with a comma before it */
	const char *appended;		  /* to our own record's list */
	gboolean erased;	     /* our record shows what an innernet daemon reported instead */
	gboolean hold_get, hold_put; /* they are heard, and not answered */
	gboolean drop_get;	     /* the connection ends instead of an answer */
	char *ours;		     /* the list as we put it; NULL: none */
	GString *log;		     /* a letter per request: G, P */
	guint gets, puts, held;
	GPtrArray *connections; /* of Conn */
} Server;

typedef struct {
	Server *server;
	GSocketConnection *stream;
	GCancellable *cancellable;
	GString *request;
	char buf[4096];
} Conn;

static inline void
conn_free(gpointer data)
{
	Conn *conn = data;

	g_io_stream_close(G_IO_STREAM(conn->stream), NULL, NULL);
	g_object_unref(conn->stream);
	g_object_unref(conn->cancellable);
	g_string_free(conn->request, TRUE);
	g_free(conn);
}

/* ---- what it says ---- */

static inline char *
server_record(guint id, const char *name, const char *ip, const char *key, const char *endpoint,
	      const char *candidates)
{
	return g_strdup_printf("{\"id\":%u,\"name\":\"%s\",\"ip\":\"%s\",\"cidr_id\":1,"
			       "\"public_key\":\"%s\",\"endpoint\":%s,"
			       "\"persistent_keepalive_interval\":25,\"is_admin\":false,"
			       "\"is_disabled\":false,\"is_redeemed\":true,\"invite_expires\":null,"
			       "\"candidates\":[%s]}",
			       id, name, ip, key, endpoint, candidates);
}

static inline char *
server_own_list(const Server *server)
{
	g_autofree char *inside = NULL;

	if (server->erased || server->ours == NULL)
		return g_strdup(INNERNETS);
	inside = g_strndup(server->ours + 1, strlen(server->ours) - 2);
	return g_strconcat(inside, server->appended, NULL);
}

static inline char *
server_state(const Server *server)
{
	g_autofree char *list = server_own_list(server);
	g_autofree char *own =
		server_record(2, "own", "10.66.1.1", KEY_OWN, "\"198.51.100.7:4000\"", list);
	g_autofree char *b = server_record(3, "b", "10.66.1.2", server->b_key,
					   "\"203.0.113.9:5000\"", server->b_candidates);

	return g_strconcat("{\"peers\":[", own, ",", b, server->b_more ? server->b_more : "",
			   "],\"cidrs\":[]}", NULL);
}

static inline void
server_reply(Conn *conn, guint status, const char *body)
{
	g_autofree char *text =
		g_strdup_printf("HTTP/1.1 %u Word\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n%s",
				status, strlen(body), body);
	GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(conn->stream));

	g_output_stream_write_all(out, text, strlen(text), NULL, NULL, NULL);
}

/* FALSE: it is held. */
static inline gboolean
server_answer_get(Server *server, Conn *conn)
{
	g_autofree char *state = server_state(server);

	server->gets++;
	g_string_append_c(server->log, 'G');
	if (server->hold_get || server->drop_get)
		return server->drop_get;
	server_reply(conn, server->state_status, server->state_text ? server->state_text : state);
	return TRUE;
}

static inline gboolean
server_answer_put(Server *server, Conn *conn, const char *body)
{
	gboolean taken = server->put_status == 204;

	server->puts++;
	g_string_append_c(server->log, 'P');
	if (taken) {
		g_free(server->ours);
		server->ours = g_strdup(body);
	}
	if (server->hold_put)
		return FALSE;
	server_reply(conn, server->put_status, "");
	return TRUE;
}

/* What was held is answered now. */
static inline void
server_release(Server *server, guint status)
{
	server->hold_get = server->hold_put = FALSE;
	for (; server->held > 0; server->held--) {
		server_reply(g_ptr_array_index(server->connections, 0), status, "");
		g_ptr_array_remove_index(server->connections, 0);
	}
}

/* NULL: more is to come. */
static inline const char *
conn_body(const Conn *conn)
{
	const char *end = strstr(conn->request->str, "\r\n\r\n");
	const char *length = strstr(conn->request->str, "Content-Length: ");
	gsize wanted = length != NULL ? g_ascii_strtoull(length + 16, NULL, 10) : 0;

	return end != NULL && strlen(end + 4) >= wanted ? end + 4 : NULL;
}

static inline void
server_answer(Conn *conn, const char *body)
{
	Server *server = conn->server;
	gboolean put = g_str_has_prefix(conn->request->str, "PUT /v1/user/candidates ");

	g_assert_true(put || g_str_has_prefix(conn->request->str, "GET /v1/user/state "));
	if (put ? server_answer_put(server, conn, body) : server_answer_get(server, conn))
		g_ptr_array_remove(server->connections, conn);
	else
		server->held++;
}

static inline void conn_read(Conn *conn);

static inline void
conn_on_read(GObject *object, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	gssize n = g_input_stream_read_finish(G_INPUT_STREAM(object), result, &error);
	Conn *conn = user_data;
	const char *body;

	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return;
	if (n <= 0) {
		g_ptr_array_remove(conn->server->connections, conn);
		return;
	}
	g_string_append_len(conn->request, conn->buf, n);
	body = conn_body(conn);
	if (body != NULL)
		server_answer(conn, body);
	else
		conn_read(conn);
}

static inline void
conn_read(Conn *conn)
{
	g_input_stream_read_async(g_io_stream_get_input_stream(G_IO_STREAM(conn->stream)),
				  conn->buf, sizeof conn->buf, G_PRIORITY_DEFAULT,
				  conn->cancellable, conn_on_read, conn);
}

static inline gboolean
server_on_incoming(GSocketService *service, GSocketConnection *stream, GObject *source,
		   gpointer user_data)
{
	Server *server = user_data;
	Conn *conn = g_new0(Conn, 1);

	conn->server = server;
	conn->stream = g_object_ref(stream);
	conn->cancellable = g_cancellable_new();
	conn->request = g_string_new(NULL);
	g_ptr_array_add(server->connections, conn);
	conn_read(conn);
	return TRUE;
}

/* ---- its life ---- */

static inline void
server_listen(Server *server)
{
	g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
	g_autoptr(GSocketAddress) any = g_inet_socket_address_new(loopback, 0), got = NULL;
	g_autoptr(GError) error = NULL;

	server->service = g_socket_service_new();
	g_socket_listener_add_address(G_SOCKET_LISTENER(server->service), any, G_SOCKET_TYPE_STREAM,
				      G_SOCKET_PROTOCOL_TCP, NULL, &got, &error);
	g_assert_no_error(error);
	server->addr = net_ep("127.0.0.1:1");
	wg_endpoint_set_port(&server->addr,
			     g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(got)));
	g_signal_connect(server->service, "incoming", G_CALLBACK(server_on_incoming), server);
	g_socket_service_start(server->service);
}

/* Nobody listens at the port, and nobody else can have it. */
static inline void
server_refuse(Server *server)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof addr;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->refusing = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(server->refusing, (struct sockaddr *)&addr, sizeof addr), ==, 0);
	g_assert_cmpint(getsockname(server->refusing, (struct sockaddr *)&addr, &len), ==, 0);
	g_assert_true(wg_endpoint_from_sockaddr(&server->addr, &addr, len));
}

static inline void
server_init(Server *server, gboolean listens)
{
	*server = (Server){
		.refusing = -1,
		.state_status = 200,
		.put_status = 204,
		.b_key = KEY_B,
		.b_candidates = "\"[100::1:2:3:4]:28225\",\"[100::5:6:0:0]:28226\","
				"\"203.0.113.9:5000\"",
		.appended = "",
		.log = g_string_new(NULL),
		.connections = g_ptr_array_new_with_free_func(conn_free),
	};
	if (listens)
		server_listen(server);
	else
		server_refuse(server);
}

static inline void
server_clear(Server *server)
{
	if (server->service != NULL) {
		g_socket_service_stop(server->service);
		g_socket_listener_close(G_SOCKET_LISTENER(server->service));
		g_clear_object(&server->service);
	}
	if (server->refusing >= 0)
		close(server->refusing);
	for (guint i = 0; i < server->connections->len; i++)
		g_cancellable_cancel(
			((Conn *)g_ptr_array_index(server->connections, i))->cancellable);
	while (g_main_context_iteration(NULL, FALSE)) /* what was cancelled says so */
		;
	g_ptr_array_unref(server->connections);
	g_string_free(server->log, TRUE);
	g_free(server->ours);
}

/* ---- the Inn that asks it ---- */

typedef struct {
	Server server;
	char *dir, *store;
	InnConf conf;
	InnParams params;
	Inn *inn;
	GArray *candidates; /* of NatCandidate: ours */
	gboolean decline;   /* to be the run that published last */
	/* what it said */
	guint changed, unreachable, resumed;
	guint32 watch_id, base;
} World;

static inline void
world_changed(gpointer user_data)
{
	((World *)user_data)->changed++;
}

static inline void
world_unreachable(gpointer user_data)
{
	((World *)user_data)->unreachable++;
}

static inline gboolean
world_resumed(guint32 watch_id, guint32 base, gpointer user_data)
{
	World *world = user_data;

	world->resumed++;
	if (world->decline)
		return FALSE;
	world->watch_id = watch_id;
	world->base = base;
	return TRUE;
}

static inline void
world_facts(InnPollFacts *facts, gpointer user_data)
{
	facts->unconnected = TRUE;
}

static inline GArray *
world_candidates(gpointer user_data)
{
	return g_array_copy(((World *)user_data)->candidates);
}

static inline NatMapping
world_mapping(gpointer user_data)
{
	return NAT_MAPPING_NONE;
}

static const InnFuncs WORLD_FUNCS = {
	.changed = world_changed,
	.resumed = world_resumed,
	.unreachable = world_unreachable,
	.facts = world_facts,
	.candidates = world_candidates,
	.mapping = world_mapping,
};

static inline void
world_offer(World *world, const char *endpoint)
{
	NatCandidate cand = {.type = NAT_CAND_HOST, .endpoint = net_ep(endpoint)};

	g_array_append_val(world->candidates, cand);
}

/* A run of the agent, under a watch id of its own. */
static inline void
world_run(World *world, guint32 watch_id)
{
	world->conf.server_internal = world->server.addr;
	world->watch_id = world->params.watch_id = watch_id;
	world->changed = world->unreachable = world->resumed = world->base = 0;
	world->inn = inn_new(&world->params, &WORLD_FUNCS, world);
	inn_start(world->inn);
}

static inline void
world_end_run(World *world)
{
	g_clear_pointer(&world->inn, inn_free);
}

/* Another server from now on; runs ended. */
static inline void
world_swap_server(World *world, gboolean listens)
{
	g_assert_null(world->inn);
	server_clear(&world->server);
	server_init(&world->server, listens);
}

static inline void
world_set_up(World *world, gconstpointer data)
{
	server_init(&world->server, TRUE);
	world->dir = g_dir_make_tmp("inn.XXXXXX", NULL);
	world->store = g_build_filename(world->dir, "wg0.json", NULL);
	world->candidates = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	world_offer(world, "192.168.1.2:51820");
	world->params = (InnParams){
		.ifname = "wg0",
		.conf = &world->conf,
		.store_path = world->store,
		.state_dir = world->dir,
	};
	g_assert_true(wg_key_parse(KEY_OWN, &world->params.public_key));
}

static inline void
world_tear_down(World *world, gconstpointer data)
{
	world_end_run(world);
	server_clear(&world->server);
	scratch_remove(world->dir);
	g_array_unref(world->candidates);
	g_free(world->store);
}

/* ---- conditions ---- */

typedef gboolean (*WorldCond)(const World *world);

static inline void
world_wait(World *world, WorldCond cond)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

	while (!cond(world)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	}
}

/* What has begun goes on. */
static inline void
world_pass(int ms)
{
	gint64 end = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;

	while (g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
}

static inline void
world_wait_gets(World *world, guint n)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

	while (world->server.gets < n) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	}
}

/* Two more readings: the first one was answered, and acted on, when the second begins. */
static inline void
world_read(World *world)
{
	guint seen = world->server.gets;

	inn_hurry(world->inn);
	world_wait_gets(world, seen + 1);
	inn_hurry(world->inn);
	world_wait_gets(world, seen + 2);
}

static inline gboolean
world_was_put(const World *world)
{
	g_autoptr(GArray) list = inn_beacon_list(inn_generation(world->inn), world->watch_id,
						 NAT_MAPPING_NONE, world->candidates);
	g_autofree char *json = inn_beacon_json(list);

	return g_strcmp0(world->server.ours, json) == 0;
}
