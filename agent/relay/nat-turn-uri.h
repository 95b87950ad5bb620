/* SPDX-License-Identifier: MIT */
/*
 * NatTurnUri: a TURN server as people write it (RFC 7065, with credentials in the userinfo):
 *
 *     turn:user:secret@host[:3478][?transport=udp|tcp]      turns:user:secret@host[:5349]
 *
 * Percent-encoding is undone in user and secret. Without credentials (nat-signald hands them out
 * apart) both are NULL. A turn: URI that names no transport means UDP, and TCP to the same server
 * where UDP does not pass. Values; pure; any thread.
 */
#pragma once

#include <glib.h>

typedef enum {
	NAT_TURN_UDP,
	NAT_TURN_TCP,
	NAT_TURN_TLS, /* over TCP */
} NatTurnTransport;

typedef struct {
	char *host; /* name or numeric address, without brackets */
	guint16 port;
	NatTurnTransport transport;
	gboolean tcp_too; /* no transport was named: TCP is a fallback */
	char *username, *password;
	gboolean offered; /* by nat-signald, not named by the user: never inside our own networks */
} NatTurnUri;

/* The error says what is wrong and what would be right, and never repeats the secret. */
NatTurnUri *nat_turn_uri_parse(const char *text, GError **error);
NatTurnUri *nat_turn_uri_copy(const NatTurnUri *uri);
void nat_turn_uri_free(NatTurnUri *uri); /* zeroes the secret */
/* Same host, port and transport; credentials are not compared. */
gboolean nat_turn_uri_same_server(const NatTurnUri *a, const NatTurnUri *b);
/* Without credentials: for status and logs. (transfer full) */
char *nat_turn_uri_format(const NatTurnUri *uri);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatTurnUri, nat_turn_uri_free)
