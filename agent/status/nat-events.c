/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-events.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"

/* A line, and not a page, whatever somebody's server calls itself. */
#define TEXT_MAX 400

typedef struct {
	guint id;
	NatEventsFunc func;
	gpointer user_data;
} Follower;

struct NatEvents {
	GHashTable *lists; /* "wg0 KEY" or "wg0" → GQueue of NatEvent, oldest first */
	GArray *followers; /* of Follower */
	guint64 last_number;
	guint last_id;
};

static const char *const KINDS[NAT_EVENT_KINDS] = {
	[NAT_EVENT_STATE] = "state",	     [NAT_EVENT_AGENT] = "agent",
	[NAT_EVENT_SEARCH] = "search",	     [NAT_EVENT_PAIR] = "pair",
	[NAT_EVENT_PATH] = "path",	     [NAT_EVENT_MTU] = "mtu",
	[NAT_EVENT_NETWORK] = "network",     [NAT_EVENT_NAT] = "nat",
	[NAT_EVENT_SIGNALING] = "signaling", [NAT_EVENT_RELAY] = "relay",
};

const char *
nat_event_kind_to_string(NatEventKind kind)
{
	return KINDS[kind];
}

gboolean
nat_event_kind_from_string(const char *text, NatEventKind *out)
{
	for (guint i = 0; i < NAT_EVENT_KINDS; i++) {
		if (strcmp(text, KINDS[i]) == 0) {
			*out = (NatEventKind)i;
			return TRUE;
		}
	}
	return FALSE;
}

void
nat_event_free(NatEvent *event)
{
	if (event == NULL)
		return;
	g_free(event->interface);
	g_free(event->name);
	g_free(event->text);
	g_free(event);
}

/* ---- what is kept ---- */

static void
list_free(gpointer list)
{
	g_queue_free_full(list, (GDestroyNotify)nat_event_free);
}

NatEvents *
nat_events_new(void)
{
	NatEvents *events = g_new0(NatEvents, 1);

	events->lists = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, list_free);
	events->followers = g_array_new(FALSE, FALSE, sizeof(Follower));
	return events;
}

void
nat_events_free(NatEvents *events)
{
	if (events == NULL)
		return;
	g_hash_table_unref(events->lists);
	g_array_unref(events->followers);
	g_free(events);
}

static char *
list_key(const char *interface, const WgKey *peer)
{
	char key[WG_KEY_STRLEN];

	return peer != NULL ? g_strconcat(interface, " ", wg_key_format(peer, key), NULL)
			    : g_strdup(interface);
}

static GQueue *
list_of(NatEvents *events, const char *interface, const WgKey *peer)
{
	g_autofree char *key = list_key(interface, peer);
	GQueue *list = g_hash_table_lookup(events->lists, key);

	if (list == NULL) {
		list = g_queue_new();
		g_hash_table_insert(events->lists, g_steal_pointer(&key), list);
	}
	return list;
}

static char *
one_line(const char *text)
{
	g_autofree char *plain = nat_log_escape(text, -1);

	if (strlen(plain) <= TEXT_MAX)
		return g_steal_pointer(&plain);
	return g_utf8_make_valid(plain, TEXT_MAX);
}

static NatEvent *
event_new(const char *interface, const WgKey *peer, const char *name, NatEventKind kind,
	  char *text_take)
{
	NatEvent *event = g_new0(NatEvent, 1);

	event->kind = kind;
	event->interface = g_strdup(interface);
	event->has_peer = peer != NULL;
	if (peer != NULL)
		event->peer = *peer;
	event->name = g_strdup(name);
	event->text = text_take;
	event->since_last_us = -1;
	return event;
}

/* The newest of the list, when it says the same; else a new one, for which the oldest goes. */
static NatEvent *
take_place(GQueue *list, NatEvent *event_take)
{
	NatEvent *last = g_queue_peek_tail(list);

	if (last != NULL && last->kind == event_take->kind &&
	    strcmp(last->text, event_take->text) == 0) {
		nat_event_free(event_take);
		return last;
	}
	if (list->length >= NAT_EVENTS_KEPT)
		nat_event_free(g_queue_pop_head(list));
	g_queue_push_tail(list, event_take);
	return event_take;
}

void
nat_events_add(NatEvents *events, const char *interface, const WgKey *peer, const char *name,
	       NatEventKind kind, const char *text)
{
	GQueue *list = list_of(events, interface, peer);
	const NatEvent *last = g_queue_peek_tail(list);
	gint64 now = g_get_monotonic_time(), since = last != NULL ? now - last->at_us : -1;
	NatEvent *event = take_place(list, event_new(interface, peer, name, kind, one_line(text)));

	event->number = ++events->last_number;
	event->at_us = now;
	event->real_us = g_get_real_time();
	event->since_last_us = since;
	event->times++;
	for (guint i = 0; i < events->followers->len; i++) {
		const Follower *follower = &g_array_index(events->followers, Follower, i);

		follower->func(event, follower->user_data);
	}
}

void
nat_events_forget(NatEvents *events, const char *interface, const WgKey *peer)
{
	g_autofree char *key = list_key(interface, peer);

	g_hash_table_remove(events->lists, key);
}

void
nat_events_forget_interface(NatEvents *events, const char *interface, gboolean own_too)
{
	g_autofree char *peers = g_strconcat(interface, " ", NULL);
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, events->lists);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (g_str_has_prefix(key, peers) || (own_too && strcmp(key, interface) == 0))
			g_hash_table_iter_remove(&iter);
}

static gint
by_number(gconstpointer a, gconstpointer b)
{
	const NatEvent *x = *(const NatEvent *const *)a, *y = *(const NatEvent *const *)b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void
append_list(GPtrArray *out, const GQueue *list)
{
	for (GList *l = list->head; l != NULL; l = l->next)
		g_ptr_array_add(out, l->data);
}

gboolean
nat_event_is_of(const NatEvent *event, const char *interface, const WgKey *peer)
{
	if (interface != NULL && strcmp(interface, event->interface) != 0)
		return FALSE;
	return peer == NULL || (event->has_peer && wg_key_equal(peer, &event->peer));
}

GPtrArray *
nat_events_list(const NatEvents *events, const char *interface, const WgKey *peer)
{
	GPtrArray *out = g_ptr_array_new();
	GHashTableIter iter;
	gpointer list;

	/* one list, which is in order: each peer's details ask for it */
	if (interface != NULL && peer != NULL) {
		g_autofree char *key = list_key(interface, peer);

		list = g_hash_table_lookup(events->lists, key);
		if (list != NULL)
			append_list(out, list);
		return out;
	}
	/* what is in one list is of one peer */
	g_hash_table_iter_init(&iter, events->lists);
	while (g_hash_table_iter_next(&iter, NULL, &list))
		if (nat_event_is_of(g_queue_peek_head(list), interface, peer))
			append_list(out, list);
	g_ptr_array_sort(out, by_number);
	return out;
}

guint
nat_events_follow(NatEvents *events, NatEventsFunc func, gpointer user_data)
{
	Follower follower = {++events->last_id, func, user_data};

	g_array_append_val(events->followers, follower);
	return follower.id;
}

void
nat_events_unfollow(NatEvents *events, guint id)
{
	for (guint i = 0; i < events->followers->len; i++) {
		if (g_array_index(events->followers, Follower, i).id == id) {
			g_array_remove_index(events->followers, i);
			return;
		}
	}
}

/* ---- JSON ---- */

static char *
format_time(gint64 real_us)
{
	g_autoptr(GDateTime) at = g_date_time_new_from_unix_utc(real_us / G_USEC_PER_SEC);
	g_autofree char *seconds = at != NULL ? g_date_time_format(at, "%Y-%m-%dT%H:%M:%S") : NULL;

	return g_strdup_printf("%s.%03dZ", seconds != NULL ? seconds : "1970-01-01T00:00:00",
			       (int)(real_us % G_USEC_PER_SEC / 1000));
}

JsonNode *
nat_event_to_json(const NatEvent *event, gint64 now_us)
{
	g_autofree char *time = format_time(event->real_us);
	JsonObject *obj = json_object_new();
	char key[WG_KEY_STRLEN];

	nat_json_set_int(obj, "number", (gint64)event->number);
	json_object_set_string_member(obj, "time", time);
	nat_json_set_int(obj, "age_ms", MAX(now_us - event->at_us, 0) / 1000);
	nat_json_set_int(obj, "since_last_ms",
			 event->since_last_us < 0 ? -1 : event->since_last_us / 1000);
	nat_json_set_string(obj, "interface", event->interface);
	nat_json_set_string(obj, "peer", event->has_peer ? wg_key_format(&event->peer, key) : NULL);
	nat_json_set_string(obj, "name", event->name);
	nat_json_set_string(obj, "event", KINDS[event->kind]);
	nat_json_set_int(obj, "times", event->times);
	nat_json_set_string(obj, "text", event->text);
	return nat_json_node_take(obj);
}

static gboolean
read_texts(JsonObject *obj, NatEvent *event, GError **error)
{
	const char *interface = NULL, *peer = NULL, *name = NULL, *text = NULL, *time = NULL;
	g_autoptr(GDateTime) at = NULL;

	if (!nat_json_get_string(obj, "interface", &interface, error) ||
	    !nat_json_get_string(obj, "peer", &peer, error) ||
	    !nat_json_get_string(obj, "name", &name, error) ||
	    !nat_json_get_string(obj, "time", &time, error) ||
	    !nat_json_get_string(obj, "text", &text, error))
		return FALSE;
	event->has_peer = peer != NULL && wg_key_parse(peer, &event->peer);
	event->interface = nat_log_escape(interface != NULL ? interface : "?", -1);
	event->name = name != NULL ? nat_log_escape(name, -1) : NULL;
	event->text = nat_log_escape(text != NULL ? text : "", -1);
	at = time != NULL ? g_date_time_new_from_iso8601(time, NULL) : NULL;
	if (at != NULL)
		event->real_us =
			g_date_time_to_unix(at) * G_USEC_PER_SEC + g_date_time_get_microsecond(at);
	return TRUE;
}

/* Somebody's numbers, made ones that can be reckoned with. */
static gint64
bounded(gint64 value)
{
	return CLAMP(value, -1, G_MAXINT32 * (gint64)1000);
}

NatEvent *
nat_event_from_json(JsonObject *obj, gint64 now_us, GError **error)
{
	g_autoptr(NatEvent) event = g_new0(NatEvent, 1);
	gint64 number = 0, age_ms = 0, since_ms = -1, times = 1;
	const char *kind = NULL;

	if (!nat_json_get_int(obj, "number", &number, error) ||
	    !nat_json_get_int(obj, "age_ms", &age_ms, error) ||
	    !nat_json_get_int(obj, "since_last_ms", &since_ms, error) ||
	    !nat_json_get_int(obj, "times", &times, error) ||
	    !nat_json_get_string(obj, "event", &kind, error) || !read_texts(obj, event, error))
		return NULL;
	if (kind == NULL || !nat_event_kind_from_string(kind, &event->kind)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "an unknown kind of event");
		return NULL;
	}
	event->number = number > 0 ? (guint64)number : 0;
	event->at_us = now_us - bounded(age_ms) * 1000;
	since_ms = bounded(since_ms);
	event->since_last_us = since_ms < 0 ? -1 : since_ms * 1000;
	event->times = (guint)CLAMP(times, 1, G_MAXINT32);
	return g_steal_pointer(&event);
}

/* ---- text ---- */

static char *
since_words(gint64 us)
{
	if (us < 0)
		return g_strdup("");
	if (us < 1000 * G_USEC_PER_SEC)
		return g_strdup_printf("+%.3fs", (double)us / G_USEC_PER_SEC);
	return g_strdup_printf("+%dm", (int)(us / 60 / G_USEC_PER_SEC));
}

static char *
whose_words(const NatEvent *event)
{
	char key[WG_KEY_STRLEN];

	if (!event->has_peer)
		return g_strdup_printf("%s: ", event->interface);
	return g_strdup_printf("%s %s: ", event->interface,
			       event->name != NULL ? event->name
						   : wg_key_format_short(&event->peer, key));
}

char *
nat_event_to_text(const NatEvent *event, gboolean whose)
{
	g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(event->real_us / G_USEC_PER_SEC);
	g_autoptr(GDateTime) local = utc != NULL ? g_date_time_to_local(utc) : NULL;
	g_autofree char *time = local != NULL ? g_date_time_format(local, "%H:%M:%S") : NULL;
	g_autofree char *since = since_words(event->since_last_us);
	g_autofree char *subject = whose ? whose_words(event) : g_strdup("");
	g_autoptr(GString) out = g_string_new(NULL);

	g_string_printf(out, "%s.%03d %10s  %-9s %s%s", time != NULL ? time : "--:--:--",
			(int)(event->real_us % G_USEC_PER_SEC / 1000), since, KINDS[event->kind],
			subject, event->text);
	if (event->times > 1)
		g_string_append_printf(out, " (%u times)", event->times);
	/* what terminals of every locale show */
	g_string_replace(out, "→", "->", 0);
	return g_string_free(g_steal_pointer(&out), FALSE);
}
