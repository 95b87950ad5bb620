/* SPDX-License-Identifier: MIT */
/* Asks a router what net-portmap knows of. Blocking, up to two seconds; any thread. */
#pragma once

#include "agent/netcheck/netcheck.h"

/* Fills in what router->gateway answers; index: of the interface towards it. What others answer is
 * dropped. */
void net_router_ask(NetRouter *router, int index);
/* The same at other ports (0: the protocol is left out), for tests. */
void net_router_ask_at(NetRouter *router, int index, guint16 port, guint16 ssdp_port);
