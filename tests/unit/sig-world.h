/* SPDX-License-Identifier: MIT */
/*
 * A signaling server without a network: a hub, and agents whose connections hand frames in and out.
 * Time stands still but for what a test adds.
 */
#pragma once

#include "signaling/sig-conn.h"

#include <string.h>

#define SECOND G_USEC_PER_SEC

typedef struct {
	SigHub *hub;
	SigLimits limits;
	gboolean killed; /* some connection, by the wheel */
} World;		 /* limits that are not 0 before world_open() stay */

typedef struct {
	SigConn *conn;
	WgKey private, key;
	guint woken;
} Agent;

static inline void
wake(gpointer transport)
{
	((Agent *)transport)->woken++;
}

static inline void
world_open(World *w)
{
	g_autoptr(SigConfig) config = sig_config_parse(NULL, 0, NULL, &(SigArgs){0}, NULL);
	const guint *defaults = (const guint *)&config->limits; /* it is nothing but guints */
	guint *limits = (guint *)&w->limits;

	for (gsize i = 0; i < sizeof w->limits / sizeof *limits; i++)
		limits[i] = limits[i] ? limits[i] : defaults[i];
	w->hub = sig_hub_new(&w->limits, NULL, wake);
	w->hub->now = SECOND;
}

static inline void
on_timer(SigTimer *timer, gpointer user_data)
{
	((World *)user_data)->killed |= sig_conn_expire(sig_conn_from_timer(timer));
}

/* Lets so many pass for the wheel. */
static inline void
seconds(World *w, guint n)
{
	while (n-- > 0)
		sig_wheel_tick(w->hub->wheel, on_timer, w);
}

/* The next frame, decoded; UNKNOWN when there is none or it is binary. */
static inline SigFrameType
next_frame(Agent *agent, SigFrame *out)
{
	g_autofree SigOut *o = sig_conn_pop(agent->conn);

	sig_frame_clear(out);
	if (o && o->kind != SIG_OUT_MESSAGE)
		g_assert_true(sig_wire_decode((char *)o->data, o->len, out, NULL));
	return out->type;
}

static inline void
receive_text_take(Agent *agent, char *text)
{
	sig_conn_receive(agent->conn, (guint8 *)text, strlen(text), 0, TRUE, FALSE);
	g_free(text);
}

static inline void
agent_accept_from(World *w, Agent *agent, const char *from)
{
	WgEndpoint address;

	memset(agent, 0, sizeof *agent);
	g_assert_true(wg_endpoint_parse(from, &address));
	wg_key_generate_private(&agent->private);
	wg_key_public_from_private(&agent->private, &agent->key);
	g_assert_true(sig_gate_enter(w->hub->gate, &address));
	agent->conn = sig_conn_new(w->hub, &address, agent);
}

static inline void
agent_accept(World *w, Agent *agent)
{
	agent_accept_from(w, agent, "192.0.2.1:5000");
}

static inline void
agent_login_from(World *w, Agent *agent, const char *from)
{
	g_auto(SigFrame) frame = {0};

	agent_accept_from(w, agent, from);
	sig_conn_open(agent->conn);
	g_assert_cmpuint(agent->woken, ==, 1);
	g_assert_cmpint(next_frame(agent, &frame), ==, SIG_FRAME_HELLO);
	receive_text_take(agent, sig_login_answer(&frame.hello, &agent->private, "a:1", NULL));
	g_assert_cmpint(next_frame(agent, &frame), ==, SIG_FRAME_WELCOME);
	g_assert_cmpstr(frame.welcome.seen, ==, from);
}

static inline void
agent_login(World *w, Agent *agent)
{
	agent_login_from(w, agent, "192.0.2.1:5000");
}

static inline void
name(Agent *agent, const Agent *other)
{
	receive_text_take(agent, sig_wire_encode_interest(&other->key, 1, NULL, 0));
}

static inline void
say(Agent *agent, const Agent *to, gsize len)
{
	g_autofree guint8 *body = g_malloc0(len);
	g_autoptr(GBytes) frame = sig_wire_encode_binary(&to->key, body, len);

	sig_conn_receive(agent->conn, g_bytes_get_data(frame, NULL), g_bytes_get_size(frame), 0,
			 TRUE, TRUE);
}

static inline void
drop_output(Agent *agent)
{
	SigOut *out;

	while ((out = sig_conn_pop(agent->conn)))
		g_free(out);
}

static inline void
assert_ended(Agent *agent, SigClose why)
{
	g_auto(SigFrame) frame = {0};

	g_assert_cmpint(sig_conn_take_close(agent->conn), ==, SIG_CLOSE_NONE);
	while (next_frame(agent, &frame) != SIG_FRAME_ERROR)
		g_assert_cmpint(frame.type, !=, SIG_FRAME_UNKNOWN);
	g_assert_cmpstr(frame.error.code, ==, sig_close_code(why));
	g_assert_cmpint(sig_conn_take_close(agent->conn), ==, why);
	g_assert_cmpint(sig_conn_take_close(agent->conn), ==, SIG_CLOSE_NONE);
}

static inline void
world_close(World *w)
{
	g_assert_cmpuint(sig_gate_total(w->hub->gate), ==, 0);
	g_assert_cmpuint(sig_directory_n_known(w->hub->directory), ==, 0);
	sig_addresses_tick(w->hub->addresses, G_MAXINT64);
	g_assert_cmpuint(sig_addresses_n_known(w->hub->addresses), ==, 0);
	sig_hub_free(w->hub);
}
