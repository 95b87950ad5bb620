/* SPDX-License-Identifier: MIT */
/*
 * The server's WireGuard interface: which peers it has, and where these last were. The interface
 * itself, its address and route, is made by others. Blocking.
 */
#pragma once

#include "db.h"

typedef struct Device Device;

/* NULL for ifname: there is none, and all succeeds. */
Device *device_new(const char *ifname);
void device_free(Device *device);
/* Its key, its port, and all peers of the Db but the disabled ones. */
gboolean device_start(Device *device, const Db *db, GError **error);
gboolean device_add(Device *device, const DbPeer *peer, GError **error);
gboolean device_remove(Device *device, const char *public_key, GError **error);
/* In one step. Nothing happens where the peer's new key is none. */
gboolean device_swap(Device *device, const char *old_key, const DbPeer *peer, GError **error);
/* Adds to public key → WgEndpoint; what is not seen any more stays. */
void device_sample(Device *device, GHashTable *observed);
