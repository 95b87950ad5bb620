/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-traffic.h"

#include <linux/if_link.h>
#include <stddef.h>
#include <string.h>

#include "agent/net/nat-rtnl.h"

struct NatTraffic {
	NatRtnl *rtnl;
	guint ifindex;
};

typedef struct {
	guint ifindex;
	gboolean found;
	struct rtnl_link_stats64 stats;
} Answer;

NatTraffic *
nat_traffic_new(guint ifindex, GError **error)
{
	NatRtnl *rtnl = nat_rtnl_new(error);
	NatTraffic *traffic;

	if (!rtnl)
		return NULL;
	traffic = g_new0(NatTraffic, 1);
	traffic->rtnl = rtnl;
	traffic->ifindex = ifindex;
	return traffic;
}

void
nat_traffic_free(NatTraffic *traffic)
{
	if (!traffic)
		return;
	nat_rtnl_free(traffic->rtnl);
	g_free(traffic);
}

/* Later kernels append counters to the struct; the packets stand first. */
static int
read_stats(const struct nlmsghdr *nlh, void *data)
{
	const struct if_stats_msg *msg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFLA_STATS_LINK_64 + 1], *attr;
	Answer *answer = data;

	if (nlh->nlmsg_type != RTM_NEWSTATS || mnl_nlmsg_get_payload_len(nlh) < sizeof *msg ||
	    msg->ifindex != answer->ifindex)
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *msg, tb, IFLA_STATS_LINK_64);
	attr = tb[IFLA_STATS_LINK_64];
	if (!attr || mnl_attr_get_payload_len(attr) < offsetof(struct rtnl_link_stats64, rx_bytes))
		return MNL_CB_OK;
	memcpy(&answer->stats, mnl_attr_get_payload(attr),
	       MIN(mnl_attr_get_payload_len(attr), sizeof answer->stats));
	answer->found = TRUE;
	return MNL_CB_OK;
}

gboolean
nat_traffic_read(NatTraffic *traffic, guint64 *rx_packets, guint64 *tx_packets)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(traffic->rtnl, RTM_GETSTATS, 0);
	struct if_stats_msg *msg = mnl_nlmsg_put_extra_header(nlh, sizeof *msg);
	Answer answer = {.ifindex = traffic->ifindex};

	msg->ifindex = traffic->ifindex;
	msg->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
	if (nat_rtnl_talk(traffic->rtnl, nlh, read_stats, &answer) != 0 || !answer.found)
		return FALSE;
	if (rx_packets)
		*rx_packets = answer.stats.rx_packets;
	if (tx_packets)
		*tx_packets = answer.stats.tx_packets;
	return TRUE;
}
