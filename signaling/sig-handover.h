/* SPDX-License-Identifier: MIT */
/*
 * SigHandover: a restart without a gap. The running server starts the program anew with its own
 * sockets; when that one serves, it says so, and this one drains its connections. When that one
 * fails, this one goes on. One thread, the loop's.
 */
#pragma once

#include <uv.h>

#include "signaling/sig-inherit.h"

typedef struct SigHandover SigHandover;

typedef struct {
	int fd;
	SigSocketKind kind;
} SigHandoverSocket;

/* ok: pid serves, on the same sockets. Else it has ended or said nothing in time: nothing has
 * changed. */
typedef void (*SigHandoverFunc)(gboolean ok, int pid, gpointer user_data);

/* argv[0] names the program (looked for in PATH without a '/'), and is not resolved before it is
 * run: so that a new version installed meanwhile is what runs. */
SigHandover *sig_handover_new(uv_loop_t *loop, const char *const *argv, SigHandoverFunc func,
			      gpointer user_data);
/* Handles close when the loop runs. */
void sig_handover_free(SigHandover *handover);
/* FALSE with error: could not be begun, or one is under way. sockets: of SigHandoverSocket. */
gboolean sig_handover_begin(SigHandover *handover, const GArray *sockets, GError **error);
/* Once a second: bounds the wait. */
void sig_handover_tick(SigHandover *handover);

/* In the new one: tells the old one, if there is one, that this one serves. */
void sig_handover_say_ready(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigHandover, sig_handover_free)
