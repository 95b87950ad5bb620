/* SPDX-License-Identifier: MIT */
/*
 * InnInstall: redeems an invitation to an innernet network and leaves the interface up, with a key
 * of its own in DIR/NAME.conf (INNERNET.md). It may be interrupted at any step, in any way, and run
 * again with the same invitation: nothing is lost, and the server gets to know one key.
 *
 * Blocking, with a main loop of its own on the default context; needs CAP_NET_ADMIN.
 */
#pragma once

#include <gio/gio.h>

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

typedef struct {
	const char *invite; /* path of the invitation */
	const char *ifname; /* NULL: as the network is named */
	const char *dir;    /* where the configuration goes */
	gboolean delete_invite;
	/* One line on what is being done; may be NULL. */
	void (*say)(const char *line, gpointer user_data);
	gpointer user_data;
} InnInstallParams;

/* Returns what to tell the user at the end: the member's name and address, and what to do next
 * (transfer full). NULL with one line that says what was tried and what to do; then there is no
 * interface that was not there before. SIGINT and SIGTERM end it in good order, as such an error.
 */
char *inn_install(const InnInstallParams *params, GError **error);

/* Whose record a state holds for the address: its name (as it may be shown) and key. FALSE where it
 * holds none, or is none. body: at most INN_HTTP_MAX bytes of anything. Pure. (transfer full) */
gboolean inn_install_find_record(const char *body, gsize len, const WgEndpoint *address,
				 char **name, WgKey *key);
