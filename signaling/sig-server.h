/* SPDX-License-Identifier: MIT */
/*
 * SigServer: the network of nat-signald: libwebsockets on a libuv loop, the clock, signals and the
 * drain. The only file that includes libwebsockets.h.
 */
#pragma once

#include "signaling/sig-config.h"
#include "signaling/sig-turn.h"

typedef struct SigServer SigServer;

/* Binds everything; the error is one line that names what failed and the remedy. turn: what is
 * handed out for relays, NULL: nothing; must outlive the server. */
SigServer *sig_server_new(const SigConfig *config, const SigTurn *turn, GError **error);
/* Serves until SIGTERM or SIGINT has drained all connections. */
void sig_server_run(SigServer *server);
void sig_server_free(SigServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigServer, sig_server_free)
