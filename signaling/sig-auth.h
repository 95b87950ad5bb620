/* SPDX-License-Identifier: MIT */
/*
 * SigAuth: the server's half of the login: its names, its ephemeral key (a new one every minute,
 * zeroed when the last connection that was offered it is done), and the judgement of a login. Pure
 * but for randomness; time is an argument.
 */
#pragma once

#include "signaling/sig-login.h"

typedef struct SigAuth SigAuth;
typedef struct SigOffer SigOffer; /* what one connection was offered in its hello */

/* names: "host" or "host:port" (IPv6 in brackets), lower case, with "*." in front for one label
 * more; without a port any port matches. None: any authority is accepted. */
SigAuth *sig_auth_new(const char *const *names);
void sig_auth_free(SigAuth *auth);
void sig_auth_set_names(SigAuth *auth, const char *const *names);
gboolean sig_auth_has_names(const SigAuth *auth);

/* Makes the nonce and key of a connection's hello. */
SigOffer *sig_auth_offer(SigAuth *auth, const guint16 *stun, guint n_stun, gint64 now);
const SigHello *sig_offer_hello(const SigOffer *offer);
void sig_offer_free(SigOffer *offer);

/* SIG_CLOSE_NONE when the login is good, else why not, with *text for the error frame (transfer
 * full). */
SigClose sig_auth_check(SigAuth *auth, const SigOffer *offer, const SigLogin *login, char **text);

/* Whether a configured name is well formed: "host", "host:port", "[v6]", "[v6]:port". */
gboolean sig_auth_name_valid(const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigAuth, sig_auth_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigOffer, sig_offer_free)
