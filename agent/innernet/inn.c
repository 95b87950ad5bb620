/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn.h"

#include <sodium.h>
#include <string.h>

#include "agent/base/nat-state-file.h"
#include "agent/innernet/inn-http.h"
#include "agent/innernet/inn-pins.h"
#include "agent/innernet/inn-seen.h"

#define PUT_SPACE_MS 1000

struct Inn {
	InnParams params;
	InnFuncs funcs;
	gpointer user_data;
	InnHttp *http;
	InnPoll poll;
	guint timer, put_timer;
	gboolean asking, again; /* a call is under way; another one shall follow it */
	gboolean failed;

	NatStateFile *file; /* of what was published */
	gboolean settled;
	guint32 watch_id;
	guint64 generation;
	gboolean put_failed;	/* said once */
	GArray *put, *putting;	/* of WgEndpoint: the list that the server took last; that is on its
				   way */
	guint64 put_generation; /* of the latter */
	gint64 put_us;		/* the last try */
	gboolean no_candidates; /* the server knows no such call */
	InnState *state;	/* NULL: nothing is known */
	InnPins *pins;
	InnSeen *seen;
	GArray *observed; /* of WgEndpoint */
	InnStatus status;
	char *problem;
};

static void ask(Inn *inn);

static void
set_status(Inn *inn, InnStatus status, const char *problem)
{
	inn->status = status;
	if (g_strcmp0(inn->problem, problem) == 0)
		return;
	if (problem != NULL)
		g_warning("%s: innernet server: %s", inn->params.ifname, problem);
	else
		g_message("%s: the innernet server answers", inn->params.ifname);
	g_free(inn->problem);
	inn->problem = g_strdup(problem);
}

/* ---- polling ---- */

static gboolean
on_timer(gpointer user_data)
{
	Inn *inn = user_data;

	inn->timer = 0;
	ask(inn);
	return G_SOURCE_REMOVE;
}

static void
schedule(Inn *inn, guint ms)
{
	g_clear_handle_id(&inn->timer, g_source_remove);
	inn->timer = g_timeout_add(ms, on_timer, inn);
}

/* A tenth more or less, so that hosts that started together do not ask together for ever. */
static guint
jittered(guint ms)
{
	return (guint)g_random_int_range((gint)(ms - ms / 10), (gint)(ms + ms / 10) + 1);
}

static void
schedule_next(Inn *inn)
{
	InnPollFacts facts = {0};

	inn->funcs.facts(&facts, inn->user_data);
	facts.failed = inn->failed;
	schedule(inn, jittered(inn_poll_next(&inn->poll, &facts, g_get_monotonic_time())));
}

void
inn_expect(Inn *inn)
{
	inn_poll_event(&inn->poll, g_get_monotonic_time());
}

void
inn_hurry(Inn *inn)
{
	inn_expect(inn);
	if (inn->asking)
		inn->again = TRUE;
	else
		schedule(inn, 0);
}

/* ---- our own record ---- */

static void
note_observed(Inn *inn, const InnPeer *own, guint ours)
{
	g_array_set_size(inn->observed, 0);
	if (wg_endpoint_is_set(&own->endpoint))
		g_array_append_val(inn->observed, own->endpoint);
	/* where an endpoint is set by hand, what is seen follows our list */
	for (guint i = ours; i < own->n_candidates; i++)
		if (wg_endpoint_is_set(&own->candidates[i]) && !inn_beacon_is(&own->candidates[i]))
			wg_endpoint_array_add(inn->observed, &own->candidates[i], wg_endpoint_same);
}

static gboolean
begins_with(const InnPeer *own, const GArray *published)
{
	return own->n_candidates >= published->len &&
	       wg_endpoint_array_equal(published, own->candidates, published->len);
}

static void
read_own(Inn *inn, const InnPeer *own)
{
	guint ours = inn->put != NULL ? inn->put->len : 0;

	if (inn->put != NULL && !begins_with(own, inn->put)) {
		g_debug("%s: the candidates at the innernet server are not ours: put again",
			inn->params.ifname);
		g_clear_pointer(&inn->put, g_array_unref);
	}
	note_observed(inn, own, ours);
}

/* ---- what was published, over restarts ---- */

#define GROUP "beacon"

/* A run that cannot reach the server goes on as the one that published last: the others derive
 * what they await from that. Its epochs begin above that run's. */
static void
resume(Inn *inn)
{
	GKeyFile *keys = nat_state_file_keys(inn->file);
	guint64 generation = g_key_file_get_uint64(keys, GROUP, "generation", NULL);
	guint64 watch = g_key_file_get_uint64(keys, GROUP, "watch", NULL);
	guint64 runs = g_key_file_get_uint64(keys, GROUP, "runs", NULL) + 1;

	if (generation == 0 || watch == 0 || watch > G_MAXUINT32 ||
	    !inn->funcs.resumed((guint32)watch, (guint32)(runs & 0xffff) << 16, inn->user_data))
		return;
	g_key_file_set_uint64(keys, GROUP, "runs", runs);
	nat_state_file_save(inn->file);
	inn->generation = generation;
	inn->watch_id = (guint32)watch;
}

/* The runs under one watch id are counted for as long as it is published. */
static void
remember(Inn *inn)
{
	GKeyFile *keys = nat_state_file_keys(inn->file);
	gboolean same = g_key_file_get_uint64(keys, GROUP, "watch", NULL) == inn->watch_id;

	if (same && g_key_file_get_uint64(keys, GROUP, "generation", NULL) == inn->put_generation)
		return;
	g_key_file_set_uint64(keys, GROUP, "generation", inn->put_generation);
	g_key_file_set_uint64(keys, GROUP, "watch", inn->watch_id);
	if (!same)
		g_key_file_set_uint64(keys, GROUP, "runs", 0);
	nat_state_file_save(inn->file);
}

static void
on_put(guint status, GBytes *body, const GError *error, gpointer user_data)
{
	Inn *inn = user_data;
	g_autoptr(GArray) putting = g_steal_pointer(&inn->putting);

	if (status == 204 || status == 200) {
		g_clear_pointer(&inn->put, g_array_unref);
		inn->put = g_steal_pointer(&putting);
		inn->put_failed = FALSE;
		remember(inn);
		/* what changed meanwhile */
		inn_publish(inn);
		return;
	}
	/* tried again with the next reading */
	if (status == 404) {
		inn->no_candidates = TRUE;
		g_warning("%s: the innernet server is too old to keep candidates: peers are paired "
			  "by nat-signald only",
			  inn->params.ifname);
	} else if (status != 0 && !inn->put_failed) {
		inn->put_failed = TRUE;
		g_warning("%s: the innernet server does not take our candidates: status %u",
			  inn->params.ifname, status);
	}
}

static GArray *
make_list(Inn *inn)
{
	g_autoptr(GArray) candidates = inn->funcs.candidates(inn->user_data);

	return inn_beacon_list(inn->generation, inn->watch_id, inn->funcs.mapping(inn->user_data),
			       candidates);
}

static gboolean
on_put_timer(gpointer user_data)
{
	Inn *inn = user_data;

	inn->put_timer = 0;
	inn_publish(inn);
	return G_SOURCE_REMOVE;
}

void
inn_publish(Inn *inn)
{
	gint64 now = g_get_monotonic_time(), due = inn->put_us + PUT_SPACE_MS * 1000;
	g_autoptr(GArray) list = NULL;
	g_autofree char *json = NULL;

	if (inn->no_candidates || inn->putting != NULL || inn->put_timer != 0)
		return;
	list = make_list(inn);
	if (inn->put != NULL &&
	    wg_endpoint_array_equal(inn->put, (const WgEndpoint *)(gpointer)list->data, list->len))
		return;
	if (inn->put_us != 0 && due > now) {
		inn->put_timer = g_timeout_add((guint)((due - now) / 1000) + 1, on_put_timer, inn);
		return;
	}
	inn->put_us = now;
	json = inn_beacon_json(list);
	inn->putting = g_steal_pointer(&list);
	inn->put_generation = inn->generation;
	inn_http_call(inn->http, "PUT", "/v1/user/candidates", json, on_put, inn);
}

static guint64
random_generation(void)
{
	guint64 generation;

	do
		randombytes_buf(&generation, sizeof generation);
	while (generation == 0);
	return generation;
}

void
inn_renew(Inn *inn)
{
	inn->generation = random_generation();
	inn_publish(inn);
	inn_hurry(inn);
}

/* ---- the state ---- */

static void
read_beacons(Inn *inn)
{
	gint64 now = g_get_monotonic_time();

	if (inn_seen_read(inn->seen, inn->state, &inn->params.public_key, now))
		inn_poll_event(&inn->poll, now);
}

gboolean
inn_beacon_of(const Inn *inn, const WgKey *peer, InnBeacon *out)
{
	return inn_seen_get(inn->seen, peer, out);
}

static void
adopt(Inn *inn, InnState *state)
{
	inn_pins_apply(inn->pins, state);
	inn_state_free(inn->state);
	inn->state = state;
	read_beacons(inn);
}

static void
take_state(Inn *inn, GBytes *body)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *problem = NULL;
	gsize len;
	const char *text = g_bytes_get_data(body, &len);
	g_autoptr(InnState) state = inn_state_parse(text, len, &error);
	const InnPeer *own;

	if (state == NULL) {
		problem =
			g_strdup_printf("its answer is no state of a network (%s): what was known "
					"before goes on",
					error->message);
		set_status(inn, INN_INVALID, problem);
		return;
	}
	own = inn_state_find(state, &inn->params.public_key);
	if (own == NULL) {
		set_status(inn, INN_INVALID,
			   "its state lacks this host's own key: what was known before goes on");
		return;
	}
	inn->failed = FALSE;
	set_status(inn, INN_REACHABLE, NULL);
	read_own(inn, own);
	adopt(inn, g_steal_pointer(&state));
	inn->funcs.changed(inn->user_data);
	inn_publish(inn);
}

static void
on_state(guint status, GBytes *body, const GError *error, gpointer user_data)
{
	Inn *inn = user_data;
	g_autofree char *problem = NULL;

	inn->asking = FALSE;
	inn->failed = TRUE;
	if (status == 0 && !inn->settled)
		resume(inn);
	inn->settled = TRUE;
	if (status == 200) {
		take_state(inn, body);
	} else if (status == 401) {
		set_status(inn, INN_REFUSED,
			   "it refuses this host (401): the peer is disabled or removed there, or "
			   "has another key or address");
	} else if (status != 0) {
		problem = g_strdup_printf(
			"it answers with status %u: what was known before goes on", status);
		set_status(inn, INN_INVALID, problem);
	} else {
		problem = g_strdup_printf("no answer: %s", error->message);
		set_status(inn, INN_UNREACHABLE, problem);
		inn->funcs.unreachable(inn->user_data);
		/* the store's beacons, with the time that they were given to be renewed over */
		if (inn->state != NULL)
			inn->funcs.changed(inn->user_data);
	}
	if (inn->again) {
		inn->again = FALSE;
		schedule(inn, 0);
	} else {
		schedule_next(inn);
	}
}

static void
ask(Inn *inn)
{
	if (inn->asking)
		return;
	inn->asking = TRUE;
	inn_http_call(inn->http, "GET", "/v1/user/state", NULL, on_state, inn);
}

/* ---- life ---- */

Inn *
inn_new(const InnParams *params, const InnFuncs *funcs, gpointer user_data)
{
	Inn *inn = g_new0(Inn, 1);

	inn->params = *params;
	inn->params.ifname = g_strdup(params->ifname);
	inn->funcs = *funcs;
	inn->user_data = user_data;
	inn->generation = random_generation();
	inn->watch_id = params->watch_id;
	inn->file = nat_state_file_new_for_key(
		params->state_dir, "beacon", &params->public_key,
		"after a restart without the innernet server, peers are not found again");
	inn->seen = inn_seen_new();
	inn->observed = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	inn->http = inn_http_new(&params->conf->server_internal, &params->conf->server_key);
	inn->pins = inn_pins_new(params->ifname, params->store_path, params->owns);
	inn->state = inn_pins_remembered(inn->pins);
	if (inn->state != NULL)
		read_beacons(inn);
	return inn;
}

void
inn_start(Inn *inn)
{
	if (inn->state != NULL)
		inn->funcs.changed(inn->user_data);
	inn_hurry(inn);
}

void
inn_free(Inn *inn)
{
	if (inn == NULL)
		return;
	inn_http_free(inn->http);
	g_clear_handle_id(&inn->timer, g_source_remove);
	g_clear_handle_id(&inn->put_timer, g_source_remove);
	inn_state_free(inn->state);
	inn_pins_free(inn->pins);
	inn_seen_free(inn->seen);
	g_array_unref(inn->observed);
	nat_state_file_free(inn->file);
	g_clear_pointer(&inn->put, g_array_unref);
	g_clear_pointer(&inn->putting, g_array_unref);
	g_free(inn->problem);
	g_free((char *)inn->params.ifname);
	g_free(inn);
}

gboolean
inn_is_settled(const Inn *inn)
{
	return inn->settled;
}

guint64
inn_generation(const Inn *inn)
{
	return inn->generation;
}

const InnState *
inn_state(const Inn *inn)
{
	return inn->state;
}

const GArray *
inn_observed(const Inn *inn)
{
	return inn->observed;
}

InnStatus
inn_status(const Inn *inn)
{
	return inn->status;
}

const char *
inn_status_to_string(InnStatus status)
{
	switch (status) {
	case INN_STARTING:
		return "starting";
	case INN_REACHABLE:
		return "reachable";
	case INN_UNREACHABLE:
		return "unreachable";
	case INN_REFUSED:
		return "refused";
	case INN_INVALID:
		return "invalid";
	}
	return NULL;
}

const char *
inn_problem(const Inn *inn)
{
	return inn->problem != NULL ? inn->problem : inn_pins_problem(inn->pins);
}
