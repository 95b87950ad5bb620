/* SPDX-License-Identifier: MIT */
/*
 * NatConfigGroup: what one group of a configuration file says: [agent] for all interfaces,
 * [interface IF] for one, which wins. Also the list of what may stand in a file at all. Pure; any
 * thread.
 */
#pragma once

#include "agent/config/nat-config.h"
#include "agent/config/nat-keyfile.h"

#define NAT_CONFIG_GROUP_INTERFACE "interface "
#define NAT_CONFIG_GROUP_PEER "peer "

typedef struct {
	char *signal_url; /* NULL: not said */
	GStrv stun, turn; /* NULL: not said; empty: none wanted */
	gboolean has_mtu;
	NatMtuMode mtu;
	gboolean has_port_mapping, port_mapping;
	gboolean has_many_ports, many_ports;
	NatInnernet innernet;
} NatConfigGroup;

/* The keys that a group may have, NULL at the end; NULL: there is no such group. (transfer none) */
const char *const *nat_config_group_keys(const char *group);
/* A NatKeyFileCheck. */
const char *nat_config_group_known(const char *group, const char *key);
/* Values are checked where they stand: errors name the line. A group that is not there says
 * nothing. *out is to be cleared either way. */
gboolean nat_config_group_read(NatKeyFile *file, const char *group, NatConfigGroup *out,
			       GError **error);
void nat_config_group_clear(NatConfigGroup *group);
/* Which values that have no "not said" an interface has already. */
typedef struct {
	gboolean mtu, port_mapping, many_ports;
} NatConfigSaid;
/* Sets what iface still lacks, taking it from the group. */
void nat_config_group_fill(NatConfigGroup *group, NatConfigInterface *iface, NatConfigSaid *said);
/* Every entry of a list (NULL: none) by nat_config_split_stun() and nat_config_check_turn(). */
gboolean nat_config_check_stun_list(const char *const *stun, GError **error);
gboolean nat_config_check_turn_list(const char *const *turn, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NatConfigGroup, nat_config_group_clear)
