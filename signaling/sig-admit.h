/* SPDX-License-Identifier: MIT */
/*
 * SigAdmit: who may log in: any proved key, the keys of a file, or the peers of a WireGuard device;
 * and who may meet whom. Follows file and device while the server runs. One thread, the loop's; the
 * device is read on libuv's pool.
 */
#pragma once

#include <uv.h>

#include "signaling/sig-config.h"
#include "signaling/sig-members.h"

typedef struct SigAdmit SigAdmit;

/* `changed`: what sig_admit_check() says may differ from now on. The error names file or device and
 * the remedy; a device that is not there yet is none. */
SigAdmit *sig_admit_new(uv_loop_t *loop, const SigConfig *config,
			void (*changed)(gpointer user_data), gpointer user_data, GError **error);
/* Handles close when the loop runs. */
void sig_admit_free(SigAdmit *admit);
/* Once a second. */
void sig_admit_tick(SigAdmit *admit);
/* Reads the file anew, if there is one; where that fails the log says so, and the list that was
 * stays; until the file can be read, sig_admit_tick() tries again. */
void sig_admit_reload(SigAdmit *admit);

/* from_here: the connection comes from this host itself. *scope: whom it may meet (transfer none).
 * When FALSE, *why says why not, for the client. */
gboolean sig_admit_check(SigAdmit *admit, const WgKey *key, const WgEndpoint *address,
			 gboolean from_here, const SigScope **scope, const char **why);
/* Keys that may log in; G_MAXUINT: any. */
guint sig_admit_n_keys(const SigAdmit *admit);
/* "any key", "42 keys of /etc/nat-signald.allow", "the peers of wg0" (transfer full). */
char *sig_admit_describe(const SigAdmit *admit);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigAdmit, sig_admit_free)
