/* SPDX-License-Identifier: MIT */
/*
 * What is the agents' own where libnice has no namespace of its own (nat-ice-home): names, numbers
 * and addresses, and how they are told from everybody else's. Pure; any thread.
 */
#pragma once

#include "agent/net/nat-rtnl.h"
#include "wgctl/wg-endpoint.h"

/* Marks rules (FRA_PROTOCOL; `ip -d rule` calls it proto). */
#define NAT_ICE_PRIVATE_PROTOCOL 78
/* Device nat-iceN has table FIRST_TABLE + N, N at most LAST. */
#define NAT_ICE_PRIVATE_DEVICE "nat-ice"
#define NAT_ICE_PRIVATE_FIRST_TABLE 1312904192u
#define NAT_ICE_PRIVATE_LAST 255u
/* That many addresses stand for the host's at each device, per family. */
#define NAT_ICE_PRIVATE_ADDRESSES 508u

/* The k-th of them (port 0); FALSE: there is none. */
gboolean nat_ice_private_address(guint number, guint k, int family, WgEndpoint *out);
/* Whether an agent could have it. IPv4: the second half of them may be somebody's network. */
gboolean nat_ice_private_is(const WgEndpoint *addr);
/* A rule (RTM_NEWRULE, RTM_DELRULE) of device nat-iceN, from this address; FALSE: not ours. */
gboolean nat_ice_private_parse_rule(const struct nlmsghdr *nlh, WgEndpoint *from, guint *number);
/* Whether an event of rtnetlink tells of what an agent does, and not of the network. */
gboolean nat_ice_private_is_event(const struct nlmsghdr *nlh);
