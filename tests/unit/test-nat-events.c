/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-events.h"

#include <string.h>

#include "agent/base/nat-json.h"

static const WgKey ALICE = {{1, 1}}, BOB = {{2, 2}};

static void
add(NatEvents *events, const WgKey *peer, const char *text)
{
	nat_events_add(events, "wg0", peer, peer == &ALICE ? "alice" : NULL, NAT_EVENT_PATH, text);
}

static void
kept(void)
{
	g_autoptr(NatEvents) events = nat_events_new();
	g_autoptr(GPtrArray) alice = NULL, all = NULL, other = NULL;

	for (int i = 0; i < NAT_EVENTS_KEPT + 10; i++) {
		g_autofree char *text = g_strdup_printf("event %d", i);

		add(events, &ALICE, text);
	}
	add(events, &BOB, "one of another");
	add(events, NULL, "the interface's own");
	nat_events_add(events, "wg1", &ALICE, NULL, NAT_EVENT_PATH, "elsewhere");
	alice = nat_events_list(events, "wg0", &ALICE);
	g_assert_cmpuint(alice->len, ==, NAT_EVENTS_KEPT);
	g_assert_cmpstr(((NatEvent *)g_ptr_array_index(alice, 0))->text, ==, "event 10");
	g_assert_cmpstr(((NatEvent *)g_ptr_array_index(alice, NAT_EVENTS_KEPT - 1))->text, ==,
			"event 59");
	all = nat_events_list(events, NULL, NULL);
	g_assert_cmpuint(all->len, ==, NAT_EVENTS_KEPT + 3);
	for (guint i = 1; i < all->len; i++)
		g_assert_cmpuint(((NatEvent *)g_ptr_array_index(all, i - 1))->number, <,
				 ((NatEvent *)g_ptr_array_index(all, i))->number);
	nat_events_forget(events, "wg0", &ALICE);
	other = nat_events_list(events, NULL, &ALICE);
	g_assert_cmpuint(other->len, ==, 1);
	g_assert_cmpstr(((NatEvent *)g_ptr_array_index(other, 0))->interface, ==, "wg1");
}

/* What flaps is one line that counts. */
static void
repeated(void)
{
	g_autoptr(NatEvents) events = nat_events_new();
	g_autoptr(GPtrArray) list = NULL;
	const NatEvent *last;
	g_autofree char *text = NULL;

	add(events, &ALICE, "up");
	for (int i = 0; i < 7; i++)
		add(events, &ALICE, "down");
	add(events, &BOB, "down");
	list = nat_events_list(events, "wg0", &ALICE);
	g_assert_cmpuint(list->len, ==, 2);
	last = g_ptr_array_index(list, 1);
	g_assert_cmpuint(last->times, ==, 7);
	g_assert_cmpuint(last->number, ==, 8);
	g_assert_cmpint(last->since_last_us, >=, 0);
	text = nat_event_to_text(last, TRUE);
	g_assert_nonnull(strstr(text, "path      wg0 alice: down (7 times)"));
}

static void
hostile_text(void)
{
	g_autoptr(NatEvents) events = nat_events_new();
	g_autofree char *huge = g_strnfill(1 << 20, 'x');
	g_autoptr(GPtrArray) list = NULL;

	add(events, &ALICE, "a\033[2Jb\nc");
	add(events, &ALICE, huge);
	list = nat_events_list(events, "wg0", &ALICE);
	g_assert_null(strchr(((NatEvent *)g_ptr_array_index(list, 0))->text, '\033'));
	g_assert_null(strchr(((NatEvent *)g_ptr_array_index(list, 0))->text, '\n'));
	g_assert_cmpuint(strlen(((NatEvent *)g_ptr_array_index(list, 1))->text), <, 500);
}

static void
on_event(const NatEvent *event, gpointer user_data)
{
	g_string_append_printf(user_data, "%s;", event->text);
}

static void
followed(void)
{
	g_autoptr(NatEvents) events = nat_events_new();
	g_autoptr(GString) one = g_string_new(NULL), two = g_string_new(NULL);
	guint a = nat_events_follow(events, on_event, one);
	guint b = nat_events_follow(events, on_event, two);

	add(events, &ALICE, "1");
	nat_events_unfollow(events, a);
	add(events, &ALICE, "2");
	nat_events_unfollow(events, b);
	nat_events_unfollow(events, b);
	add(events, &ALICE, "3");
	g_assert_cmpstr(one->str, ==, "1;");
	g_assert_cmpstr(two->str, ==, "1;2;");
}

static void
json(void)
{
	g_autoptr(NatEvents) events = nat_events_new();
	g_autoptr(GPtrArray) list = NULL;
	g_autoptr(JsonNode) node = NULL;
	g_autoptr(NatEvent) back = NULL;
	g_autoptr(GError) error = NULL;
	const NatEvent *event;

	add(events, &ALICE, "first");
	add(events, &ALICE, "second → third");
	list = nat_events_list(events, NULL, NULL);
	event = g_ptr_array_index(list, 1);
	node = nat_event_to_json(event, event->at_us + 2500000);
	back = nat_event_from_json(json_node_get_object(node), event->at_us + 2500000, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(back->number, ==, event->number);
	g_assert_cmpint(back->at_us, ==, event->at_us);
	g_assert_cmpint(back->real_us / 1000, ==, event->real_us / 1000);
	g_assert_cmpint(back->since_last_us / 1000, ==, event->since_last_us / 1000);
	g_assert_cmpstr(back->text, ==, "second → third");
	g_assert_cmpstr(back->name, ==, "alice");
	g_assert_true(back->has_peer && wg_key_equal(&back->peer, &ALICE));
	g_assert_cmpint(back->kind, ==, NAT_EVENT_PATH);
}

/* Of somebody who is no agent of ours. */
static void
foreign_json(void)
{
	static const char *const BAD[] = {
		"{}",
		"{\"event\":\"unheard of\"}",
		"{\"event\":7}",
		"{\"event\":\"path\",\"text\":[]}",
		"{\"event\":\"path\",\"number\":\"x\"}",
	};
	static const char ODD[] =
		"{\"event\":\"path\",\"number\":-9223372036854775808,\"age_ms\":"
		"9223372036854775807,"
		"\"since_last_ms\":-7,\"times\":-1,\"time\":\"yesterday\",\"text\":\"\\u001b[2J\","
		"\"interface\":\"\\n\",\"peer\":\"no key\"}";
	g_autoptr(JsonNode) odd = nat_json_parse(ODD, strlen(ODD), NULL);
	g_autoptr(NatEvent) event = NULL;
	g_autofree char *text = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autoptr(JsonNode) node = nat_json_parse(BAD[i], strlen(BAD[i]), NULL);
		g_autoptr(GError) error = NULL;

		g_assert_null(nat_event_from_json(json_node_get_object(node), 0, &error));
		g_assert_nonnull(error);
	}
	event = nat_event_from_json(json_node_get_object(odd), 0, NULL);
	g_assert_nonnull(event);
	g_assert_cmpuint(event->times, ==, 1);
	g_assert_false(event->has_peer);
	text = nat_event_to_text(event, TRUE);
	g_assert_null(strchr(text, '\033'));
	g_assert_null(strchr(text, '\n'));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/events/kept", kept);
	g_test_add_func("/events/repeated", repeated);
	g_test_add_func("/events/hostile-text", hostile_text);
	g_test_add_func("/events/followed", followed);
	g_test_add_func("/events/json", json);
	g_test_add_func("/events/foreign-json", foreign_json);
	return g_test_run();
}
