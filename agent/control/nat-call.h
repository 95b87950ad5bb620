/* SPDX-License-Identifier: MIT */
/*
 * NatCall: a call that somebody made to the control socket, until it is answered: at once or later,
 * once or, where the caller wants `more`, many times. Whoever holds one answers it, or is told
 * that the caller is gone. Host thread only; no sockets here.
 */
#pragma once

#include "agent/control/nat-varlink.h"

typedef struct NatCall NatCall;

/* Where the answers go. */
typedef struct {
	/* text (transfer full): NULL where none was wanted. After the last one the call is gone. */
	void (*send)(char *text_take, gboolean last, gpointer owner);
	gsize (*backlog)(gpointer owner); /* bytes that the caller has not read yet */
} NatCallWay;

typedef void (*NatCallGone)(gpointer user_data);

NatCall *nat_call_new(NatVarlinkCall *call_take, const NatCallWay *way, gpointer owner);
/* The caller is gone: who holds the call hears it, and must forget it. */
void nat_call_abandon(NatCall *call);

const char *nat_call_method(const NatCall *call);
JsonObject *nat_call_parameters(const NatCall *call);
gboolean nat_call_wants_more(const NatCall *call);
/* Has the caller left so much unread that the next answer should be left out? */
gboolean nat_call_is_behind(const NatCall *call);
/* For who answers later. gone is not called once the last answer is given. */
void nat_call_on_gone(NatCall *call, NatCallGone gone, gpointer user_data);

/* The last answer: frees the call. parameters_take NULL: an empty object. */
void nat_call_reply(NatCall *call, JsonNode *parameters_take);
void nat_call_fail(NatCall *call, const char *error, const char *member, const char *value);
/* One of several; only where wants_more. */
void nat_call_continue(NatCall *call, JsonNode *parameters_take);
