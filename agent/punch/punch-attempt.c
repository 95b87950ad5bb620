/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-attempt.h"

#include <sodium.h>
#include <string.h>

#include "agent/mux/nat-stun.h"

#define TICK_MS 20
#define PER_TICK (PUNCH_RATE * TICK_MS / 1000)
#define SPRAY_ROUNDS 4 /* of what was foretold, before all else is tried */

/* When all source ports send (again), in ms from the first time. The mappings of OPEN wait for
 * guesses: they must live, where a NAT forgets within 10 s what nobody answered. Those of AIM hit
 * at once or never, but the two ends do not begin in the same moment. */
static const guint OPEN_PASSES[] = {0, 7000, 14000};
static const guint AIM_PASSES[] = {0, 400, 1000, 2000};
#define AIM_LIFE_MS 3500
#define LINGER_MS 1500

struct PunchAttempt {
	PunchRole role;
	const NatWatchKeys *keys;
	PunchFuncs funcs;
	gpointer user_data;
	PunchFan *fan;
	guint16 *inside;
	guint n;
	WgEndpoint target; /* SPRAY: its port is the last that was tried */
	PunchGuess guess;
	gint64 begun_us;  /* 0: not yet */
	guint pass, next; /* of the passes; of the ports in it */
	gint64 spent_ms;  /* SPRAY: when nothing was left to guess; 0: not yet */
	guint sent;
	guint timer;
};

PunchAttempt *
punch_attempt_new(PunchRole role, const NatWatchKeys *keys, const PunchFuncs *funcs,
		  gpointer user_data)
{
	PunchAttempt *attempt = g_new0(PunchAttempt, 1);

	attempt->role = role;
	attempt->keys = keys;
	attempt->funcs = *funcs;
	attempt->user_data = user_data;
	return attempt;
}

static void
rest(PunchAttempt *attempt)
{
	g_clear_handle_id(&attempt->timer, g_source_remove);
	g_clear_pointer(&attempt->fan, punch_fan_free);
}

void
punch_attempt_free(PunchAttempt *attempt)
{
	if (attempt == NULL)
		return;
	rest(attempt);
	g_free(attempt->inside);
	g_free(attempt);
}

PunchRole
punch_attempt_role(const PunchAttempt *attempt)
{
	return attempt->role;
}

guint
punch_attempt_sent(const PunchAttempt *attempt)
{
	return attempt->sent;
}

/* ---- what comes in ---- */

static gboolean
is_authentic(const PunchAttempt *attempt, const guint8 *data, gsize len, NatStun *stun)
{
	if (!nat_stun_parse(data, len, stun) || stun->method != NAT_STUN_BINDING)
		return FALSE;
	if (stun->klass == NAT_STUN_REQUEST)
		return nat_stun_check_integrity(data, len, attempt->keys->own_pwd);
	return stun->klass == NAT_STUN_SUCCESS &&
	       nat_stun_check_integrity(data, len, attempt->keys->peer_pwd);
}

/* The sender learns that it was heard, and by which of the mappings. */
static void
answer(PunchAttempt *attempt, guint i, const NatStun *stun, const WgEndpoint *src)
{
	static const guint8 no_note[NAT_STUN_NOTE_LEN];
	guint8 msg[NAT_STUN_MAX];
	gsize len = nat_stun_build_probe_answer(msg, sizeof msg, stun->id, src,
						attempt->keys->own_pwd, no_note);

	punch_fan_send(attempt->fan, i, src, msg, len);
}

static void
on_datagram(guint i, const WgEndpoint *src, const guint8 *data, gsize len, gpointer user_data)
{
	PunchAttempt *attempt = user_data;
	guint16 port = punch_fan_port(attempt->fan, i);
	WgEndpoint remote = *src;
	NatStun stun;
	int fd;

	/* A copy of an authentic packet may come from anywhere. */
	if (attempt->begun_us == 0 || !wg_endpoint_same_address(src, &attempt->target) ||
	    !is_authentic(attempt, data, len, &stun))
		return;
	if (stun.klass == NAT_STUN_REQUEST)
		answer(attempt, i, &stun, src);
	fd = punch_fan_take(attempt->fan, i);
	rest(attempt);
	attempt->funcs.hit(port, fd, &remote, attempt->user_data);
}

/* ---- what goes out ---- */

static gint64
age_ms(const PunchAttempt *attempt)
{
	return (g_get_monotonic_time() - attempt->begun_us) / 1000;
}

static void
open_next(PunchAttempt *attempt)
{
	static const guint8 no_note[NAT_STUN_NOTE_LEN];
	guint8 msg[NAT_STUN_MAX], id[NAT_STUN_ID_LEN];
	gsize len;

	randombytes_buf(id, sizeof id);
	len = nat_stun_build_probe(msg, sizeof msg, id, attempt->keys->username,
				   attempt->keys->peer_pwd, no_note);
	attempt->sent += punch_fan_send(attempt->fan, attempt->next++, &attempt->target, msg, len);
}

static void
tick_ports(PunchAttempt *attempt, const guint *passes, guint n_passes, guint per_tick)
{
	for (guint i = 0; i < per_tick && attempt->pass < n_passes; i++) {
		if (age_ms(attempt) < (gint64)passes[attempt->pass])
			return;
		open_next(attempt);
		if (attempt->next < attempt->n)
			continue;
		attempt->next = 0;
		attempt->pass++;
	}
}

/* The last guess's answer may be under way. */
static gboolean
tick_spray(PunchAttempt *attempt)
{
	for (guint i = 0; i < PER_TICK; i++) {
		guint16 port;

		if (!punch_guess_next(&attempt->guess, &port)) {
			attempt->spent_ms =
				attempt->spent_ms != 0 ? attempt->spent_ms : age_ms(attempt);
			return age_ms(attempt) - attempt->spent_ms < LINGER_MS;
		}
		wg_endpoint_set_port(&attempt->target, port);
		attempt->sent += attempt->funcs.spray(&attempt->target, attempt->user_data);
	}
	return TRUE;
}

static gboolean
on_tick(gpointer user_data)
{
	PunchAttempt *attempt = user_data;
	gint64 age = age_ms(attempt);
	gboolean more = age < (attempt->role == PUNCH_AIM ? AIM_LIFE_MS : PUNCH_LIFE_MS);

	if (more && age >= 0) {
		switch (attempt->role) {
		case PUNCH_OPEN:
			tick_ports(attempt, OPEN_PASSES, G_N_ELEMENTS(OPEN_PASSES), PER_TICK);
			break;
		case PUNCH_AIM:
			/* the fewer mappings of others come between, the better: 32 packets at once
			 * are within a second's allowance */
			tick_ports(attempt, AIM_PASSES, G_N_ELEMENTS(AIM_PASSES), PUNCH_AIM_PORTS);
			break;
		case PUNCH_SPRAY:
			more = tick_spray(attempt);
			break;
		case PUNCH_NONE:
			more = FALSE;
			break;
		}
	}
	if (more)
		return G_SOURCE_CONTINUE;
	attempt->timer = 0;
	rest(attempt);
	attempt->funcs.ended(attempt->user_data);
	return G_SOURCE_REMOVE;
}

static void
begin(PunchAttempt *attempt, guint wait_ms)
{
	attempt->begun_us = g_get_monotonic_time() + wait_ms * (gint64)1000;
	g_clear_handle_id(&attempt->timer, g_source_remove);
	attempt->timer = g_timeout_add(TICK_MS, on_tick, attempt);
}

gboolean
punch_attempt_make_ports(PunchAttempt *attempt, const WgEndpoint *local, guint n, guint32 fwmark,
			 GError **error)
{
	g_return_val_if_fail(attempt->fan == NULL, FALSE);
	attempt->fan = punch_fan_new(local, n, fwmark, on_datagram, attempt, error);
	if (attempt->fan == NULL)
		return FALSE;
	attempt->n = punch_fan_count(attempt->fan);
	attempt->inside = g_new(guint16, attempt->n);
	for (guint i = 0; i < attempt->n; i++)
		attempt->inside[i] = punch_fan_port(attempt->fan, i);
	return TRUE;
}

const guint16 *
punch_attempt_ports(const PunchAttempt *attempt, guint *n)
{
	*n = attempt->n;
	return attempt->inside;
}

void
punch_attempt_fire(PunchAttempt *attempt, const WgEndpoint *target, guint wait_ms)
{
	g_return_if_fail(attempt->fan != NULL);
	attempt->target = *target;
	begin(attempt, wait_ms);
}

void
punch_attempt_spray(PunchAttempt *attempt, const WgEndpoint *address, const PunchPorts *ports)
{
	attempt->target = *address;
	punch_guess_init(&attempt->guess, ports, SPRAY_ROUNDS, randombytes_random());
	begin(attempt, 0);
}
