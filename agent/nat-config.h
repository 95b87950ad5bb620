/* SPDX-License-Identifier: MIT */
/*
 * NatConfig: what the user asked for, from the command line and a GKeyFile ([agent],
 * [interface wg0], [peer NAME]; docs/nat-agent.conf.example). Pure but for reading the file and the
 * environment. Unknown keys, groups and malformed values are errors that name file, line or key,
 * and the remedy. Command line wins over environment over file over default.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

typedef struct {
	char *name;	  /* interface */
	char *signal_url; /* ws://… or wss://…, with a host; never NULL */
	GStrv stun;	  /* HOST[:PORT] each; may be NULL */
} NatConfigInterface;

typedef struct {
	char *name;
	WgKey public_key;
} NatConfigPeer;

typedef struct {
	char *control_path; /* default /run/nat-agent/control.sock, NAT_AGENT_CONTROL, --control */
	char *state_dir;    /* default $STATE_DIRECTORY, else /var/lib/nat-agent */
	GPtrArray *interfaces; /* of NatConfigInterface, at least one, each name once */
	GPtrArray *peers;      /* of NatConfigPeer */
} NatConfig;

#define NAT_CONFIG_DEFAULT_CONTROL "/run/nat-agent/control.sock"
#define NAT_CONFIG_DEFAULT_STATE_DIR "/var/lib/nat-agent"
#define NAT_CONFIG_STUN_PORT 3478

/* Command-line values win over the file's; any of them may be NULL. Where interfaces are given,
 * they are the only ones; their [interface] groups still count. signal_url and stun given on the
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

/* Values by themselves, for the command line too. The errors say what is wrong and what would be
 * right, without naming where the value came from. */
gboolean nat_config_check_interface(const char *name, GError **error);
gboolean nat_config_check_url(const char *url, GError **error);
gboolean nat_config_check_control(const char *path, GError **error);
/* "HOST", "HOST:PORT", "[v6]:PORT", "[v6]" or "v6"; *port is 3478 where none is given. host:
 * without brackets (transfer full); may be NULL, port too. */
gboolean nat_config_split_stun(const char *text, char **host, guint16 *port, GError **error);
/* The control socket where no flag names one: NAT_AGENT_CONTROL or the default. */
const char *nat_config_default_control(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatConfig, nat_config_free)
