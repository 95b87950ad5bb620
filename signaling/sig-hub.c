/* SPDX-License-Identifier: MIT */
#include "signaling/sig-hub.h"

#define KEY_BUCKETS 32768 /* 512 kB, touched as keys come */
#define LOGS_PER_SECOND 1
#define LOGS_AT_ONCE 20

SigHub *
sig_hub_new(const SigLimits *limits, const char *const *names, void (*wake)(gpointer transport))
{
	SigHub *hub = g_new0(SigHub, 1);

	hub->limits = *limits;
	hub->auth = sig_auth_new(names);
	hub->directory = sig_directory_new(limits->interest);
	hub->gate = sig_gate_new(limits->unauthenticated, limits->unauthenticated_per_address);
	hub->addresses = sig_addresses_new(&hub->limits);
	hub->frames = sig_rate_limit_new(KEY_BUCKETS, limits->rate, limits->burst);
	hub->logs = sig_rate_limit_new(1, LOGS_PER_SECOND, LOGS_AT_ONCE);
	hub->wheel = sig_wheel_new();
	hub->turn_wheel = sig_wheel_new();
	hub->wake = wake;
	return hub;
}

void
sig_hub_free(SigHub *hub)
{
	sig_wheel_free(hub->turn_wheel);
	sig_wheel_free(hub->wheel);
	sig_rate_limit_free(hub->logs);
	sig_rate_limit_free(hub->frames);
	sig_addresses_free(hub->addresses);
	sig_gate_free(hub->gate);
	sig_directory_free(hub->directory);
	sig_auth_free(hub->auth);
	g_free(hub);
}

/* Those that the gate turns away have cost nothing yet: they are not counted against their address.
 */
static gboolean
admit(SigHub *hub, guint n_open, const WgEndpoint *from)
{
	if (n_open >= hub->limits.connections || !sig_gate_enter(hub->gate, from))
		return FALSE;
	if (sig_addresses_admit(hub->addresses, from, hub->now))
		return TRUE;
	sig_gate_leave(hub->gate, from);
	hub->stats.connect_limited++;
	return FALSE;
}

gboolean
sig_hub_admit(SigHub *hub, guint n_open, const WgEndpoint *from)
{
	gboolean ok = admit(hub, n_open, from);

	if (ok)
		hub->stats.accepted++;
	else
		hub->stats.turned_away++;
	return ok;
}
