/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-status-detail.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"
#include "agent/status/nat-candidate-json.h"
#include "agent/status/nat-class-json.h"

/* Of an answer: more is not of ours. */
#define LIST_MAX 256

static void
pair_free(gpointer p)
{
	NatStatusPair *pair = p;

	g_free(pair->state);
	g_free(pair->error);
	g_free(pair);
}

NatStatusDetail *
nat_status_detail_new(void)
{
	NatStatusDetail *detail = g_new0(NatStatusDetail, 1);

	detail->local = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	detail->remote = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	nat_checks_init(&detail->checks);
	detail->pairs = g_ptr_array_new_with_free_func(pair_free);
	detail->events = g_ptr_array_new_with_free_func((GDestroyNotify)nat_event_free);
	return detail;
}

void
nat_status_detail_free(NatStatusDetail *detail)
{
	if (detail == NULL)
		return;
	g_array_unref(detail->local);
	g_array_unref(detail->remote);
	nat_checks_clear(&detail->checks);
	g_ptr_array_unref(detail->pairs);
	g_ptr_array_unref(detail->events);
	g_free(detail);
}

NatStatusPair *
nat_status_detail_add_pair(NatStatusDetail *detail)
{
	NatStatusPair *pair = g_new0(NatStatusPair, 1);

	pair->rtt_ms = pair->loss = -1;
	g_ptr_array_add(detail->pairs, pair);
	return pair;
}

void
nat_status_detail_add_event(NatStatusDetail *detail, const NatEvent *event)
{
	NatEvent *copy = g_new(NatEvent, 1);

	*copy = *event;
	copy->interface = g_strdup(event->interface);
	copy->name = g_strdup(event->name);
	copy->text = g_strdup(event->text);
	g_ptr_array_add(detail->events, copy);
}

/* ---- out ---- */

static void
set_number(JsonObject *obj, const char *member, double value)
{
	if (isfinite(value) && value >= 0)
		json_object_set_double_member(
			obj, member, (double)(gint64)(MIN(value, 1e9) * 1000 + 0.5) / 1000);
	else
		json_object_set_null_member(obj, member);
}

static JsonArray *
candidates_out(const GArray *list)
{
	JsonArray *out = json_array_new();

	for (guint i = 0; i < list->len; i++)
		json_array_add_object_element(
			out, nat_json_candidate(&g_array_index(list, NatCandidate, i)));
	return out;
}

static JsonArray *
checks_out(const NatChecks *checks)
{
	JsonArray *out = json_array_new();

	for (guint i = 0; i < checks->list->len; i++) {
		const NatCheck *check = &g_array_index(checks->list, NatCheck, i);
		JsonObject *obj = json_object_new();

		nat_json_set_endpoint(obj, "local", &check->local);
		nat_json_set_endpoint(obj, "remote", &check->remote);
		nat_json_set_int(obj, "sent", check->sent);
		nat_json_set_int(obj, "answered", check->answered);
		nat_json_set_int(obj, "heard", check->heard);
		nat_json_set_string(obj, "error", *check->error != '\0' ? check->error : NULL);
		json_array_add_object_element(out, obj);
	}
	return out;
}

static JsonArray *
pairs_out(const GPtrArray *pairs)
{
	JsonArray *out = json_array_new();

	for (guint i = 0; i < pairs->len; i++) {
		const NatStatusPair *pair = g_ptr_array_index(pairs, i);
		JsonObject *obj = json_object_new();

		nat_json_set_candidate(obj, "local", &pair->local);
		nat_json_set_candidate(obj, "remote", &pair->remote);
		json_object_set_string_member(obj, "kind", pair->relay ? "relay" : "direct");
		nat_json_set_string(obj, "state", pair->state);
		json_object_set_boolean_member(obj, "chosen", pair->chosen);
		set_number(obj, "rtt_ms", pair->rtt_ms);
		set_number(obj, "loss_ratio", pair->loss);
		nat_json_set_int(obj, "deaths", pair->deaths);
		nat_json_set_string(obj, "error", pair->error);
		json_array_add_object_element(out, obj);
	}
	return out;
}

static void
set_nat(JsonObject *obj, const NatStatusDetail *detail)
{
	JsonObject *nat;

	if (!detail->has_nat) {
		json_object_set_null_member(obj, "remote_nat");
		return;
	}
	nat = json_object_new();
	nat_json_set_class(nat, &detail->nat);
	json_object_set_object_member(obj, "remote_nat", nat);
}

JsonObject *
nat_status_detail_to_json(const NatStatusDetail *detail, gint64 now_us)
{
	JsonObject *obj = json_object_new();
	JsonArray *events = json_array_new();

	for (guint i = 0; i < detail->events->len; i++)
		json_array_add_element(
			events, nat_event_to_json(g_ptr_array_index(detail->events, i), now_us));
	json_object_set_array_member(obj, "local_candidates", candidates_out(detail->local));
	json_object_set_array_member(obj, "remote_candidates", candidates_out(detail->remote));
	set_nat(obj, detail);
	json_object_set_array_member(obj, "checks", checks_out(&detail->checks));
	json_object_set_array_member(obj, "pairs", pairs_out(detail->pairs));
	json_object_set_array_member(obj, "events", events);
	return obj;
}

/* ---- in ---- */

typedef gboolean (*ReadFunc)(JsonObject *obj, NatStatusDetail *detail, gint64 now_us,
			     GError **error);

static gboolean
invalid(GError **error, const char *member)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
		    "member \"%s\" is not what it should be", member);
	return FALSE;
}

static gboolean
get_endpoint(JsonObject *obj, const char *member, WgEndpoint *out, GError **error)
{
	const char *text = NULL;

	if (!nat_json_get_string(obj, member, &text, error))
		return FALSE;
	return text == NULL || wg_endpoint_parse(text, out) || invalid(error, member);
}

static gboolean
get_count(JsonObject *obj, const char *member, guint *out, GError **error)
{
	gint64 value = 0;

	if (!nat_json_get_int(obj, member, &value, error))
		return FALSE;
	*out = (guint)CLAMP(value, 0, G_MAXINT32);
	return TRUE;
}

static gboolean
get_text(JsonObject *obj, const char *member, char **out, GError **error)
{
	const char *text = NULL;

	if (!nat_json_get_string(obj, member, &text, error))
		return FALSE;
	*out = text != NULL ? nat_log_escape(text, -1) : NULL;
	return TRUE;
}

/* *known: the type is one of this version's. */
static gboolean
candidate_in(JsonObject *obj, NatCandidate *out, gboolean *known, GError **error)
{
	const char *type = NULL;

	if (!nat_json_get_string(obj, "type", &type, error) ||
	    !get_endpoint(obj, "endpoint", &out->endpoint, error))
		return FALSE;
	*known = type != NULL && nat_cand_type_from_string(type, &out->type);
	return TRUE;
}

static gboolean
add_candidate(JsonObject *obj, GArray *list, GError **error)
{
	NatCandidate cand = {0};
	gboolean known;

	if (!candidate_in(obj, &cand, &known, error))
		return FALSE;
	if (known)
		g_array_append_val(list, cand);
	return TRUE;
}

static gboolean
read_local(JsonObject *obj, NatStatusDetail *detail, gint64 now_us, GError **error)
{
	return add_candidate(obj, detail->local, error);
}

static gboolean
read_remote(JsonObject *obj, NatStatusDetail *detail, gint64 now_us, GError **error)
{
	return add_candidate(obj, detail->remote, error);
}

static gboolean
read_check(JsonObject *obj, NatStatusDetail *detail, gint64 now_us, GError **error)
{
	g_autofree char *text = NULL;
	NatCheck check = {0};

	if (!get_endpoint(obj, "local", &check.local, error) ||
	    !get_endpoint(obj, "remote", &check.remote, error) ||
	    !get_count(obj, "sent", &check.sent, error) ||
	    !get_count(obj, "answered", &check.answered, error) ||
	    !get_count(obj, "heard", &check.heard, error) || !get_text(obj, "error", &text, error))
		return FALSE;
	if (text != NULL)
		nat_check_set_error(&check, "%s", text);
	g_array_append_val(detail->checks.list, check);
	return TRUE;
}

static gboolean
pair_candidate(JsonObject *obj, const char *member, NatCandidate *out, GError **error)
{
	JsonObject *cand = NULL;
	gboolean known;

	if (!nat_json_get_object(obj, member, &cand, error))
		return FALSE;
	return cand == NULL || candidate_in(cand, out, &known, error);
}

static gboolean
read_pair(JsonObject *obj, NatStatusDetail *detail, gint64 now_us, GError **error)
{
	NatStatusPair *pair = nat_status_detail_add_pair(detail);
	const char *kind = NULL;

	if (!pair_candidate(obj, "local", &pair->local, error) ||
	    !pair_candidate(obj, "remote", &pair->remote, error) ||
	    !nat_json_get_string(obj, "kind", &kind, error) ||
	    !get_text(obj, "state", &pair->state, error) ||
	    !nat_json_get_boolean(obj, "chosen", &pair->chosen, error) ||
	    !nat_json_get_double(obj, "rtt_ms", &pair->rtt_ms, error) ||
	    !nat_json_get_double(obj, "loss_ratio", &pair->loss, error) ||
	    !get_count(obj, "deaths", &pair->deaths, error) ||
	    !get_text(obj, "error", &pair->error, error))
		return FALSE;
	pair->relay = g_strcmp0(kind, "relay") == 0;
	return TRUE;
}

/* A kind that this version does not know is left out. */
static gboolean
read_event(JsonObject *obj, NatStatusDetail *detail, gint64 now_us, GError **error)
{
	NatEvent *event = nat_event_from_json(obj, now_us, NULL);

	if (event != NULL)
		g_ptr_array_add(detail->events, event);
	return TRUE;
}

static gboolean
read_list(JsonObject *obj, const char *member, ReadFunc func, NatStatusDetail *detail,
	  gint64 now_us, GError **error)
{
	JsonArray *list = NULL;

	if (!nat_json_get_array(obj, member, &list, error))
		return FALSE;
	for (guint i = 0; list != NULL && i < MIN(json_array_get_length(list), LIST_MAX); i++) {
		JsonNode *node = json_array_get_element(list, i);

		if (!JSON_NODE_HOLDS_OBJECT(node))
			return invalid(error, member);
		if (!func(json_node_get_object(node), detail, now_us, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
read_nat(JsonObject *obj, NatStatusDetail *detail, GError **error)
{
	JsonObject *nat = NULL;

	if (!nat_json_get_object(obj, "remote_nat", &nat, error))
		return FALSE;
	detail->has_nat = nat != NULL;
	return nat == NULL || nat_json_get_class(nat, &detail->nat, error);
}

NatStatusDetail *
nat_status_detail_from_json(JsonObject *obj, gint64 now_us, GError **error)
{
	static const struct {
		const char *member;
		ReadFunc func;
	} LISTS[] = {
		{"local_candidates", read_local}, {"remote_candidates", read_remote},
		{"checks", read_check},		  {"pairs", read_pair},
		{"events", read_event},
	};
	g_autoptr(NatStatusDetail) detail = nat_status_detail_new();

	for (guint i = 0; i < G_N_ELEMENTS(LISTS); i++)
		if (!read_list(obj, LISTS[i].member, LISTS[i].func, detail, now_us, error))
			return NULL;
	if (!read_nat(obj, detail, error))
		return NULL;
	return g_steal_pointer(&detail);
}
