/* SPDX-License-Identifier: MIT */
/*
 * The metrics page: text in the format of Prometheus (version 0.0.4). Holds no key and no address.
 */
#pragma once

#include "signaling/sig-hub.h"
#include "signaling/sig-stun-site.h"

/* What the hub does not know. */
typedef struct {
	guint connections;     /* of agents, logged in or not */
	guint64 no_descriptor; /* connections closed because there was no file descriptor */
	SigStunCounts stun;
	gint64 started_s;     /* since 1970 */
	gint64 tls_expires_s; /* since 1970; 0: no TLS */
	guint allowed_keys;   /* G_MAXUINT: any */
	gboolean draining;
} SigMetricsFacts;

/* (transfer full) */
char *sig_metrics_page(const SigHub *hub, const SigMetricsFacts *facts);
