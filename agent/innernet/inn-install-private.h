/* SPDX-License-Identifier: MIT */
/*
 * The parts of an installation: inn-install.c (what is done when), inn-install-net.c (addresses,
 * tunnel, calls; all waiting), inn-install-text.c (what is said, and read, of it).
 */
#pragma once

#include "agent/base/nat-lock.h"
#include "agent/innernet/inn-install-files.h"
#include "agent/innernet/inn-install.h"
#include "wgctl/wg-ctl.h"

/* WireGuard sends its first packet at once and the second one 5 s later (REKEY_TIMEOUT, and up to a
 * third of a second of jitter): a single lost packet is survived. */
#define INN_HANDSHAKE_S 8

typedef struct {
	const InnInstallParams *params;
	char *ifname;
	InnConf *invite;
	NatLock *lock;
	InnInstallFiles *files;
	InnRedeem redeem;
	WgCtl *ctl;
	gboolean ours; /* the interface goes where the installation fails */
	GArray *addrs; /* of WgEndpoint, of the server's name; the one that works is moved ahead */
	char *name;    /* the server's for us */
	char *cause;   /* why the last call got no answer */
	GMainLoop *loop;
	guint signals[2];
	gboolean interrupted;
} InnInstall;

/* Sets a G_IO_ERROR; FALSE. */
gboolean inn_install_fail(GError **error, GIOErrorEnum code, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
void inn_install_say(const InnInstall *install, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The failure that `redeem` has come to, as a line for the user; FALSE. */
gboolean inn_install_fail_redeem(const InnInstall *install, GError **error);
char *inn_install_summary(const InnInstall *install);

/* From here on SIGINT and SIGTERM set `interrupted`, which ends every wait at once. */
void inn_install_net_begin(InnInstall *install);
void inn_install_net_end(InnInstall *install);
void inn_install_pause(InnInstall *install, guint ms);
/* Fills addrs. */
gboolean inn_install_resolve(InnInstall *install, GError **error);
/* The interface, by the key that `redeem` wants. */
gboolean inn_install_link_up(InnInstall *install, GError **error);
/* Such a key, and a handshake with the server by one of its addresses; *reached: there is one. A
 * session that is there serves once: where it leads nowhere, a new one is asked for. */
gboolean inn_install_connect(InnInstall *install, gboolean *reached, GError **error);
/* A call; json and body may be NULL. 0: no answer, and `cause` says why. *body: never NULL. */
guint inn_install_call(InnInstall *install, const char *method, const char *path, const char *json,
		       GBytes **body);
