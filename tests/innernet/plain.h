/* SPDX-License-Identifier: MIT */
/*
 * inn-plain: an innernet client as it is without us, with its rules and its waits. Blocking, one
 * thread. What it holds of files and states is small; most functions belong to one source of
 * theirs.
 */
#pragma once

#include "db.h"

#include "wgctl/wg-ctl.h"

#define PLAIN_CONNECTED_S 180	  /* a handshake younger than that */
#define PLAIN_CANDIDATES_TRIED 10 /* and the endpoint */
#define PLAIN_STEP_US (5 * G_USEC_PER_SEC)
#define PLAIN_HTTP_US (10 * G_USEC_PER_SEC) /* of a call, all in all */
#define PLAIN_HTTP_MAX (10 * 1024 * 1024)   /* bytes of an answer */

/* plain-conf.c: the file of an interface, as far as it is of use here. */
typedef struct {
	TextNet address;
	WgKey private_key;
	guint16 listen_port; /* 0: any */
	WgKey server_key;
	char *external_endpoint;
	WgEndpoint internal_endpoint;
	GHashTable *overrides; /* address as text → endpoint as text */
} PlainConf;

PlainConf *plain_conf_load(const char *path, GError **error);
void plain_conf_free(PlainConf *conf);

/* plain-http.c: status of the answer, its body in *body (transfer full), or 0: nothing was
 * answered, because of *error; -1: an answer began and was bad. */
gint plain_http(const PlainConf *conf, const char *method, const char *path, const char *json,
		char **body, GError **error);

/* plain-store.c: what is known of the network. */
typedef struct {
	GPtrArray *peers; /* of DbPeer */
	GPtrArray *cidrs; /* of DbCidr */
} PlainState;

PlainState *plain_state_new(void);
PlainState *plain_state_parse(const char *json, GError **error);
void plain_state_free(PlainState *state);
/* The store: strictly read. NULL without an error where there is none. */
PlainState *plain_store_load(const char *path, GError **error);
gboolean plain_store_save(const char *path, const PlainState *state, GError **error);
/* Peers of `state` are added and brought up to date, those that are missing there disabled; an
 * address whose key has changed is an error, and whatever came before it has been done. */
gboolean plain_store_update(PlainState *store, const PlainState *state, GError **error);

/* plain-device.c */
gboolean plain_is_connected(const WgPeer *peer);
/* Key, port and server of the device, where they are not there yet. *made: they were not. */
gboolean plain_device_up(WgCtl *ctl, const PlainConf *conf, gboolean *made, GError **error);
/* What the device lacks to be as the state says, and does it; peers that were changed, or have
 * candidates to try, in *modified (of DbPeer, transfer container). NULL on error. */
GPtrArray *plain_device_update(WgCtl *ctl, const PlainState *state, GError **error);
/* Tries endpoints of these, one after the other, the last first. */
gboolean plain_traverse(WgCtl *ctl, const PlainConf *conf, GPtrArray *modified, gint64 updated_us,
			GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlainConf, plain_conf_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlainState, plain_state_free)
