/* SPDX-License-Identifier: MIT */
/*
 * NatEvents: what happened lately: the last 50 events of each peer and of each interface itself,
 * and whoever wants to hear of new ones. An event that repeats the one before is counted, not kept
 * again: what flaps must not push out what explains it. Host thread only; no I/O.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/base/nat-types.h"

#define NAT_EVENTS_KEPT 50

typedef enum {
	NAT_EVENT_STATE,     /* a peer's state changed */
	NAT_EVENT_AGENT,     /* the peer's agent came, went, restarted */
	NAT_EVENT_SEARCH,    /* checks began, found something, ended */
	NAT_EVENT_PAIR,	     /* a pair under watch came to life or died */
	NAT_EVENT_PATH,	     /* the tunnel was moved, the path proved, doubted, rolled back */
	NAT_EVENT_MTU,	     /* what a path carries was found out */
	NAT_EVENT_NETWORK,   /* of an interface: addresses, routes, port changed */
	NAT_EVENT_SIGNALING, /* of an interface: connected, lost */
	NAT_EVENT_NAT,	     /* of an interface: what STUN servers see of it changed */
	NAT_EVENT_RELAY,     /* of an interface: an allocation came, failed, was lost */
} NatEventKind;

#define NAT_EVENT_KINDS (NAT_EVENT_RELAY + 1)

typedef struct {
	guint64 number;	      /* counts all events of this agent, from 1 */
	gint64 at_us;	      /* g_get_monotonic_time() */
	gint64 real_us;	      /* g_get_real_time(), which may jump */
	gint64 since_last_us; /* since the one before, of the same peer; negative: it is the first
			       */
	guint times;	      /* how often it happened in a row; at_us is the last time */
	NatEventKind kind;
	char *interface;
	gboolean has_peer;
	WgKey peer;
	char *name; /* the peer's; may be NULL */
	char *text; /* one line, printable */
} NatEvent;

typedef struct NatEvents NatEvents;
/* The event is valid during the call. */
typedef void (*NatEventsFunc)(const NatEvent *event, gpointer user_data);

NatEvents *nat_events_new(void);
void nat_events_free(NatEvents *events);
/* peer NULL: of the interface itself. name may be NULL. text is escaped here. */
void nat_events_add(NatEvents *events, const char *interface, const WgKey *peer, const char *name,
		    NatEventKind kind, const char *text);
/* The peer is no more: what is known of it goes. */
void nat_events_forget(NatEvents *events, const char *interface, const WgKey *peer);
/* All of its peers, and where own_too its own: it is served no more, or has other peers. */
void nat_events_forget_interface(NatEvents *events, const char *interface, gboolean own_too);
/* (transfer container) NatEvent*, oldest first; valid until the next nat_events_add(). interface
 * NULL: of all; peer NULL: of all of them and of the interface itself. */
GPtrArray *nat_events_list(const NatEvents *events, const char *interface, const WgKey *peer);
/* Whether it is of both, NULL being any. */
gboolean nat_event_is_of(const NatEvent *event, const char *interface, const WgKey *peer);
guint nat_events_follow(NatEvents *events, NatEventsFunc func, gpointer user_data); /* never 0 */
void nat_events_unfollow(NatEvents *events, guint id);

const char *nat_event_kind_to_string(NatEventKind kind);
gboolean nat_event_kind_from_string(const char *text, NatEventKind *out);
/* now_us: to say how long ago it was, for those whose clock is another one. */
JsonNode *nat_event_to_json(const NatEvent *event, gint64 now_us);
/* at_us is made of the event's age and of now_us. Unknown kinds are an error. */
NatEvent *nat_event_from_json(JsonObject *obj, gint64 now_us, GError **error);
/* "15:44:13.123  +0.312s  path       takes ...", printable, one line; times are the reader's.
 * whose: with the interface and the peer before the text. NAT_EVENT_TEXT_COLUMN: where the text
 * begins without them. (transfer full) */
#define NAT_EVENT_TEXT_COLUMN 35
char *nat_event_to_text(const NatEvent *event, gboolean whose);
void nat_event_free(NatEvent *event);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatEvents, nat_events_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatEvent, nat_event_free)
