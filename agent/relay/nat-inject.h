/* SPDX-License-Identifier: MIT */
/*
 * NatInject: hands packets to a local UDP port as if they came from somebody else's address. They
 * go over loopback as any packet from this host to itself does, so that neither rp_filter nor a
 * firewall of the outer interfaces meets them (tests/platform/spoofed-delivery.c).
 * Made by one thread, used by one thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct NatInject NatInject;

/* The destination is the address of ours that packets to `source` carry, and `port`. NULL with a
 * G_IO_ERROR: no route, no CAP_NET_RAW. */
NatInject *nat_inject_new(const WgEndpoint *source, guint16 port, guint32 fwmark, GError **error);
void nat_inject_free(NatInject *inject);
/* FALSE: too big, or the kernel refused it. */
gboolean nat_inject_send(NatInject *inject, const guint8 *data, gsize len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatInject, nat_inject_free)
