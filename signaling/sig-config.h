/* SPDX-License-Identifier: MIT */
/*
 * SigConfig: what the user asked of nat-signald, from the command line and a GKeyFile ([signald],
 * [limits]; README.md). Unknown groups and keys and malformed values are errors that name them.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct {
	guint interest;			   /* keys of a connection's interest */
	guint interest_per_address;	   /* of all connections of an address; 0: no limit */
	guint interest_total;		   /* of all connections; 0: no limit */
	guint queue;			   /* bytes waiting for a connection */
	guint login_timeout;		   /* s, from the TCP connection */
	guint unauthenticated;		   /* connections in total */
	guint unauthenticated_per_address; /* and from one IPv4 address or IPv6 /64 */
	guint connections;		   /* in total */
	guint connections_per_address;	   /* and from one address; 0: no limit */
	/* A second, and at once; a rate of 0: no limit. */
	guint rate, burst;			   /* frames of a key */
	guint destination_rate, destination_burst; /* messages to a key, from all its peers */
	guint address_rate, address_burst;	   /* frames of an address */
	guint connect_rate, connect_burst;	   /* new connections of an address */
	guint ping;				   /* s without a sign of life, then a ping */
	guint pong;				   /* s for its answer, then closed */
	guint drain;				   /* s at most over which clients come back */
	guint stun_rate, stun_burst; /* STUN requests of an address: a second, at once */
} SigLimits;

typedef struct {
	GArray *listen;	       /* of WgEndpoint */
	gboolean listen_asked; /* else the default, where a family may be missing */
	GArray *stun;	       /* of WgEndpoint; PORT + 1 is tried too */
	gboolean stun_asked;   /* else the default, where a taken port is no error */
	GArray *stun_external; /* of SigStunExternal */
	GStrv names;
	GStrv turn_uris;	     /* checked; NULL: no relays are handed out */
	char *turn_secret_file;	     /* goes with them */
	guint turn_ttl;		     /* s */
	char *tls_cert, *tls_key;    /* files; NULL: plain */
	char *allow_file, *allow_wg; /* a list of keys, an interface; one of them, or neither */
	WgEndpoint metrics;	     /* unset: none */
	gboolean metrics_asked;	     /* else the default, where a taken port is no error */
	gboolean log_addresses;
	SigLimits limits;
} SigConfig;

/* What the command line says; it replaces what a file says. Any may be NULL. */
typedef struct {
	const char *const *listen, *const *stun, *const *stun_external, *const *names,
										*const *turn_uris;
	const char *turn_secret_file;
	const char *tls_cert, *tls_key, *allow_file, *allow_wg, *metrics;
	gboolean log_addresses;
} SigArgs;

#define SIG_CONFIG_DEFAULT_PORT 8080
#define SIG_CONFIG_TLS_PORT 443 /* the default with TLS: what wss:// URLs mean */
#define SIG_CONFIG_DEFAULT_STUN_PORT 3478
#define SIG_CONFIG_DEFAULT_METRICS_PORT 9478

/* file: NULL: none; the secret's file is not read here. */
SigConfig *sig_config_load(const char *file, const SigArgs *args, GError **error);
/* The same from a file's text (may be NULL); `name` is used in messages. */
SigConfig *sig_config_parse(const char *text, gsize len, const char *name, const SigArgs *args,
			    GError **error);
/* All keys that a file may have, and their groups; NULL behind the last. (transfer none) */
const char *sig_config_nth_key(guint n, const char **group);
void sig_config_free(SigConfig *config);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigConfig, sig_config_free)
