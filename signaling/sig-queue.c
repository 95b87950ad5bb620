/* SPDX-License-Identifier: MIT */
#include "signaling/sig-queue.h"

#include <string.h>

#include "signaling/sig-wire.h"

#define OUT_OVERHEAD (sizeof(SigOut) + 16)

void
sig_queue_init(SigQueue *queue, gsize bound)
{
	queue->first = NULL;
	queue->last = &queue->first;
	queue->bound = bound;
	queue->control = queue->messages = 0;
}

void
sig_queue_clear(SigQueue *queue)
{
	SigOut *out;

	while ((out = sig_queue_pop(queue)))
		g_free(out);
}

gboolean
sig_queue_is_empty(const SigQueue *queue)
{
	return !queue->first;
}

static gsize *
account(SigQueue *queue, const SigOut *out)
{
	return out->kind == SIG_OUT_MESSAGE ? &queue->messages : &queue->control;
}

/* Takes out the frame that `link` points to. */
static SigOut *
take_out(SigQueue *queue, SigOut **link)
{
	SigOut *out = *link;

	*link = out->next;
	if (queue->last == &out->next)
		queue->last = link;
	*account(queue, out) -= out->len + OUT_OVERHEAD;
	return out;
}

SigOut *
sig_queue_pop(SigQueue *queue)
{
	return queue->first ? take_out(queue, &queue->first) : NULL;
}

static SigOut *
out_new(gsize len)
{
	SigOut *out = g_malloc(sizeof *out + len);

	memset(out, 0, sizeof *out);
	out->len = len;
	return out;
}

static SigOut *
text_take(char *text)
{
	gsize len = strlen(text);
	SigOut *out = out_new(len);

	memcpy(out->data, text, len);
	g_free(text);
	return out;
}

static void
append(SigQueue *queue, SigOut *out)
{
	*queue->last = out;
	queue->last = &out->next;
	*account(queue, out) += out->len + OUT_OVERHEAD;
}

static gboolean
push_take(SigQueue *queue, SigOut *out)
{
	if (*account(queue, out) + out->len + OUT_OVERHEAD > queue->bound) {
		g_free(out);
		return FALSE;
	}
	append(queue, out);
	return TRUE;
}

gboolean
sig_queue_push_text_take(SigQueue *queue, char *text)
{
	return push_take(queue, text_take(text));
}

void
sig_queue_push_last_take(SigQueue *queue, char *text)
{
	append(queue, text_take(text));
}

gboolean
sig_queue_push_message(SigQueue *queue, const WgKey *from, const guint8 *body, gsize len)
{
	SigOut *out = out_new(SIG_WIRE_BINARY_HEADER + len);

	out->kind = SIG_OUT_MESSAGE;
	out->about = *from;
	out->data[0] = SIG_WIRE_BINARY_VERSION;
	memcpy(out->data + 1, from->b, WG_KEY_LEN);
	if (len > 0)
		memcpy(out->data + SIG_WIRE_BINARY_HEADER, body, len);
	return push_take(queue, out);
}

/* Drops what is queued about a key, from the first presence on: messages before that are of a time
 * that the reader knows of. */
static void
forget(SigQueue *queue, const WgKey *key)
{
	SigOut **link = &queue->first;
	gboolean found = FALSE;

	while (*link) {
		SigOut *out = *link;
		gboolean about = out->kind != SIG_OUT_CONTROL && wg_key_equal(&out->about, key);

		found = found || (about && out->kind != SIG_OUT_MESSAGE);
		if (found && about)
			g_free(take_out(queue, link));
		else
			link = &out->next;
	}
}

gboolean
sig_queue_push_presence(SigQueue *queue, const WgKey *key, gboolean online, const WgEndpoint *seen)
{
	SigOut *out;

	if (!online)
		forget(queue, key);
	out = text_take(online ? sig_wire_encode_presence(key, seen, 1, NULL, 0)
			       : sig_wire_encode_presence(NULL, NULL, 0, key, 1));
	out->kind = online ? SIG_OUT_ONLINE : SIG_OUT_OFFLINE;
	out->about = *key;
	return push_take(queue, out);
}
