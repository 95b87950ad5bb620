/* SPDX-License-Identifier: MIT */
/* MapEntry: a mapping and where it is, as the state directory has it. An open value; pure. */
#pragma once

#include <string.h>

#include "agent/portmap/map-gateway.h"
#include "agent/portmap/map-grant.h"

typedef struct {
	MapPlace place;
	MapGrant grant;
	/* Nobody wants it, or nobody knows yet whether it was made: it is to be removed. */
	gboolean owed;
} MapEntry;

/* Whether two grants at one place are one mapping: of PCP and NAT-PMP there is one for our address
 * and port, of UPnP one for each outside port. */
static inline gboolean
map_grant_same_mapping(const MapGrant *a, const MapGrant *b)
{
	if (a->protocol != b->protocol)
		return FALSE;
	if (a->protocol != MAP_UPNP)
		return TRUE;
	return wg_endpoint_port(&a->external) == wg_endpoint_port(&b->external) &&
	       strcmp(a->service, b->service) == 0 && strcmp(a->control_path, b->control_path) == 0;
}

static inline gboolean
map_entry_same_mapping(const MapEntry *a, const MapEntry *b)
{
	return map_place_same_to_gateway(&a->place, &b->place) &&
	       map_grant_same_mapping(&a->grant, &b->grant);
}

/* Its time was over when it was read, or is now; one without end never is. */
static inline gboolean
map_entry_is_over(const MapEntry *entry, gint64 now_us)
{
	return entry->grant.lifetime_s != 0 && map_grant_left_s(&entry->grant, now_us) <= 1;
}
