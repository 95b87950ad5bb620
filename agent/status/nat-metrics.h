/* SPDX-License-Identifier: MIT */
/*
 * NatMetrics: a status as text for Prometheus; docs/metrics.md lists all that is in it. Pure. Holds
 * the peers' public keys and names, no address, and nothing secret.
 */
#pragma once

#include "agent/status/nat-status.h"

/* Interfaces with more peers have no series of single peers: a page stays small. */
#define NAT_METRICS_PEERS 512

/* What a status does not say. */
typedef struct {
	double uptime_s;
	guint control_clients;
} NatMetricsFacts;

char *nat_metrics_text(const NatStatus *status, const NatMetricsFacts *facts); /* (transfer full) */
