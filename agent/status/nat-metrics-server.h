/* SPDX-License-Identifier: MIT */
/*
 * NatMetricsServer: GET /metrics and /healthz by HTTP, in the host thread, without blocking it and
 * below everything else that it does. Whoever connects costs little and not for long: 16
 * connections (the oldest gives way), 64 new ones a second, 4 kB of a request, one answer each, 5
 * seconds for all of it; and the text is made at most twice a second, however often it is asked
 * for.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#define NAT_METRICS_SERVER_CLIENTS 16
#define NAT_METRICS_SERVER_PER_S 64
#define NAT_METRICS_SERVER_TIME_MS 5000
#define NAT_METRICS_SERVER_AGE_MS 500

typedef struct NatMetricsServer NatMetricsServer;

/* The page (transfer full). Must not free the server. */
typedef char *(*NatMetricsServerFunc)(gpointer user_data);

/* Serves from the thread's default main context. The error is one line that names address and
 * remedy. */
NatMetricsServer *nat_metrics_server_new(const WgEndpoint *address, NatMetricsServerFunc func,
					 gpointer user_data, GError **error);
void nat_metrics_server_free(NatMetricsServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatMetricsServer, nat_metrics_server_free)
