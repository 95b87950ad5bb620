/* SPDX-License-Identifier: MIT */
/*
 * The server's own sockets, made with errors a person can act on: one line that names the address
 * and the remedy. All are non-blocking and close-on-exec.
 */
#pragma once

#include "signaling/sig-inherit.h"

/* Each is the inherited one of that address, if there is (sig-inherit). */
/* A listening TCP socket; IPv6 ones that are ours take IPv6 only. -1 on error. */
int sig_socket_listen(SigSocketKind kind, const WgEndpoint *address, GError **error);
/* A UDP socket that reports each packet's destination (IP_PKTINFO). -1 on error. */
int sig_socket_udp(const WgEndpoint *address, GError **error);
/* The address a socket is bound to: what port 0 became. */
gboolean sig_socket_address(int fd, WgEndpoint *out);
/* Takes a connection: *peer set, Nagle off, send buffer bounded. -1 with errno. */
int sig_socket_accept(int fd, WgEndpoint *peer);
/* Ends a connection for good, without waiting for what is queued; the fd stays open. */
void sig_socket_abort(int fd);
/* Whether strangers may reach this address: it, or for a wildcard any of this host's, is a global
 * one. */
gboolean sig_socket_is_public(const WgEndpoint *address);
/* Raises the soft limit of open files so that `wanted` connections fit; what it is now. */
guint sig_socket_raise_files(guint wanted);
