/* SPDX-License-Identifier: MIT */
#define G_LOG_DOMAIN "signal"
#include "agent/session/nat-signal-client.h"

#include <gio/gio.h>
#include <sodium.h>
#include <string.h>

#include "agent/base/nat-backoff.h"
#include "agent/session/nat-interest.h"
#include "agent/base/nat-log.h"
#include "agent/net/nat-resolve.h"
#include "agent/session/nat-signal-url.h"
#include "agent/session/nat-websocket.h"
#include "signaling/sig-login.h"
#include "signaling/sig-wire.h"

/*
 * CONNECTING  a lookup, then a NatWebsocket, until login is sent; `attempt_timer` bounds it all
 * CONNECTED   login, interest and what the sessions have to say are on their way in one flight; the
 *             server's welcome is outstanding at first, and still under `attempt_timer`
 * WAITING, DUPLICATE  no socket; `retry_timer` runs; the lookup may still be under way
 *
 * So one of retry_timer, attempt_timer and a logged-in websocket exists at any time after _start,
 * and each of them leads on. set_state() is the only place that changes the state.
 *
 * Callbacks may free the client: it is reference counted by those who call them, and `gone` then
 * stops the rest.
 */
#define ATTEMPT_TIMEOUT_MS 15000
#define RESTART_AGE_MS 500 /* younger attempts have seen the network as it is now */
#define STUN_PORT_GUESS 3478

struct NatSignalClient {
	NatSignalFuncs funcs;
	gpointer user_data;
	NatSignalUrl *url;
	WgKey private_key;
	guint32 fwmark;

	NatSignalState state;
	char *reason;
	gboolean started, gone;
	NatBackoff backoff;
	guint retry_timer, attempt_timer, flush_idle;
	gint64 attempt_at;

	NatResolve *resolve;
	NatLookup *lookup;
	gboolean resolved; /* it has said addresses */
	NatWebsocket *ws;
	GArray *addrs; /* of WgEndpoint: what the present connection was made from */

	gboolean may_send;		     /* login is sent */
	gint64 welcome_at;		     /* 0: not logged in */
	WgEndpoint seen;		     /* where the server sees us; unset: unknown */
	char refusal[SIG_WIRE_CODE_MAX + 1]; /* of the last error frame */
	char *refusal_text;		     /* escaped */
	gint64 drain_until;		     /* 0: no drain */

	guint n_stun;
	guint16 stun[SIG_WIRE_STUN_MAX];

	NatInterest *interest;
	guint64 dropped;
};

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

static void
unref(NatSignalClient *client)
{
	g_rc_box_release_full(client, client_clear);
}

/* Stays at hand while callbacks run: hold = hold(client) … unref(hold). */
static NatSignalClient *
hold(NatSignalClient *client)
{
	return g_rc_box_acquire(client);
}

/* reason NULL: none. The client may be gone afterwards. */
static void
set_state(NatSignalClient *client, NatSignalState state, const char *reason)
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

/* The last connection's age counts before the next wait is chosen. */
static void
count_age(NatSignalClient *client)
{
	if (client->welcome_at)
		nat_backoff_lasted(&client->backoff,
				   (g_get_monotonic_time() - client->welcome_at) / 1000);
}

static void
drop_connection(NatSignalClient *client)
{
	count_age(client);
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

static gboolean
on_retry(gpointer user_data)
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
	client->retry_timer = g_timeout_add(delay_ms, on_retry, client);
	g_debug("next try in %u ms", delay_ms);
	set_state(client, state, reason);
}

static void
fail(NatSignalClient *client, const char *reason)
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
		fail(client, text ? text : reason);
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
	fail(client, reason);
	return G_SOURCE_REMOVE;
}

/* ---- interest ---- */

static void
flush_interest(NatSignalClient *client)
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
		flush_interest(client);
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

/* ---- STUN servers ---- */

static void
report_stun(NatSignalClient *client)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint p = 0; p < client->n_stun; p++) {
		for (guint i = 0; i < client->addrs->len; i++) {
			WgEndpoint ep = g_array_index(client->addrs, WgEndpoint, i);

			wg_endpoint_set_port(&ep, client->stun[p]);
			g_array_append_val(all, ep);
		}
	}
	client->funcs.stun_servers((const WgEndpoint *)(const void *)all->data, all->len,
				   client->user_data);
}

/* The announced ports replace the guess; saying the same again is spared. */
static void
learn_stun(NatSignalClient *client, const SigHello *hello)
{
	gsize size = hello->n_stun * sizeof hello->stun[0];

	if (client->n_stun == hello->n_stun && memcmp(client->stun, hello->stun, size) == 0)
		return;
	client->n_stun = hello->n_stun;
	memcpy(client->stun, hello->stun, size);
	report_stun(client);
}

/* ---- frames from the server ---- */

static void
on_hello(NatSignalClient *client, const SigHello *hello)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *login = NULL;
	g_autofree char *reason = NULL;

	if (client->may_send)
		return; /* a second one means nothing */
	login = sig_login_answer(hello, &client->private_key, client->url->authority, &error);
	if (!login) {
		reason = g_strdup_printf("%s: %s", client->url->authority, error->message);
		fail(client, reason);
		return;
	}
	nat_websocket_send_text(client->ws, login);
	client->may_send = TRUE;
	nat_interest_forget_told(client->interest);
	flush_interest(client);
	learn_stun(client, hello);
	if (client->may_send && !client->gone)
		set_state(client, NAT_SIGNAL_CONNECTED, NULL);
}

/* Who is seen where we are is behind our NAT, or the server behind a proxy: either way that address
 * says nothing of the peer. */
static void
report_presence(NatSignalClient *client, const SigKeys *keys, const WgEndpoint *seen,
		gboolean online)
{
	for (guint i = 0; i < keys->n && client->may_send && !client->gone; i++) {
		if (client->funcs.seen && seen && wg_endpoint_is_set(&seen[i]) &&
		    !wg_endpoint_same_address(&seen[i], &client->seen))
			client->funcs.seen(&keys->keys[i], &seen[i], client->user_data);
		client->funcs.presence(&keys->keys[i], online, client->user_data);
	}
}

static void
on_drain(NatSignalClient *client, guint within_s)
{
	guint delay, least;

	if (client->drain_until)
		return;
	/* One that drains whoever comes is not to be met in a loop. */
	count_age(client);
	least = nat_backoff_next_ms(&client->backoff, randombytes_random());
	delay = MAX(nat_backoff_drain_ms(within_s, randombytes_random()), least);
	client->drain_until = g_get_monotonic_time() + (gint64)delay * 1000;
	/* Should the server linger, we go when our time has come. */
	g_clear_handle_id(&client->retry_timer, g_source_remove);
	client->retry_timer = g_timeout_add(delay, on_retry, client);
}

static void
on_turn(NatSignalClient *client, const SigTurnGrant *turn)
{
	if (!client->may_send)
		client->dropped++; /* nobody knows us yet */
	else if (client->funcs.turn)
		client->funcs.turn((const char *const *)turn->uris, turn->username, turn->password,
				   turn->ttl_s, client->user_data);
}

static void
on_frame(NatSignalClient *client, const SigFrame *frame)
{
	switch (frame->type) {
	case SIG_FRAME_HELLO:
		on_hello(client, &frame->hello);
		break;
	case SIG_FRAME_WELCOME:
		if (client->may_send && !client->welcome_at) {
			client->welcome_at = g_get_monotonic_time();
			if (!wg_endpoint_parse(frame->welcome.seen, &client->seen))
				client->seen = (WgEndpoint){0};
			g_clear_handle_id(&client->attempt_timer, g_source_remove);
		}
		break;
	case SIG_FRAME_PRESENCE:
		report_presence(client, &frame->presence.online, frame->presence.seen, TRUE);
		report_presence(client, &frame->presence.offline, NULL, FALSE);
		break;
	case SIG_FRAME_ERROR:
		g_strlcpy(client->refusal, frame->error.code, sizeof client->refusal);
		g_free(client->refusal_text);
		client->refusal_text = nat_log_escape(frame->error.text, -1);
		break;
	case SIG_FRAME_DRAIN:
		on_drain(client, frame->drain.within_s);
		break;
	case SIG_FRAME_TURN:
		on_turn(client, &frame->turn);
		break;
	case SIG_FRAME_UNAVAILABLE: /* presence is what counts, sessions repeat their snapshot */
	case SIG_FRAME_UNKNOWN:	    /* of a later version */
	case SIG_FRAME_LOGIN:
	case SIG_FRAME_INTEREST:
	case SIG_FRAME_TURN_WANTED:
		break;
	}
}

static void
on_text(const char *text, gsize len, gpointer user_data)
{
	NatSignalClient *client = hold(user_data);
	g_auto(SigFrame) frame = {.type = SIG_FRAME_UNKNOWN};
	g_autoptr(GError) error = NULL;

	if (sig_wire_decode(text, len, &frame, &error)) {
		on_frame(client, &frame);
	} else {
		client->dropped++;
		g_debug("frame from %s dropped: %s", client->url->authority, error->message);
	}
	unref(client);
}

static void
on_binary(const guint8 *data, gsize len, gpointer user_data)
{
	NatSignalClient *client = user_data;
	const guint8 *body;
	gsize body_len;
	WgKey from;

	if (!client->may_send ||
	    !sig_wire_decode_binary(data, len, &from, &body, &body_len, NULL)) {
		client->dropped++;
		return;
	}
	client->funcs.message(&from, body, body_len, client->user_data);
}

/* ---- making a connection ---- */

static void
open_websocket(NatSignalClient *client)
{
	static const NatWebsocketFuncs funcs = {on_text, on_binary, on_closed};

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
	set_state(client, NAT_SIGNAL_CONNECTING, last);
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
			fail(client, error->message);
		return;
	}
	client->resolved = TRUE;
	if (stored)
		g_debug("%s: stored addresses serve meanwhile", client->url->authority);
	if (news) {
		g_array_set_size(client->addrs, 0);
		g_array_append_vals(client->addrs, addrs, (guint)n);
	}
	hold(client);
	if (client->state == NAT_SIGNAL_CONNECTING) {
		if (!client->ws || (news && !nat_websocket_is_open(client->ws)))
			open_websocket(client);
	} else if (client->state == NAT_SIGNAL_WAITING && news && start_attempt(client)) {
		open_websocket(client);
	}
	if (news && !client->gone)
		report_stun(client);
	unref(client);
}

/* A lookup that is still running is not begun again: with a slow resolver and stored addresses that
 * fail at once none would ever end. */
static void
begin(NatSignalClient *client)
{
	hold(client);
	if (!start_attempt(client)) {
		unref(client);
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
	unref(client);
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
	unref(client);
}

static void
begin_soon(NatSignalClient *client)
{
	g_clear_handle_id(&client->retry_timer, g_source_remove);
	client->retry_timer = g_idle_add_full(G_PRIORITY_DEFAULT, on_retry, client, NULL);
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
		if (client->state == NAT_SIGNAL_CONNECTED) {
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
	flush_interest(client); /* what is routed by it must come after it */
	frame = sig_wire_encode_binary(peer, data, len);
	return frame && nat_websocket_send_binary(client->ws, frame);
}

gboolean
nat_signal_client_want_turn(NatSignalClient *client)
{
	g_autofree char *frame = NULL;

	if (!client->may_send)
		return FALSE;
	flush_interest(client); /* by it the server judges */
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
