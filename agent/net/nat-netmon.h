/* SPDX-License-Identifier: MIT */
/*
 * NatNetmon: tells when the network changed: link, address, route or rule events of rtnetlink,
 * gathered for `debounce_ms`, then one call. Whether it matters is for others to say: on a host of
 * containers, or one that speaks BGP, the network changes all the time. Host thread only.
 */
#pragma once

#include <glib.h>

typedef struct NatNetmon NatNetmon;
typedef struct {
	gboolean lost;	  /* events were (ENOBUFS): anything may have happened */
	const int *links; /* ifindexes of links that came, went, or lost or found their carrier */
	guint n_links;
} NatNetChange;
typedef void (*NatNetmonFunc)(const NatNetChange *change, gpointer user_data);

NatNetmon *nat_netmon_new(guint debounce_ms, NatNetmonFunc func, gpointer user_data,
			  GError **error);
void nat_netmon_free(NatNetmon *mon);
void nat_netmon_set_debounce(NatNetmon *mon, guint ms); /* from the next change on */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatNetmon, nat_netmon_free)
