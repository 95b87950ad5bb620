/* SPDX-License-Identifier: MIT */
/*
 * NatChecks: how the connectivity checks of a search went, pair by pair, for whoever asks why there
 * is no path. A value; pure.
 */
#pragma once

#include "agent/base/nat-types.h"

/* ICE pairs every address with every candidate; what is beyond is not remembered. */
#define NAT_CHECKS_MAX 64

typedef struct {
	WgEndpoint local, remote;
	guint sent, answered; /* requests of ours */
	guint heard;	      /* the peer's that came on this pair */
	char error[80];	      /* what went wrong last, in words; "": nothing but silence */
} NatCheck;

typedef struct {
	GArray *list; /* of NatCheck, in the order in which they were tried */
} NatChecks;

void nat_checks_init(NatChecks *checks);
void nat_checks_clear(NatChecks *checks);
/* The pair's entry, made when there is room; NULL: there is none. Valid until the next call. */
NatCheck *nat_checks_of(NatChecks *checks, const WgEndpoint *local, const WgEndpoint *remote);
void nat_check_set_error(NatCheck *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
