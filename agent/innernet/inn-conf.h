/* SPDX-License-Identifier: MIT */
/*
 * InnConf: innernet's client file, /etc/innernet/<if>.conf, which is also what an invitation is
 * (shared/INNERNET.md; TOML). What innernet does not write is kept where the file is changed.
 * Values; parsing is pure and any thread's. The file holds a private key: errors name the file, the
 * line and the remedy, never a value.
 */
#pragma once

#include <gio/gio.h>

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

#define INN_CONF_DIR "/etc/innernet"
#define INN_CONF_MAX (64 * 1024) /* bytes of a file */

typedef struct {
	char *network_name;  /* that of the interface */
	WgEndpoint address;  /* ours, port 0 */
	guint8 prefix;	     /* of the whole network, as in "10.66.1.1/16" */
	WgKey private_key;   /* clamped, as a device says it back */
	guint16 listen_port; /* 0: any */
	WgKey server_key;
	char *server_host; /* the external endpoint's: a name or an address without brackets */
	guint16 server_port;
	WgEndpoint server_internal; /* address and port of the API, inside the tunnel */
} InnConf;

/* `name` is used in messages. NULL with one line that names what is missing or wrong
 * (G_IO_ERROR_INVALID_DATA). */
InnConf *inn_conf_parse(const char *text, gsize len, const char *name, GError **error);
/* G_FILE_ERROR_NOENT where there is no such file. */
InnConf *inn_conf_load(const char *path, GError **error);
void inn_conf_free(InnConf *conf); /* clears the key; NULL is fine */
InnConf *inn_conf_copy(const InnConf *conf);
/* Writes a new file, mode 0600, as innernet writes it: whole, synced and by a name of its own that
 * then becomes `path`. Fails where `path` exists (G_FILE_ERROR_EXIST). */
gboolean inn_conf_create(const InnConf *conf, const char *path, GError **error);
/* `from` becomes `to`, synced; fails where `to` exists (G_FILE_ERROR_EXIST). */
gboolean inn_conf_rename(const char *from, const char *to, GError **error);
/* The text of such a file; to be cleared, and freed with g_free(). */
char *inn_conf_format(const InnConf *conf);

/* "host:port" and "[v6]:port", as innernet writes endpoints: host without brackets, a name in ASCII
 * (transfer full); port from 1. The error (G_IO_ERROR_INVALID_DATA) does not repeat the text. */
gboolean inn_conf_split_endpoint(const char *text, char **host, guint16 *port, GError **error);

/* [peer-endpoint-overrides]: which endpoint innernet gives a peer, by the peer's address. */
typedef struct {
	WgEndpoint address;  /* of the peer, port 0 */
	WgEndpoint endpoint; /* unset: the entry goes */
} InnOverride;

/* The text of a file with these entries set or removed; every other line, comment and entry stays
 * as it is, and so does an entry that says the same in other words. Of two overrides for an address
 * the last one counts. NULL with an error where the text is no such file, or where an endpoint is
 * link-local, which innernet cannot read. (transfer full; it holds the key: clear it) */
char *inn_conf_override(const char *text, gsize len, const char *name, const InnOverride *overrides,
			gsize n, GError **error);
/* The same in the file, by atomic rename, with its mode and owner; does nothing where nothing
 * changes. Through a symbolic link the file behind it is replaced. Where another writer came in
 * between, it is read anew (a few times, then G_FILE_ERROR_AGAIN). */
gboolean inn_conf_write_overrides(const char *path, const InnOverride *overrides, gsize n,
				  GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnConf, inn_conf_free)
