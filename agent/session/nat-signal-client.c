/* SPDX-License-Identifier: MIT */
#define G_LOG_DOMAIN "signal"
#include "agent/session/nat-signal-client-private.h"

#include <gio/gio.h>
#include <sodium.h>

#define ATTEMPT_TIMEOUT_MS 15000
#define RESTART_AGE_MS 500 /* younger attempts have seen the network as it is now */
#define STUN_PORT_GUESS 3478

static void begin(NatSignalClient *client);

const char *
nat_signal_state_to_string(NatSignalState state)
{
	switch (state) {
	case NAT_SIGNAL_CONNECTING:
		return "connecting";
	case NAT_SIGNAL_CONNECTED:
		return "connected";
	case NAT_SIGNAL_WAITING:
		return "waiting";
	case NAT_SIGNAL_DUPLICATE:
		return "duplicate-key";
	}
	return "unknown";
}

static void
client_clear(gpointer data)
{
	NatSignalClient *client = data;

	wg_key_clear(&client->private_key);
	nat_resolve_free(client->resolve);
	g_array_unref(client->addrs);
	nat_interest_free(client->interest);
	g_free(client->refusal_text);
	g_free(client->reason);
	nat_signal_url_free(client->url);
}

void
nat_signal_client_unref(NatSignalClient *client)
{
	g_rc_box_release_full(client, client_clear);
}

NatSignalClient *
nat_signal_client_hold(NatSignalClient *client)
{
	return g_rc_box_acquire(client);
}

void
nat_signal_client_set_state(NatSignalClient *client, NatSignalState state, const char *reason)
{
	if (client->state == state && g_strcmp0(client->reason, reason) == 0)
		return;
	g_debug("%s → %s (%s)", nat_signal_state_to_string(client->state),
		nat_signal_state_to_string(state), reason ? reason : "as it should be");
	client->state = state;
	g_free(client->reason);
	client->reason = g_strdup(reason);
	client->funcs.state_changed(state, client->reason, client->user_data);
}

/* ---- ending a connection ---- */

void
nat_signal_client_count_age(NatSignalClient *client)
{
	if (client->welcome_at)
		nat_backoff_lasted(&client->backoff,
				   (g_get_monotonic_time() - client->welcome_at) / 1000);
}

static void
drop_connection(NatSignalClient *client)
{
	nat_signal_client_count_age(client);
	client->welcome_at = 0;
	client->may_send = FALSE;
	client->drain_until = 0;
	client->refusal[0] = '\0';
	g_clear_pointer(&client->refusal_text, g_free);
	g_clear_handle_id(&client->attempt_timer, g_source_remove);
	g_clear_handle_id(&client->retry_timer, g_source_remove);
	g_clear_handle_id(&client->flush_idle, g_source_remove);
	g_clear_pointer(&client->ws, nat_websocket_free);
}

gboolean
nat_signal_client_on_retry(gpointer user_data)
{
	NatSignalClient *client = user_data;

	client->retry_timer = 0;
	begin(client);
	return G_SOURCE_REMOVE;
}

static void
wait_and_retry(NatSignalClient *client, NatSignalState state, const char *reason, guint delay_ms)
{
	drop_connection(client);
	client->retry_timer = g_timeout_add(delay_ms, nat_signal_client_on_retry, client);
	g_debug("next try in %u ms", delay_ms);
	nat_signal_client_set_state(client, state, reason);
}

void
nat_signal_client_fail(NatSignalClient *client, const char *reason)
{
	g_autofree char *copy = g_strdup(reason);

	drop_connection(client);
	wait_and_retry(client, NAT_SIGNAL_WAITING, copy,
		       nat_backoff_next_ms(&client->backoff, randombytes_random()));
}

/* What the server said it refuses, as one line with a remedy. */
static char *
describe_refusal(NatSignalClient *client)
{
	static const struct {
		SigClose close;
		const char *remedy;
	} remedies[] = {
		{SIG_CLOSE_LOGIN_REFUSED, "check that the interface's private key is right"},
		{SIG_CLOSE_WRONG_AUTHORITY, "use a name of the server in the URL, or start "
					    "nat-signald with this one"},
		{SIG_CLOSE_INTEREST_LIMIT, "raise the server's limit, or have fewer peers"},
		{SIG_CLOSE_WRONG_VERSION, "upgrade the older one of agent and server"},
		{SIG_CLOSE_NOT_ALLOWED, "have whoever runs the server let this host's key in"},
	};
	const char *remedy = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(remedies); i++)
		if (g_str_equal(client->refusal, sig_close_code(remedies[i].close)))
			remedy = remedies[i].remedy;
	return g_strdup_printf("%s refuses: %s%s%s", client->url->authority, client->refusal_text,
			       remedy ? ": " : "", remedy ? remedy : "");
}

static void
on_closed(guint code, const char *reason, gpointer user_data)
{
	NatSignalClient *client = user_data;
	gint64 now = g_get_monotonic_time();
	g_autofree char *text = client->refusal_text ? describe_refusal(client) : NULL;

	if (code == SIG_CLOSE_DUPLICATE_KEY ||
	    g_str_equal(client->refusal, sig_close_code(SIG_CLOSE_DUPLICATE_KEY))) {
		drop_connection(client);
		wait_and_retry(client, NAT_SIGNAL_DUPLICATE,
			       "another agent logged in with this interface's key: give every "
			       "host a key of its own, or stop the other agent",
			       nat_backoff_duplicate_ms(&client->backoff, randombytes_random()));
	} else if (client->drain_until) {
		guint left = (guint)(MAX(client->drain_until - now, 0) / 1000);

		text = g_strdup_printf("%s is being restarted", client->url->authority);
		wait_and_retry(client, NAT_SIGNAL_WAITING, text, left);
	} else {
		nat_signal_client_fail(client, text ? text : reason);
	}
}

static gboolean
on_attempt_timeout(gpointer user_data)
{
	NatSignalClient *client = user_data;
	g_autofree char *reason = NULL;

	client->attempt_timer = 0;
	if (!client->ws)
		reason = g_strdup_printf("the name %s is not resolved within %d s: check this "
					 "host's resolver",
					 client->url->authority, ATTEMPT_TIMEOUT_MS / 1000);
	else
		reason = g_strdup_printf("%s takes the connection but %s: check that the URL leads "
					 "to nat-signald",
					 client->url->authority,
					 client->may_send ? "does not answer the login"
							  : "does not greet");
	nat_signal_client_fail(client, reason);
	return G_SOURCE_REMOVE;
}

/* ---- interest ---- */

void
nat_signal_client_flush(NatSignalClient *client)
{
	char *frame;

	g_clear_handle_id(&client->flush_idle, g_source_remove);
	while ((frame = nat_interest_next_frame(client->interest))) {
		nat_websocket_send_text(client->ws, frame);
		g_free(frame);
	}
}

static gboolean
on_flush(gpointer user_data)
{
	NatSignalClient *client = user_data;

	client->flush_idle = 0;
	if (client->may_send)
		nat_signal_client_flush(client);
	return G_SOURCE_REMOVE;
}

/* Several changes in one turn of the main loop travel in one frame. Without a connection all of it
 * follows the next login. */
static void
flush_soon(NatSignalClient *client)
{
	if (client->may_send && !client->flush_idle)
		client->flush_idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_flush, client, NULL);
}

/* ---- making a connection ---- */

static void
open_websocket(NatSignalClient *client)
{
	static const NatWebsocketFuncs funcs = {nat_signal_client_on_text,
						nat_signal_client_on_binary, on_closed};

	g_clear_pointer(&client->ws, nat_websocket_free);
	client->ws = nat_websocket_new(client->url->url, client->url->host, client->url->port,
				       (const WgEndpoint *)(const void *)client->addrs->data,
				       client->addrs->len, client->fwmark, SIG_WIRE_SUBPROTOCOL,
				       SIG_WIRE_MAX, &funcs, client);
}

/* From the main loop only; the client may be gone afterwards. FALSE then. */
static gboolean
start_attempt(NatSignalClient *client)
{
	g_autofree char *last = g_strdup(client->reason);

	drop_connection(client);
	client->attempt_at = g_get_monotonic_time();
	client->attempt_timer = g_timeout_add(ATTEMPT_TIMEOUT_MS, on_attempt_timeout, client);
	/* Why the last try failed stays to be seen until this one ends. */
	nat_signal_client_set_state(client, NAT_SIGNAL_CONNECTING, last);
	return !client->gone;
}

/*
 * A lookup that began with stored addresses ends later, and what it says is better than them: a
 * connection that works stays, one that is tried or has failed is tried anew.
 */
static void
on_resolved(const WgEndpoint *addrs, gsize n, gboolean stored, const GError *error,
	    gpointer user_data)
{
	NatSignalClient *client = user_data;
	gboolean news = !wg_endpoint_array_equal(client->addrs, addrs, n);

	if (n == 0) {
		if (client->state == NAT_SIGNAL_CONNECTING)
			nat_signal_client_fail(client, error->message);
		return;
	}
	client->resolved = TRUE;
	if (stored)
		g_debug("%s: stored addresses serve meanwhile", client->url->authority);
	if (news) {
		g_array_set_size(client->addrs, 0);
		g_array_append_vals(client->addrs, addrs, (guint)n);
	}
	nat_signal_client_hold(client);
	if (client->state == NAT_SIGNAL_CONNECTING) {
		if (!client->ws || (news && !nat_websocket_is_open(client->ws)))
			open_websocket(client);
	} else if (client->state == NAT_SIGNAL_WAITING && news && start_attempt(client)) {
		open_websocket(client);
	}
	if (news && !client->gone)
		nat_signal_client_report_stun(client);
	nat_signal_client_unref(client);
}

/* A lookup that is still running is not begun again: with a slow resolver and stored addresses that
 * fail at once none would ever end. */
static void
begin(NatSignalClient *client)
{
	nat_signal_client_hold(client);
	if (!start_attempt(client)) {
		nat_signal_client_unref(client);
		return;
	}
	if (!client->lookup || !nat_lookup_is_running(client->lookup)) {
		g_clear_pointer(&client->lookup, nat_lookup_free);
		client->resolved = FALSE;
		client->lookup = nat_resolve_lookup(client->resolve, client->url->host,
						    client->url->port, on_resolved, client);
	} else if (client->resolved) {
		open_websocket(client);
	}
	nat_signal_client_unref(client);
}

/* ---- the interface ---- */

NatSignalClient *
nat_signal_client_new(const char *url, const WgKey *private_key, guint32 fwmark,
		      const char *state_dir, const NatSignalFuncs *funcs, gpointer user_data,
		      GError **error)
{
	g_autoptr(NatSignalClient) client = g_rc_box_new0(NatSignalClient);
	WgKey own;

	client->funcs = *funcs;
	client->user_data = user_data;
	client->private_key = *private_key;
	client->fwmark = fwmark;
	client->state = NAT_SIGNAL_CONNECTING;
	client->n_stun = 1;
	client->stun[0] = STUN_PORT_GUESS;
	client->addrs = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	client->interest = nat_interest_new();
	client->url = nat_signal_url_parse(url, error);
	if (!client->url)
		return NULL;
	if (sodium_init() < 0 || wg_key_is_zero(private_key)) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "the interface has no private key to log in with");
		return NULL;
	}
	wg_key_public_from_private(private_key, &own);
	client->resolve = nat_resolve_new(state_dir, &own);
	return g_steal_pointer(&client);
}

void
nat_signal_client_free(NatSignalClient *client)
{
	if (!client)
		return;
	client->gone = TRUE;
	drop_connection(client);
	g_clear_pointer(&client->lookup, nat_lookup_free);
	nat_signal_client_unref(client);
}

static void
begin_soon(NatSignalClient *client)
{
	g_clear_handle_id(&client->retry_timer, g_source_remove);
	client->retry_timer =
		g_idle_add_full(G_PRIORITY_DEFAULT, nat_signal_client_on_retry, client, NULL);
}

void
nat_signal_client_start(NatSignalClient *client)
{
	if (client->started)
		return;
	client->started = TRUE;
	begin_soon(client);
}

void
nat_signal_client_kick(NatSignalClient *client, gboolean force)
{
	gint64 age_ms = (g_get_monotonic_time() - client->attempt_at) / 1000;

	if (!client->started)
		return;
	if (!force) {
		/* A clone does not go away because our network changed. */
		if (client->state == NAT_SIGNAL_DUPLICATE)
			return;
		if (client->may_send) {
			nat_websocket_probe(client->ws);
			return;
		}
		if (client->state == NAT_SIGNAL_CONNECTING && age_ms < RESTART_AGE_MS)
			return;
	}
	nat_backoff_reset(&client->backoff);
	g_clear_pointer(&client->lookup, nat_lookup_free); /* it may ask a resolver that is gone */
	begin_soon(client);
}

void
nat_signal_client_set_fwmark(NatSignalClient *client, guint32 fwmark)
{
	if (client->fwmark == fwmark)
		return;
	client->fwmark = fwmark;
	/* The present socket is routed by the old mark. */
	if (client->ws || client->state == NAT_SIGNAL_WAITING)
		nat_signal_client_kick(client, TRUE);
}

void
nat_signal_client_add_interest(NatSignalClient *client, const WgKey *peer)
{
	if (nat_interest_add(client->interest, peer))
		flush_soon(client);
}

void
nat_signal_client_remove_interest(NatSignalClient *client, const WgKey *peer)
{
	if (nat_interest_remove(client->interest, peer))
		flush_soon(client);
}

gboolean
nat_signal_client_send(NatSignalClient *client, const WgKey *peer, GBytes *body)
{
	g_autoptr(GBytes) frame = NULL;
	gsize len;
	const guint8 *data = g_bytes_get_data(body, &len);

	if (!client->may_send)
		return FALSE;
	nat_signal_client_flush(client); /* what is routed by it must come after it */
	frame = sig_wire_encode_binary(peer, data, len);
	return frame && nat_websocket_send_binary(client->ws, frame);
}

gboolean
nat_signal_client_want_turn(NatSignalClient *client)
{
	g_autofree char *frame = NULL;

	if (!client->may_send)
		return FALSE;
	nat_signal_client_flush(client); /* by it the server judges */
	frame = sig_wire_encode_turn_wanted();
	return nat_websocket_send_text(client->ws, frame);
}

NatSignalState
nat_signal_client_state(NatSignalClient *client)
{
	return client->state;
}

const char *
nat_signal_client_reason(NatSignalClient *client)
{
	return client->reason;
}

const char *
nat_signal_client_url(NatSignalClient *client)
{
	return client->url->url;
}

guint64
nat_signal_client_dropped(NatSignalClient *client)
{
	return client->dropped;
}
