/* SPDX-License-Identifier: MIT */
/*
 * NatService: the methods behind the control socket, by their Varlink names.
 */
#pragma once

#include "agent/nat-varlink.h"

#include "agent/nat-status.h"

#define NAT_SERVICE_INTERFACE "io.github.nat-agent"
/* {} → {"status": DESIGN §7} */
#define NAT_SERVICE_STATUS NAT_SERVICE_INTERFACE ".Status"
/* {} → {"text": docs/metrics.md} */
#define NAT_SERVICE_METRICS NAT_SERVICE_INTERFACE ".Metrics"
#define NAT_SERVICE_GET_INFO "org.varlink.service.GetInfo"

/* Where a status comes from: the daemon, or a test. */
typedef NatStatus *(*NatServiceStatusFunc)(gpointer user_data);
typedef char *(*NatServiceMetricsFunc)(gpointer user_data); /* (transfer full) */

typedef struct {
	NatServiceStatusFunc status;
	gpointer user_data;
	NatServiceMetricsFunc metrics;
} NatService;

/* A NatControlFunc; user_data is a NatService. */
JsonNode *nat_service_call(const char *method, JsonObject *parameters, const char **varlink_error,
			   gpointer user_data);
