/* SPDX-License-Identifier: MIT */
/*
 * What the server does wrong when told to, instead of answering as it should. The call itself is
 * carried out all the same, where its caller may make it.
 */
#pragma once

#include <glib.h>

typedef enum {
	FAULT_NONE,
	FAULT_STATUS,	      /* this status, and nothing else */
	FAULT_GARBAGE,	      /* 200 and a body of noise */
	FAULT_BODY,	      /* 200 and a body from a file */
	FAULT_HUGE,	      /* 200 and 16 MB of good JSON */
	FAULT_ENDLESS,	      /* 200 and a body that never ends, in chunks */
	FAULT_CUT,	      /* half of the answer, then the end */
	FAULT_DROP,	      /* the end of the connection */
	FAULT_HANG,	      /* nothing at all */
	FAULT_WITHOUT_CALLER, /* a state that lacks who asks */
	FAULT_STALE,	      /* each caller's first state since the fault began, again and again */
	FAULT_NO_HTTP,	      /* a line that is no HTTP */
	FAULT_REDIRECT,	      /* 302 to the same place */
} FaultKind;

typedef struct {
	FaultKind kind;
	char *peer; /* of this one's calls, NULL: of all */
	char *path; /* that begin so, NULL: of all */
	guint left; /* calls, 0: all */
	guint status;
	char *file;
	GHashTable *first; /* FAULT_STALE: peer's name → body */
} Fault;

/* Words: KIND[=VALUE] [peer=NAME] [path=PREFIX] [count=N]. NULL with one line. */
Fault *fault_parse(const char *const *words, GError **error);
void fault_free(gpointer fault);
/* The first that is meant, NULL: none; counts it, and forgets one that has come to its end, which
 * is then in *last (transfer full). */
Fault *fault_take(GPtrArray *faults, const char *peer, const char *path, Fault **last);
