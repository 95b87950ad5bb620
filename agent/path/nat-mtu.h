/* SPDX-License-Identifier: MIT */
/*
 * NatMtu: how much one path carries in one piece, found by probes of known size (DPLPMTUD,
 * RFC 8899) that the peer answers; ICMP is not needed, nor believed. Pure: the time is an argument,
 * probes leave by one function. One thread.
 *
 * Sizes are UDP payloads in bytes, multiples of 4 (STUN's): the same number means the same to
 * WireGuard, to a STUN request and to both legs of a relayed path, whatever their headers are.
 *
 * What becomes of WireGuard's packets that are too large for the path (tests/vm/wg-df.c,
 * tests/platform/rawsock-df.c), and so why it matters:
 *
 *   - kernel, IPv4: DF is unset, routers cut them: slower, and lost where fragments are dropped;
 *   - kernel, IPv6: no router cuts; the sender does, once "packet too big" came. Where ICMP is
 *     dropped they vanish;
 *   - wireguard-go, an ordinary UDP socket: DF is set; the same as IPv6, in both families.
 *
 * So "usable" is what passes whole, and the tunnel's MTU should be at most that less what WireGuard
 * adds: 16 bytes of header and 16 of tag. It pads to 16 bytes, but never beyond its interface's MTU
 * [S: send.c, calculate_skb_padding; wireguard-go: calculatePaddingSize], so a full packet is
 * MTU + 32 and nothing needs rounding.
 *
 *   IDLE ──start──▶ SEARCHING ──▶ SETTLED ──10 min, or suspect──▶ CHECKING ──passes──▶ SETTLED
 *                       ▲            a little more passes: search again ◀──┤
 *                       └───────────────── the size no longer passes ──────┘
 *
 * Each probe goes together with a small one. Only a probe whose small one was answered counts as
 * missed, and three misses at least make a size too large: more where small ones get lost too, so
 * that loss is not taken for size. When no small one is answered the path is silent, which is not
 * this machine's business: it waits and asks again.
 */
#pragma once

#include <glib.h>

typedef struct NatMtu NatMtu;

#define NAT_MTU_WG_OVERHEAD 32

typedef enum {
	NAT_MTU_SENT,
	NAT_MTU_LINK_TOO_SMALL, /* the interface it would leave by does not carry it */
	NAT_MTU_NOT_NOW,	/* not sent for another reason */
} NatMtuSend;

typedef enum {
	NAT_MTU_IDLE,
	NAT_MTU_SEARCHING,
	NAT_MTU_SETTLED,
	NAT_MTU_CHECKING, /* of what was settled, which stays true meanwhile */
} NatMtuPhase;

typedef struct {
	/* Sends a request of `size` bytes in one piece, an ordinary small one where size is 0. The
	 * answer is told by nat_mtu_answered() with this token. */
	NatMtuSend (*send)(guint size, guint token, gpointer user_data);
	/* A search ended with another result than the last. The NatMtu must not be freed inside. */
	void (*changed)(gpointer user_data);
} NatMtuFuncs;

/* family: of the path. relayed: one of its legs adds 4 bytes (ChannelData). wg_mtu: of the
 * WireGuard interface, whose full packets are tried first; 0: unknown. */
NatMtu *nat_mtu_new(int family, gboolean relayed, guint wg_mtu, const NatMtuFuncs *funcs,
		    gpointer user_data);
void nat_mtu_free(NatMtu *mtu);
/* Begins with a new path: nothing is known. */
void nat_mtu_start(NatMtu *mtu, gint64 now_us);
/* To be called at nat_mtu_next_us(). Earlier calls do nothing. */
void nat_mtu_tick(NatMtu *mtu, gint64 now_us);
/* G_MAXINT64: never. */
gint64 nat_mtu_next_us(const NatMtu *mtu);
void nat_mtu_answered(NatMtu *mtu, guint token, gint64 now_us);
/* The tunnel sends and nothing comes back: checks now, at most every 10 s. */
void nat_mtu_suspect(NatMtu *mtu, gint64 now_us);
void nat_mtu_set_wg_mtu(NatMtu *mtu, guint wg_mtu);

NatMtuPhase nat_mtu_phase(const NatMtu *mtu);
/* The result of the last search. 0: none yet, or the peer answers no padded requests. */
guint nat_mtu_payload(const NatMtu *mtu);
/* The path's MTU in IP packets (of the leg with the larger overhead); 0 as above. */
guint nat_mtu_path(const NatMtu *mtu);
/* The largest MTU of the tunnel whose packets pass whole; 0 as above. */
guint nat_mtu_wg(const NatMtu *mtu);
/* All that is ever tried (an IP packet of 1500 bytes) passes: larger ones may, too. */
gboolean nat_mtu_is_capped(const NatMtu *mtu);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatMtu, nat_mtu_free)
