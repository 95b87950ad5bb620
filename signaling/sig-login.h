/* SPDX-License-Identifier: MIT */
/*
 * The login's proof: whoever logs in with a WireGuard public key shows that they hold its private
 * key, to this server, on this connection, under the name they dialled (PROTOCOL.md, "Login").
 * Pure but for randomness in sig_login_answer(); any thread. DH results never leave, and are
 * zeroed.
 */
#pragma once

#include "signaling/sig-wire.h"

#define SIG_LOGIN_LABEL "nat-agent/login/v1"

/* The authority of a URL as both ends spell it: lower case, IPv6 in brackets, the port always
 * there. `host` comes without brackets. (transfer full) */
char *sig_login_authority(const char *host, guint16 port);

/* Fills login->mac from the hello and the login's other members. FALSE with
 * G_IO_ERROR_INVALID_DATA when the DH is degenerate (a low-order server key). */
gboolean sig_login_sign(const SigHello *hello, const WgKey *client_private, SigLogin *login,
			GError **error);

/* The server's side; server_private belongs to hello->key. FALSE with
 * G_IO_ERROR_PERMISSION_DENIED when the proof fails. Constant time in the MAC. */
gboolean sig_login_verify(const SigHello *hello, const WgKey *server_private, const SigLogin *login,
			  GError **error);

/* The whole login frame that answers a hello: checks its version, takes a fresh nonce, derives the
 * public key, signs. `authority` is from sig_login_authority(). (transfer full) */
char *sig_login_answer(const SigHello *hello, const WgKey *client_private, const char *authority,
		       GError **error);
