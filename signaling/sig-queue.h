/* SPDX-License-Identifier: MIT */
/*
 * SigQueue: the frames that wait to be written to one connection, in order. Pure.
 *
 * Control frames and the messages of peers have a bound each, of the same size: so a peer that
 * sends without end fills its own part, and presence and errors still fit.
 *
 * The presence of one key takes at most two frames (offline, online), whatever that key does: when
 * it goes offline, older presence that is still queued is dropped, with what the key sent in
 * between.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

/* A frame to write. */
typedef struct SigOut {
	struct SigOut *next;
	gsize len;
	enum {
		SIG_OUT_CONTROL,
		SIG_OUT_ONLINE,	 /* presence of `about` alone */
		SIG_OUT_OFFLINE, /* the same */
		SIG_OUT_MESSAGE, /* of `about`; binary, the others are text */
	} kind;
	WgKey about;
	guint8 data[];
} SigOut;

typedef struct {
	SigOut *first, **last;
	gsize bound;
	gsize control, messages; /* bytes, with overhead */
} SigQueue;

void sig_queue_init(SigQueue *queue, gsize bound);
void sig_queue_clear(SigQueue *queue);
gboolean sig_queue_is_empty(const SigQueue *queue);
/* The next frame (transfer full, g_free), or NULL. */
SigOut *sig_queue_pop(SigQueue *queue);

/* FALSE when there is no room; text is freed all the same. */
gboolean sig_queue_push_text_take(SigQueue *queue, char *text);
/* seen: where it connects from; NULL: offline, or that is not said. */
gboolean sig_queue_push_presence(SigQueue *queue, const WgKey *key, gboolean online,
				 const WgEndpoint *seen);
gboolean sig_queue_push_message(SigQueue *queue, const WgKey *from, const guint8 *body, gsize len);
/* A connection's last words: past the bound. */
void sig_queue_push_last_take(SigQueue *queue, char *text);
