/* SPDX-License-Identifier: MIT */
/* NetName: a name's addresses, within a time. Main thread; callbacks come from the main loop. */
#pragma once

#include "wgctl/wg-endpoint.h"

#define NET_NAME_MAX 6		/* addresses, three of each family */
#define NET_NAME_WITHIN_MS 3000 /* then the resolver counts as silent */

typedef struct NetName NetName;

/* Once: n ≥ 1 addresses with the port, or 0 and one line why. */
typedef void (*NetNameFunc)(const WgEndpoint *addrs, gsize n, const char *problem,
			    gpointer user_data);

/* host: a name, or an address without brackets. only_v6: no other addresses are asked for. */
NetName *net_name_lookup(const char *host, guint16 port, gboolean only_v6, NetNameFunc func,
			 gpointer user_data);
void net_name_free(NetName *name); /* func is not called any more */
