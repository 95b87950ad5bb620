/* SPDX-License-Identifier: MIT */
/*
 * NatConfig: what the user asked for, from the command line and a GKeyFile ([agent],
 * [interface wg0], [peer NAME]). Pure but for reading the file. Unknown keys, groups and malformed
 * values are errors that name file, line or key, and the remedy.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

typedef struct {
	char *name;	   /* interface */
	char *signal_url;  /* ws://… or wss://…; NULL: the daemon refuses to start */
	GStrv stun;	   /* HOST[:PORT] each; may be NULL */
} NatConfigInterface;

typedef struct {
	char *name;
	WgKey public_key;
} NatConfigPeer;

typedef struct {
	char *control_path;    /* default /run/nat-agent/control.sock, NAT_AGENT_CONTROL, --control */
	char *state_dir;       /* default $STATE_DIRECTORY, else /var/lib/nat-agent */
	GPtrArray *interfaces; /* of NatConfigInterface, at least one */
	GPtrArray *peers;      /* of NatConfigPeer */
} NatConfig;

#define NAT_CONFIG_DEFAULT_CONTROL "/run/nat-agent/control.sock"

/* Command-line values win over the file's; any of them may be NULL. signal_url and stun given on the
 * command line serve every interface. */
NatConfig *nat_config_load(const char *file, const char *const *interfaces, const char *signal_url,
			   const char *const *stun, const char *control, GError **error);
/* The same from the text of a file; for tests and the fuzzer. `name` is used in messages. */
NatConfig *nat_config_parse(const char *text, gsize len, const char *name,
			    const char *const *interfaces, const char *signal_url,
			    const char *const *stun, const char *control, GError **error);
void nat_config_free(NatConfig *config);
/* NULL when the peer has no name. (transfer none) */
const char *nat_config_peer_name(const NatConfig *config, const WgKey *key);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatConfig, nat_config_free)
