/* SPDX-License-Identifier: MIT */
/*
 * How long the NAT keeps a silent mapping, by nat-lifetime-probe on ordinary sockets: silences of 5
 * to 115 s, all at once. Main thread; callbacks come from the main loop.
 */
#pragma once

#include "agent/netcheck/netcheck.h"

#define NET_SILENCE_WITHIN_S 128 /* in all; what is not known by then is undecided */

typedef struct NetSilence NetSilence;

/* Once; lifetime is filled in. The silence may be freed inside. */
typedef void (*NetSilenceFunc)(gpointer user_data);

/* servers: of one family, that have answered. */
NetSilence *net_silence_new(const WgEndpoint *servers, gsize n, NetLifetime *lifetime,
			    NetSilenceFunc func, gpointer user_data);
void net_silence_free(NetSilence *silence);
/* Seconds since it began. */
guint net_silence_age_s(const NetSilence *silence);
