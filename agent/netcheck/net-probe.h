/* SPDX-License-Identifier: MIT */
/*
 * NetProbe: a NAT's behaviour by STUN from ordinary UDP sockets (RFC 5780 §4, as far as the servers
 * support it). Blocking: each question has its patience, all of it is over in some seconds.
 */
#pragma once

#include "agent/netcheck/netcheck.h"

#define NET_PROBE_SERVERS 8 /* of one family */

/* Fills `family` from what the servers (of that family, each once) answer; rtt_ms[i]: of each,
 * negative where it did not. */
void net_probe_family(int af, const WgEndpoint *servers, gsize n, NetFamily *family,
		      double *rtt_ms);
/* Whether anything answers by TCP there within patience_ms; *problem: one line where not (transfer
 * full). Milliseconds, negative: no. */
double net_probe_tcp(const WgEndpoint *to, int patience_ms, char **problem);
