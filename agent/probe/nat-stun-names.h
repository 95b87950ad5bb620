/* SPDX-License-Identifier: MIT */
/*
 * NatStunNames: the STUN servers that the user named (--stun), resolved, and their addresses kept
 * for the day the resolver is out of reach. Host thread only.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

typedef struct NatStunNames NatStunNames;

/* From the main loop, whenever a name got other addresses. */
typedef void (*NatStunNamesFunc)(gpointer user_data);

/* names: HOST[:PORT] each, may be NULL; copied. ifname is for log lines. */
NatStunNames *nat_stun_names_new(const char *const *names, const char *ifname,
				 const char *state_dir, const WgKey *own_public,
				 NatStunNamesFunc changed, gpointer user_data);
void nat_stun_names_free(NatStunNames *names);
/* Appends all known addresses (of WgEndpoint). */
void nat_stun_names_append(const NatStunNames *names, GArray *out);
