/* SPDX-License-Identifier: MIT */
/*
 * SigTls: a certificate chain and its private key, read from PEM files and checked before they are
 * used, so that a bad file at a reload loses nothing. No network; any one thread.
 */
#pragma once

#include <glib.h>
#include <openssl/ssl.h>

typedef struct SigTls SigTls;

/* Reads both files. The error is one line that names the file and the remedy. The key must not be
 * encrypted: nobody is there to be asked. */
SigTls *sig_tls_load(const char *cert_file, const char *key_file, GError **error);
void sig_tls_free(SigTls *tls);

/* What connections made from ctx serve from now on, and only that, also where the key is of another
 * type than the one before; those that are established keep what they have. */
gboolean sig_tls_use(const SigTls *tls, SSL_CTX *ctx, GError **error);
/* Sets what of the protocol is offered, and bounds what a connection holds. Once for each ctx. */
void sig_tls_harden(SSL_CTX *ctx);

/* The names it is for, as sig_auth_new() wants them: its DNS names (a wildcard as "*.example.com")
 * and addresses, lower case, without port; the common name is none. (transfer none) */
const char *const *sig_tls_names(const SigTls *tls);
/* s since 1970 at which the first of the chain's certificates expires. */
gint64 sig_tls_expires(const SigTls *tls);
/* Whether any user of this host may read the key. */
gboolean sig_tls_key_is_public(const SigTls *tls);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigTls, sig_tls_free)
