/* SPDX-License-Identifier: MIT */
/*
 * WgPair: two network namespaces, two paths between them, and a device of the kernel's WireGuard
 * in each, for programs that look at what the kernel does.
 *
 * The namespaces have no names: they go with the process. One thread only; calls about a side
 * leave the thread in that side's namespace. What can't be set up ends the program.
 */
#pragma once

#include "wgctl/wg-ctl.h"

#define WG_PAIR_PORT 51820 /* of both devices, which are named wg0 */

typedef enum {
	WG_PAIR_A,
	WG_PAIR_B,
} WgPairSide;

typedef enum {
	WG_PAIR_PATH_1,
	WG_PAIR_PATH_2,
	WG_PAIR_PATH_1_V6,
	WG_PAIR_PATH_NOWHERE, /* the other side's address, a port that nobody listens on */
} WgPairPath;

typedef struct WgPair WgPair;

/* Each side has the other as its peer, without endpoint and keepalive; the tunnel's addresses are
 * 10.72.0.1 and 10.72.0.2. */
WgPair *wg_pair_new(void);
void wg_pair_free(WgPair *pair);

void wg_pair_enter(WgPair *pair, WgPairSide side);
/* Where `side` is reached on that path. */
WgEndpoint wg_pair_endpoint(WgPairSide side, WgPairPath path);
/* Changes the peer on `side`'s device: an endpoint is the other side's on `path`. */
void wg_pair_change(WgPair *pair, WgPairSide side, WgChangeFlags flags, WgPairPath path,
		    guint16 keepalive);
/* The peer as `side`'s device has it (transfer full). */
WgPeer *wg_pair_read(WgPair *pair, WgPairSide side);

/* Says what is wrong and ends the program with failure. */
void wg_pair_die(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WgPair, wg_pair_free)
