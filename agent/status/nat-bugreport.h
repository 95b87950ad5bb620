/* SPDX-License-Identifier: MIT */
/*
 * NatBugreport: the text of `nat-agent bugreport`: sections under headings, with a list of them at
 * the top; and what is left out of them. Pure.
 */
#pragma once

#include <glib.h>

typedef struct NatBugreport NatBugreport;

NatBugreport *nat_bugreport_new(void);
void nat_bugreport_free(NatBugreport *report);
/* Text of any origin: what no terminal should see comes out escaped, lines stay lines. */
void nat_bugreport_add(NatBugreport *report, const char *title, const char *text);
/* All of it (transfer full). */
char *nat_bugreport_text(const NatBugreport *report);
/* A line for each section: its title and size (transfer full). */
char *nat_bugreport_contents(const NatBugreport *report);

/* A configuration file without what nobody else may know, also where it is written wrongly: of TURN
 * servers only what is behind the last '@', of URLs neither user nor query, nothing of a key that
 * sounds like a secret (transfer full). */
char *nat_bugreport_without_secrets(const char *config);
/* Cut at a line's end to about max bytes, which is said (transfer full). */
char *nat_bugreport_cut(const char *text, gsize max);
/* Of `nft list ruleset`, the chains that see packets, and in them the rules that decide about UDP,
 * rewrite addresses, or name one of `words` (ports, interfaces; NULL-terminated) (transfer full).
 */
char *nat_bugreport_rules(const char *ruleset, const char *const *words);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatBugreport, nat_bugreport_free)
