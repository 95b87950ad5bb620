/* SPDX-License-Identifier: MIT */
/*
 * Logging: g_log_structured through one writer: journal fields under systemd (JOURNAL_STREAM), else
 * one plain line on stderr. warning = someone must act; message = a peer's state changed;
 * debug = the rest (G_MESSAGES_DEBUG or NAT_AGENT_DEBUG=1). Any thread. Keys are never logged;
 * text from the network only after nat_log_escape().
 */
#pragma once

#include "wgctl/wg-key.h"

void nat_log_init(void);
/* peer may be NULL. Fields NAT_INTERFACE, NAT_PEER; the line starts "wg0 AbCdEfGh: ". */
void nat_log_peer(GLogLevelFlags level, const char *interface, const WgKey *peer,
		  const char *format, ...) G_GNUC_PRINTF(4, 5);
/* Printable ASCII/UTF-8 with control characters escaped (transfer full). */
char *nat_log_escape(const char *text, gssize len);
/* The same of a value that may hold a TURN URI, rightly or by mistake: what follows "turn:" or
 * "turns:" is left out, for a secret may be in it (transfer full). */
char *nat_log_conceal(const char *text);
