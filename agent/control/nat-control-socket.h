/* SPDX-License-Identifier: MIT */
/*
 * NatControlSocket: the control socket's file, and who may use it: root, our own user, and one
 * group. Host thread only.
 */
#pragma once

#include <glib.h>

typedef struct NatControlSocket NatControlSocket;

/* Creates the socket's directory (0755) when missing, the socket 0660, of `group` (NULL: ours). A
 * stale socket is replaced, a living one is an error that names it and the remedy (--control). */
NatControlSocket *nat_control_socket_new(const char *path, const char *group, GError **error);
void nat_control_socket_free(NatControlSocket *sock);	 /* unlinks the file if it is still ours */
int nat_control_socket_fd(const NatControlSocket *sock); /* non-blocking, listening */
/* The file's mode keeps others out already; but it, or the directory, may have been changed, and a
 * descriptor may have been handed on. unix(7) SO_PEERCRED: whose connect() it was. */
gboolean nat_control_socket_admits(const NatControlSocket *sock, int client);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatControlSocket, nat_control_socket_free)
