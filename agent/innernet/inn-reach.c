/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-reach.h"
struct InnReach {
	const InnConf *conf;
	gboolean (*write)(const WgPeerChange *, gpointer);
	gpointer user_data;
};
InnReach *
inn_reach_new(const char *ifname, const InnConf *conf, const char *state_dir,
	      const WgKey *own_public,
	      gboolean (*write)(const WgPeerChange *change, gpointer user_data), gpointer user_data)
{
	InnReach *r = g_new0(InnReach, 1);
	r->conf = conf;
	r->write = write;
	r->user_data = user_data;
	return r;
}
void
inn_reach_free(InnReach *reach)
{
	g_free(reach);
}
void
inn_reach_observe(InnReach *reach, const WgPeer *wg, gint64 now_us)
{
	WgPeerChange c = {.public_key = reach->conf->server_key, .keepalive = 25};
	WgAllowedIp ip = {.family = AF_INET, .cidr = 32};
	gsize len;
	if (wg != NULL && wg_endpoint_is_set(&wg->endpoint))
		return;
	memcpy(ip.addr, wg_endpoint_bytes(&reach->conf->server_internal, &len), 4);
	c.allowed_ips = &ip;
	c.n_allowed_ips = 1;
	c.flags =
		WG_CHANGE_CREATE | WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE | WG_CHANGE_ALLOWED_IPS;
	if (wg_endpoint_parse_address(reach->conf->server_host, reach->conf->server_port,
				      &c.endpoint))
		reach->write(&c, reach->user_data);
}
void
inn_reach_call_failed(InnReach *reach, gint64 now_us)
{
}
void
inn_reach_network_changed(InnReach *reach, gint64 now_us)
{
}
