/* SPDX-License-Identifier: MIT */
#include "agent/config/nat-config-group.h"

#include <string.h>

static const char *const AGENT_KEYS[] = {"control",
					 "control_group",
					 "state_dir",
					 "signal",
					 "stun",
					 "turn",
					 "mtu",
					 "port_mapping",
					 "many_ports",
					 "standby",
					 "metrics",
					 "innernet_config_dir",
					 "innernet_data_dir",
					 "hosts_file",
					 NULL};
static const char *const INTERFACE_KEYS[] = {"signal",	     "stun",	   "turn",     "mtu",
					     "port_mapping", "many_ports", "innernet", NULL};
static const char *const PEER_KEYS[] = {"public_key", NULL};

const char *const *
nat_config_group_keys(const char *group)
{
	if (strcmp(group, "agent") == 0)
		return AGENT_KEYS;
	if (g_str_has_prefix(group, NAT_CONFIG_GROUP_INTERFACE))
		return INTERFACE_KEYS;
	return g_str_has_prefix(group, NAT_CONFIG_GROUP_PEER) ? PEER_KEYS : NULL;
}

const char *
nat_config_group_known(const char *group, const char *key)
{
	if (strcmp(group, "agent") == 0) {
		if (!key || g_strv_contains(AGENT_KEYS, key))
			return NULL;
		return "its keys are control, control_group, state_dir, signal, stun, turn, mtu, "
		       "port_mapping, many_ports, standby, metrics, innernet_config_dir, "
		       "innernet_data_dir, "
		       "hosts_file";
	}
	if (g_str_has_prefix(group, NAT_CONFIG_GROUP_INTERFACE)) {
		if (!key || g_strv_contains(INTERFACE_KEYS, key))
			return NULL;
		return "its keys are signal, stun, turn, mtu, port_mapping, many_ports, innernet";
	}
	if (g_str_has_prefix(group, NAT_CONFIG_GROUP_PEER)) {
		if (!key || g_strv_contains(PEER_KEYS, key))
			return NULL;
		return "its key is public_key";
	}
	return "the groups are [agent], [interface IF] and [peer NAME]";
}

gboolean
nat_config_check_stun_list(const char *const *stun, GError **error)
{
	for (guint i = 0; stun && stun[i]; i++)
		if (!nat_config_split_stun(stun[i], NULL, NULL, error))
			return FALSE;
	return TRUE;
}

/* What is wrong is not shown, so that no secret is: its place in the list tells which one it is. */
gboolean
nat_config_check_turn_list(const char *const *turn, GError **error)
{
	for (guint i = 0; turn && turn[i]; i++) {
		if (nat_config_check_turn(turn[i], error))
			continue;
		if (turn[1])
			g_prefix_error(error, "number %u of the list: ", i + 1);
		return FALSE;
	}
	return TRUE;
}

static gboolean
read_mtu(NatKeyFile *file, const char *group, NatConfigGroup *out, GError **error)
{
	g_autofree char *text = NULL;

	if (!nat_key_file_string(file, group, "mtu", &text, error))
		return FALSE;
	if (!text)
		return TRUE;
	if (!nat_config_parse_mtu(text, &out->mtu, error))
		return nat_key_file_blame(file, group, "mtu", error);
	out->has_mtu = TRUE;
	return TRUE;
}

/* *said: the key is there. */
static gboolean
read_switch(NatKeyFile *file, const char *group, const char *key, gboolean *said, gboolean *out,
	    GError **error)
{
	g_autofree char *text = NULL;

	if (!nat_key_file_string(file, group, key, &text, error))
		return FALSE;
	*said = text != NULL;
	return !text || nat_config_parse_switch(text, out, error) ||
	       nat_key_file_blame(file, group, key, error);
}

static gboolean
read_innernet(NatKeyFile *file, const char *group, NatConfigGroup *out, GError **error)
{
	g_autofree char *text = NULL;

	out->innernet = NAT_INNERNET_UNSAID;
	if (!nat_key_file_string(file, group, "innernet", &text, error))
		return FALSE;
	if (!text)
		return TRUE;
	return nat_config_parse_innernet(text, &out->innernet, error) ||
	       nat_key_file_blame(file, group, "innernet", error);
}

gboolean
nat_config_group_read(NatKeyFile *file, const char *group, NatConfigGroup *out, GError **error)
{
	if (!nat_key_file_string(file, group, "signal", &out->signal_url, error) ||
	    !nat_key_file_list(file, group, "stun", &out->stun, error) ||
	    !nat_key_file_list(file, group, "turn", &out->turn, error))
		return FALSE;
	if (out->signal_url && !nat_config_check_url(out->signal_url, error))
		return nat_key_file_blame(file, group, "signal", error);
	if (!nat_config_check_stun_list((const char *const *)out->stun, error))
		return nat_key_file_blame(file, group, "stun", error);
	if (!nat_config_check_turn_list((const char *const *)out->turn, error))
		return nat_key_file_blame(file, group, "turn", error);
	return read_mtu(file, group, out, error) &&
	       read_switch(file, group, "port_mapping", &out->has_port_mapping, &out->port_mapping,
			   error) &&
	       read_switch(file, group, "many_ports", &out->has_many_ports, &out->many_ports,
			   error) &&
	       read_innernet(file, group, out, error);
}

void
nat_config_group_clear(NatConfigGroup *group)
{
	g_clear_pointer(&group->signal_url, g_free);
	g_clear_pointer(&group->stun, g_strfreev);
	g_clear_pointer(&group->turn, g_strfreev);
}

void
nat_config_group_fill(NatConfigGroup *group, NatConfigInterface *iface, NatConfigSaid *said)
{
	if (!iface->signal_url)
		iface->signal_url = g_steal_pointer(&group->signal_url);
	if (!iface->stun)
		iface->stun = g_steal_pointer(&group->stun);
	if (!iface->turn)
		iface->turn = g_steal_pointer(&group->turn);
	if (iface->innernet == NAT_INNERNET_UNSAID)
		iface->innernet = group->innernet;
	if (!said->mtu && group->has_mtu) {
		iface->mtu = group->mtu;
		said->mtu = TRUE;
	}
	if (!said->port_mapping && group->has_port_mapping) {
		iface->port_mapping = group->port_mapping;
		said->port_mapping = TRUE;
	}
	if (!said->many_ports && group->has_many_ports) {
		iface->many_ports = group->many_ports;
		said->many_ports = TRUE;
	}
}
