/* SPDX-License-Identifier: MIT */
#define G_LOG_DOMAIN "signal"
#include "agent/session/nat-signal-client-private.h"

#include <sodium.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "signaling/sig-login.h"

/* ---- STUN servers ---- */

void
nat_signal_client_report_stun(NatSignalClient *client)
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
	nat_signal_client_report_stun(client);
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
		nat_signal_client_fail(client, reason);
		return;
	}
	nat_websocket_send_text(client->ws, login);
	client->may_send = TRUE;
	nat_interest_forget_told(client->interest);
	nat_signal_client_flush(client);
	learn_stun(client, hello);
	if (client->may_send && !client->gone && client->funcs.logging_in)
		client->funcs.logging_in(client->user_data);
}

static void
on_welcome(NatSignalClient *client, const char *seen)
{
	if (!client->may_send || client->welcome_at)
		return;
	client->welcome_at = g_get_monotonic_time();
	if (!wg_endpoint_parse(seen, &client->seen))
		client->seen = (WgEndpoint){0};
	g_clear_handle_id(&client->attempt_timer, g_source_remove);
	nat_signal_client_set_state(client, NAT_SIGNAL_CONNECTED, NULL);
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
	nat_signal_client_count_age(client);
	least = nat_backoff_next_ms(&client->backoff, randombytes_random());
	delay = MAX(nat_backoff_drain_ms(within_s, randombytes_random()), least);
	client->drain_until = g_get_monotonic_time() + (gint64)delay * 1000;
	/* Should the server linger, we go when our time has come. */
	g_clear_handle_id(&client->retry_timer, g_source_remove);
	client->retry_timer = g_timeout_add(delay, nat_signal_client_on_retry, client);
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
		on_welcome(client, frame->welcome.seen);
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

void
nat_signal_client_on_text(const char *text, gsize len, gpointer user_data)
{
	NatSignalClient *client = nat_signal_client_hold(user_data);
	g_auto(SigFrame) frame = {.type = SIG_FRAME_UNKNOWN};
	g_autoptr(GError) error = NULL;

	if (sig_wire_decode(text, len, &frame, &error)) {
		on_frame(client, &frame);
	} else {
		client->dropped++;
		g_debug("frame from %s dropped: %s", client->url->authority, error->message);
	}
	nat_signal_client_unref(client);
}

void
nat_signal_client_on_binary(const guint8 *data, gsize len, gpointer user_data)
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
