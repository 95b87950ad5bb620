/* SPDX-License-Identifier: MIT */
/*
 * NatBoundedStream: a connection whose input fails once more was read than its owner has allowed.
 *
 * Why: libsoup bounds the length of a WebSocket frame, not that of a message in many frames
 * (CVE-2025-32049; so in 3.2.3), and reads for as long as there is something to read: only inside
 * its reading can a server that never ends its message be stopped.
 *
 * How it gets there: GSocketClient lets a GProxy put a stream of its own over the TCP connection,
 * below TLS. Ours talks to nobody. An address made by nat_bounded_address_new() calls for it, and
 * the stream then comes with G_SOCKET_CLIENT_PROXY_NEGOTIATED.
 */
#pragma once

#include <gio/gio.h>

#define NAT_TYPE_BOUNDED_STREAM (nat_bounded_stream_get_type())
G_DECLARE_FINAL_TYPE(NatBoundedStream, nat_bounded_stream, NAT, BOUNDED_STREAM, GIOStream)

/* Bytes that may be read at first, and after each nat_bounded_stream_allow(). */
#define NAT_BOUNDED_STREAM_MAX (64 * 1024)

/* (transfer full) To connect to `address` through such a stream. */
GSocketAddress *nat_bounded_address_new(GInetSocketAddress *address);
/* As many bytes more than now, but no more than the bound in all. */
void nat_bounded_stream_allow(NatBoundedStream *stream, gsize bytes);
