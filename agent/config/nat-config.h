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

/* What is done about an interface's MTU being too big for a path. */
typedef enum {
	NAT_MTU_OFF,	/* nothing, and nothing is measured */
	NAT_MTU_ADVISE, /* status says what would fit; the default */
	NAT_MTU_AUTO,	/* the interface's MTU is set */
} NatMtuMode;

/* How an interface of an innernet network is dealt with. */
typedef enum {
	NAT_INNERNET_OFF,    /* like any other */
	NAT_INNERNET_BESIDE, /* innernet owns it: the default where innernet has a file of it */
	NAT_INNERNET_YES,    /* we bring it up and keep its peers */
	NAT_INNERNET_UNSAID, /* by a group of the file; never in a NatConfig */
} NatInnernet;

typedef struct {
	char *name;	  /* interface */
	char *signal_url; /* ws://… or wss://…, with a host; NULL: only with innernet, the default
			   * at its server */
	GStrv stun;	  /* HOST[:PORT] each; may be NULL */
	GStrv turn;	  /* for nat_turn_uri_parse() each, with secrets; may be NULL */
	NatMtuMode mtu;
	gboolean port_mapping; /* P is mapped at routers that do it: the default */
	gboolean many_ports;   /* hard NATs are tried by many ports: the default */
	NatInnernet innernet;
	char *innernet_conf;  /* innernet's file of the interface; NULL when OFF */
	char *innernet_store; /* … and of what its client remembers */
} NatConfigInterface;

typedef struct {
	char *name;
	WgKey public_key;
} NatConfigPeer;

typedef struct {
	char *control_group; /* that may use the control socket beside root; NULL: our own */
	char *control_path;  /* default /run/nat-agent/control.sock, NAT_AGENT_CONTROL, --control */
	char *state_dir;     /* default $STATE_DIRECTORY, else /var/lib/nat-agent */
	GPtrArray *interfaces;	   /* of NatConfigInterface, at least one, each name once */
	GPtrArray *peers;	   /* of NatConfigPeer */
	guint standby_max;	   /* warm standby paths held at once, at most 256 */
	char *innernet_config_dir; /* default /etc/innernet */
	char *innernet_data_dir;   /* default /var/lib/innernet */
	char *hosts_file;   /* of the system, for names of innernet's peers; NULL: never written */
	WgEndpoint metrics; /* where Prometheus may ask; unset: nowhere, the default */
} NatConfig;

/* What the command line says; any of it may be NULL. */
typedef struct {
	const char *const *interfaces;
	const char *signal_url;
	const char *const *stun, *const *turn;
	const char *control;
	const char *metrics;
	gboolean no_port_mapping, no_many_ports;
} NatConfigFlags;

#define NAT_CONFIG_DEFAULT_FILE "/etc/nat-agent/nat-agent.conf"
#define NAT_CONFIG_DEFAULT_CONTROL "/run/nat-agent/control.sock"
#define NAT_CONFIG_INSTANCE_CONTROL "/run/nat-agent/%s.sock"
#define NAT_CONFIG_DEFAULT_STATE_DIR "/var/lib/nat-agent"
#define NAT_CONFIG_DEFAULT_INNERNET_DIR "/etc/innernet"
#define NAT_CONFIG_DEFAULT_INNERNET_DATA "/var/lib/innernet"
#define NAT_CONFIG_DEFAULT_HOSTS_FILE "/etc/hosts"
#define NAT_CONFIG_STUN_PORT 3478
#define NAT_CONFIG_DEFAULT_STANDBY 16
#define NAT_CONFIG_MAX_STANDBY 256

/* Flags win over the file (NULL: none). Where interfaces are given as flags, they are the only
 * ones; their [interface] groups still count. signal_url, stun and turn given as flags serve every
 * interface. */
NatConfig *nat_config_load(const char *file, const NatConfigFlags *flags, GError **error);
/* The same from the text of a file; for tests and the fuzzer. `name` is used in messages. */
NatConfig *nat_config_parse(const char *text, gsize len, const char *name,
			    const NatConfigFlags *flags, GError **error);
void nat_config_free(NatConfig *config);
gboolean nat_config_has_interface(const NatConfig *config, const char *name);
NatConfigInterface *nat_config_interface_copy(const NatConfigInterface *iface);
void nat_config_interface_free(NatConfigInterface *iface);
gboolean nat_config_interface_equal(const NatConfigInterface *a, const NatConfigInterface *b);
/* What a running agent cannot change (the control socket, directories); NULL: nothing differs.
 * (static text) */
const char *nat_config_fixed_difference(const NatConfig *a, const NatConfig *b);
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
/* A URI for nat_turn_uri_parse(). The error repeats at most the host: it holds a secret. */
gboolean nat_config_check_turn(const char *text, GError **error);
/* "auto", "advise" or "off". */
gboolean nat_config_parse_mtu(const char *text, NatMtuMode *out, GError **error);
/* "yes" or "no". */
gboolean nat_config_parse_switch(const char *text, gboolean *out, GError **error);
/* What flags say of servers; the error names the flag. */
gboolean nat_config_check_flags(const NatConfigFlags *flags, GError **error);
/* "beside", "yes" or "off". */
gboolean nat_config_parse_innernet(const char *text, NatInnernet *out, GError **error);
/* "ADDRESS:PORT", numeric, "PORT" (on 127.0.0.1), or "none": unset. */
gboolean nat_config_parse_metrics(const char *text, WgEndpoint *out, GError **error);
/* 0 to NAT_CONFIG_MAX_STANDBY. */
gboolean nat_config_parse_standby(const char *text, guint *out, GError **error);
/* Where no file says: STATE_DIRECTORY or the default. (transfer full) */
char *nat_config_default_state_dir(void);
/* The control socket where no flag names one: NAT_AGENT_CONTROL or the default. */
const char *nat_config_default_control(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatConfig, nat_config_free)
