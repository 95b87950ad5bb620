/* SPDX-License-Identifier: MIT */
/*
 * NatStatusDetail: what `status PEER` shows of a peer beside its row: every candidate, every pair
 * that was tried or is watched, and what happened lately. A value; pure.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/ice/nat-checks.h"
#include "agent/probe/nat-class.h"
#include "agent/status/nat-events.h"

/* A pair under watch (nat-watch). */
typedef struct {
	NatCandidate local, remote; /* endpoint unset: unknown */
	gboolean relay, chosen;
	char *state;	     /* "new", "alive", "suspect", "dead" */
	double rtt_ms, loss; /* negative: unknown */
	guint deaths;
	char *error; /* NULL: none */
} NatStatusPair;

typedef struct {
	GArray *local, *remote; /* of NatCandidate */
	gboolean has_nat;	/* the peer's agent told of its NAT */
	NatClass nat;
	NatChecks checks;  /* of the last search */
	GPtrArray *pairs;  /* of NatStatusPair */
	GPtrArray *events; /* of NatEvent, oldest first; theirs is what the JSON's reader made */
} NatStatusDetail;

NatStatusDetail *nat_status_detail_new(void);
void nat_status_detail_free(NatStatusDetail *detail);
NatStatusPair *nat_status_detail_add_pair(NatStatusDetail *detail);
/* A copy is kept. */
void nat_status_detail_add_event(NatStatusDetail *detail, const NatEvent *event);

JsonObject *nat_status_detail_to_json(const NatStatusDetail *detail, gint64 now_us);
/* What this version does not know is left out; what is of a wrong type is an error. */
NatStatusDetail *nat_status_detail_from_json(JsonObject *obj, gint64 now_us, GError **error);
/* Lines for people, at most `width` columns where they can be cut; printable. */
char *nat_status_detail_to_text(const NatStatusDetail *detail, gboolean colour, guint width);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatStatusDetail, nat_status_detail_free)
