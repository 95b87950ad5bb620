/* SPDX-License-Identifier: MIT */
/*
 * SigServer: nat-signald put together: ports, transport and the rules of who may in, on one libuv
 * loop; the clock, signals, the drain and the handover.
 *
 * SIGTERM, SIGINT: drain and end (the second one: at once). SIGHUP: read certificate and list of
 * keys anew. SIGUSR2: start the program anew with these sockets, drain when it serves.
 */
#pragma once

#include "signaling/sig-config.h"
#include "signaling/sig-turn.h"

typedef struct SigServer SigServer;

/* Binds everything; the error is one line that names what failed and the remedy. turn: what is
 * handed out for relays, NULL: nothing; config, turn and argv (for SIGUSR2) must outlive the
 * server.
 */
SigServer *sig_server_new(const SigConfig *config, const SigTurn *turn, const char *const *argv,
			  GError **error);
/* Serves until all connections are drained. */
void sig_server_run(SigServer *server);
void sig_server_free(SigServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigServer, sig_server_free)
