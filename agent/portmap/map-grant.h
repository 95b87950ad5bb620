/* SPDX-License-Identifier: MIT */
/* MapGrant: a mapping that a gateway has given, whatever the protocol. An open value; pure. */
#pragma once

#include "agent/portmap/map-codec.h"

#define MAP_PATH_MAX 256

typedef struct {
	MapProtocol protocol;
	WgEndpoint external; /* unset: there is none */
	guint32 lifetime_s;  /* as believed, from `at_us`; 0: until it is removed (UPnP alone) */
	gint64 at_us;	     /* monotonic */
	guint8 nonce[MAP_NONCE_LEN]; /* PCP */
	gboolean unsure;   /* UPnP: it was asked for, and nobody has said that it was made */
	guint16 unique_id; /* UPnP's, of an IPv6 pinhole; of no use while unsure */
	/* UPnP: where its mappings are made, on the gateway */
	guint16 control_port;
	char control_path[MAP_PATH_MAX];
	char service[64];
} MapGrant;

static inline gboolean
map_grant_is_set(const MapGrant *grant)
{
	return wg_endpoint_is_set(&grant->external);
}

/* Seconds that are left of it, at least 0; one without end: a day. */
static inline guint32
map_grant_left_s(const MapGrant *grant, gint64 now_us)
{
	gint64 age_s = (now_us - grant->at_us) / G_USEC_PER_SEC;

	if (grant->lifetime_s == 0)
		return MAP_LIFETIME_MAX_S;
	return age_s >= grant->lifetime_s ? 0 : grant->lifetime_s - (guint32)age_s;
}
