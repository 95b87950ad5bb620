/* SPDX-License-Identifier: MIT */
/*
 * NatLock: one agent per interface and network namespace. A flock on a file in a directory that
 * only root can write to: the kernel releases it whatever way the process ends, so there is nothing
 * to clean after kill -9. Two agents with different /run directories (mount namespaces) but the
 * same network namespace do not see each other's lock.
 */
#pragma once

#include <glib.h>

#define NAT_LOCK_DIR "/run/nat-agent"

typedef struct NatLock NatLock;

/* Locks ifname in the calling thread's network namespace. G_IO_ERROR_BUSY names the interface and
 * the pid that holds it. */
NatLock *nat_lock_acquire(const char *ifname, GError **error);
/* The same in another directory, which is created (0755) when missing; for tests. */
NatLock *nat_lock_acquire_in(const char *dir, const char *ifname, GError **error);
void nat_lock_free(NatLock *lock); /* unlinks the file and releases */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatLock, nat_lock_free)
