/* SPDX-License-Identifier: MIT */
/*
 * Api: what an innernet server answers to a call, and what changes by it. Pure but for the hooks,
 * which touch the WireGuard device; time is an argument.
 */
#pragma once

#include "db.h"
#include "request.h"

#define API_BODY_MAX 16384
#define API_CANDIDATES_MAX 10

typedef struct {
	Db *db;
	WgKey public_key;     /* the server's */
	GHashTable *observed; /* public key, as text → WgEndpoint: the device's, now or once */
	/* FALSE: the device refuses; the answer is 500. */
	gboolean (*peer_added)(const DbPeer *peer, gpointer user_data);
	/* Within 5 s the device shall know the peer by its new key. */
	void (*peer_redeemed)(const DbPeer *peer, const char *old_key, gpointer user_data);
	gpointer user_data;
} Api;

typedef struct {
	const Request *request;
	WgEndpoint source; /* the caller's address */
	const char *body;  /* NULL: not read yet */
	gsize body_len;
	gint64 now; /* seconds of CLOCK_REALTIME */
} ApiCall;

typedef struct {
	guint status;	  /* 0: the body is needed to answer */
	char *body;	  /* JSON, NULL: empty */
	gboolean changed; /* the Db is to be saved */
} ApiAnswer;

void api_answer(Api *api, const ApiCall *call, ApiAnswer *answer);
void api_answer_clear(ApiAnswer *answer);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ApiAnswer, api_answer_clear)
