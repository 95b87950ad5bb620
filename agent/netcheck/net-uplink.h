/* SPDX-License-Identifier: MIT */
/* How this host leads out: its default routes, their interfaces and addresses, by rtnetlink. No
 * privileges; blocks for some kernel round trips. */
#pragma once

#include "agent/netcheck/netcheck.h"

/* Adds the uplinks, those in use first. */
void net_uplink_find(Netcheck *check);
