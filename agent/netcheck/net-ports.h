/* SPDX-License-Identifier: MIT */
/* How a NAT gives out ports, concluded from mappings made one after the other. Pure. */
#pragma once

#include "agent/netcheck/netcheck.h"

/* inside[i] is the local port of mapping i, outside[i] what the NAT made of it. From three on
 * something can be said. */
NetPattern net_ports_classify(const guint16 *inside, const guint16 *outside, gsize n);
