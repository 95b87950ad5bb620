/* SPDX-License-Identifier: MIT */
/*
 * Server: an innernet server on its tunnel address, and a door on a unix socket for who tests. One
 * thread, one main loop.
 */
#pragma once

#include <gio/gio.h>

#include "api.h"
#include "device.h"
#include "fault.h"

#define SERVER_SAMPLE_MS 10000 /* WireGuard's endpoints are read, old invitations removed */
#define SERVER_SWAP_MS 5000    /* from `redeem` to the new key */

typedef struct {
	Db *db;
	Api api;
	Device *device;
	GPtrArray *faults; /* of Fault */
	GHashTable *calls; /* "NAME METHOD PATH STATUS" → how many */
	GPtrArray *hung;   /* connections under FAULT_HANG */
	GSocketService *http, *door;
	guint sampler;
} Server;

/* Consumes the Db. ifname NULL: no WireGuard, for tests of the API alone. */
Server *server_new_take(Db *db, const char *ifname);
void server_free(Server *server);
/* Sets up the device, listens at the tunnel address (only for what comes through the device) and at
 * the unix socket `door` (NULL: none). */
gboolean server_start(Server *server, const char *ifname, const char *door, GError **error);
void server_save(Server *server);
void server_sample(Server *server);
/* In place of the device's word. */
void server_observe(Server *server, const char *public_key, const WgEndpoint *endpoint);
void server_count(Server *server, const char *peer, const Request *request, guint status);

/* conn.c: takes a client's connection. */
gboolean conn_accept(GSocketService *service, GSocketConnection *stream, GObject *source,
		     gpointer server);
void conn_free(gpointer conn);
/* door.c: the same for the unix socket; and one command, its answer or an error. */
gboolean door_accept(GSocketService *service, GSocketConnection *stream, GObject *source,
		     gpointer server);
char *door_command(Server *server, const char *const *words, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)
