/* SPDX-License-Identifier: MIT */
#include "server.h"
#include "db-file.h"
#include "local.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
	Server *server;
	gint64 peer_id;
	char *old_key;
} Swap;

static void
swap_free(gpointer data)
{
	Swap *swap = data;

	g_free(swap->old_key);
	g_free(swap);
}

static gboolean
on_swap(gpointer data)
{
	Swap *swap = data;
	const DbPeer *peer = db_peer_by_id(swap->server->db, swap->peer_id);
	g_autoptr(GError) error = NULL;

	if (peer != NULL && !device_swap(swap->server->device, swap->old_key, peer, &error))
		g_printerr("inn-server: %s: %s\n", peer->name, error->message);
	return G_SOURCE_REMOVE;
}

static void
on_redeemed(const DbPeer *peer, const char *old_key, gpointer user_data)
{
	Swap *swap = g_new0(Swap, 1);

	*swap = (Swap){user_data, peer->id, g_strdup(old_key)};
	g_timeout_add_full(G_PRIORITY_DEFAULT, SERVER_SWAP_MS, on_swap, swap, swap_free);
}

static gboolean
on_added(const DbPeer *peer, gpointer user_data)
{
	Server *server = user_data;

	return device_add(server->device, peer, NULL);
}

Server *
server_new_take(Db *db, const char *ifname)
{
	Server *server = g_new0(Server, 1);

	server->db = db;
	server->device = device_new(ifname);
	server->faults = g_ptr_array_new_with_free_func(fault_free);
	server->hung = g_ptr_array_new_with_free_func(conn_free);
	server->calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	server->api = (Api){
		.db = db,
		.observed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
		.peer_added = on_added,
		.peer_redeemed = on_redeemed,
		.user_data = server,
	};
	wg_key_public_from_private(&db->private_key, &server->api.public_key);
	return server;
}

static void
service_free(GSocketService *service)
{
	g_socket_service_stop(service);
	g_socket_listener_close(G_SOCKET_LISTENER(service));
	g_object_unref(service);
}

void
server_free(Server *server)
{
	if (server == NULL)
		return;
	if (server->sampler != 0)
		g_source_remove(server->sampler);
	g_clear_pointer(&server->http, service_free);
	g_clear_pointer(&server->door, service_free);
	g_ptr_array_unref(server->hung);
	g_ptr_array_unref(server->faults);
	g_hash_table_unref(server->calls);
	g_hash_table_unref(server->api.observed);
	device_free(server->device);
	db_free(server->db);
	g_free(server);
}

void
server_save(Server *server)
{
	g_autoptr(GError) error = NULL;

	if (!db_save(server->db, &error))
		g_printerr("inn-server: %s\n", error->message);
}

void
server_sample(Server *server)
{
	device_sample(server->device, server->api.observed);
}

void
server_observe(Server *server, const char *public_key, const WgEndpoint *endpoint)
{
	g_hash_table_insert(server->api.observed, g_strdup(public_key),
			    g_memdup2(endpoint, sizeof *endpoint));
}

static gboolean
on_sample(gpointer data)
{
	Server *server = data;

	server_sample(server);
	if (db_sweep(server->db, g_get_real_time() / G_USEC_PER_SEC) > 0)
		server_save(server);
	return G_SOURCE_CONTINUE;
}

void
server_count(Server *server, const char *peer, const Request *request, guint status)
{
	char *line = g_strdup_printf("%s %s %s %u", peer == NULL ? "-" : peer, request->method,
				     request->path, status);
	guint n = GPOINTER_TO_UINT(g_hash_table_lookup(server->calls, line));

	g_hash_table_replace(server->calls, line, GUINT_TO_POINTER(n + 1));
}

/* Bound to the interface as well: a packet from elsewhere may bear any source address. */
static GSocket *
listen_at(const Db *db, const char *ifname, GError **error)
{
	WgEndpoint ep = db->address.address;
	g_autoptr(GSocketAddress) address = NULL;
	g_autoptr(GSocket) socket = NULL;

	wg_endpoint_set_port(&ep, db->port);
	address = g_socket_address_new_from_native(&ep, wg_endpoint_socklen(&ep));
	socket = g_socket_new(g_socket_address_get_family(address), G_SOCKET_TYPE_STREAM,
			      G_SOCKET_PROTOCOL_TCP, error);
	if (socket == NULL || !g_socket_bind(socket, address, TRUE, error))
		return NULL;
	if (ifname != NULL && setsockopt(g_socket_get_fd(socket), SOL_SOCKET, SO_BINDTODEVICE,
					 ifname, strlen(ifname)) < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", ifname,
			    g_strerror(errno));
		return NULL;
	}
	if (!g_socket_listen(socket, error))
		return NULL;
	return g_steal_pointer(&socket);
}

static gboolean
open_door(Server *server, const char *path, GError **error)
{
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);

	unlink(path);
	server->door = g_socket_service_new();
	if (!g_socket_listener_add_address(G_SOCKET_LISTENER(server->door), address,
					   G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL,
					   NULL, error))
		return FALSE;
	g_signal_connect(server->door, "incoming", G_CALLBACK(door_accept), server);
	return TRUE;
}

gboolean
server_start(Server *server, const char *ifname, const char *door, GError **error)
{
	DbPeer *self = db_peer_by_id(server->db, DB_SERVER_ID);
	g_autoptr(GSocket) socket = NULL;

	if (!device_start(server->device, server->db, error))
		return FALSE;
	socket = listen_at(server->db, ifname, error);
	if (socket == NULL)
		return FALSE;
	g_ptr_array_unref(self->candidates);
	self->candidates = local_candidates(server->db->port);
	server_save(server);
	server->http = g_socket_service_new();
	if (!g_socket_listener_add_socket(G_SOCKET_LISTENER(server->http), socket, NULL, error))
		return FALSE;
	g_signal_connect(server->http, "incoming", G_CALLBACK(conn_accept), server);
	on_sample(server);
	server->sampler = g_timeout_add(SERVER_SAMPLE_MS, on_sample, server);
	return door == NULL || open_door(server, door, error);
}
