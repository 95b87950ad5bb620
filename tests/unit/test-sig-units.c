/* SPDX-License-Identifier: MIT */
/* The small pure parts of nat-signald: directory, rate limit, gate, wheel, names. */
#include "signaling/sig-auth.h"
#include "signaling/sig-directory.h"
#include "signaling/sig-gate.h"
#include "signaling/sig-ratelimit.h"
#include "signaling/sig-wheel.h"

#include <string.h>

#define SECOND G_USEC_PER_SEC

/* ---- directory ---- */

static WgKey
key(guint n)
{
	WgKey out = {{n & 0xff, n >> 8, 1}};

	return out;
}

static int
compare_lines(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether the changes are exactly these lines "CONN+KEY" or "CONN-KEY", in any order; empties them.
 * Connections are characters, keys numbers. */
static void
assert_changes(GArray *changes, const char *expected)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *joined = NULL;

	for (guint i = 0; i < changes->len; i++) {
		const SigChange *c = &g_array_index(changes, SigChange, i);
		g_autofree char *line =
			g_strdup_printf("%c%c%u", GPOINTER_TO_INT(c->conn), c->online ? '+' : '-',
					c->key.b[0] | c->key.b[1] << 8);

		g_ptr_array_add(lines, g_steal_pointer(&line));
	}
	g_ptr_array_sort(lines, compare_lines);
	g_ptr_array_add(lines, NULL);
	joined = g_strjoinv(" ", (char **)lines->pdata);
	g_assert_cmpstr(joined, ==, expected);
	g_array_set_size(changes, 0);
}

typedef struct {
	SigDirectory *directory;
	GArray *changes;
	SigMember *a, *b;
} Dir;

/* a (key 1) and b (key 2) are online. */
static void
dir_open(Dir *d, guint max)
{
	WgKey k1 = key(1), k2 = key(2);

	d->directory = sig_directory_new(max);
	d->changes = sig_changes_new();
	g_assert_null(
		sig_directory_join(d->directory, &k1, GINT_TO_POINTER('a'), &d->a, d->changes));
	g_assert_null(
		sig_directory_join(d->directory, &k2, GINT_TO_POINTER('b'), &d->b, d->changes));
	assert_changes(d->changes, "");
}

static void
dir_close(Dir *d)
{
	g_array_unref(d->changes);
	sig_directory_free(d->directory);
}

static gboolean
add(Dir *d, SigMember *member, guint n)
{
	WgKey k = key(n);

	return sig_directory_add_interest(d->directory, member, &k, 1, d->changes);
}

static void
test_mutual(void)
{
	WgKey k1 = key(1), k2 = key(2);
	Dir d;

	dir_open(&d, 10);
	g_assert_true(add(&d, d.a, 2));
	assert_changes(d.changes, "");
	g_assert_null(sig_directory_route(d.directory, d.a, &k2));
	g_assert_null(sig_directory_route(d.directory, d.b, &k1));
	g_assert_true(add(&d, d.b, 1));
	assert_changes(d.changes, "a+2 b+1");
	g_assert_true(add(&d, d.b, 1));
	assert_changes(d.changes, "");
	g_assert_true(sig_directory_route(d.directory, d.a, &k2) == GINT_TO_POINTER('b'));
	g_assert_true(sig_directory_route(d.directory, d.b, &k1) == GINT_TO_POINTER('a'));
	sig_directory_remove_interest(d.directory, d.a, &k2, 1, d.changes);
	assert_changes(d.changes, "b-1");
	g_assert_null(sig_directory_route(d.directory, d.a, &k2));
	g_assert_null(sig_directory_route(d.directory, d.b, &k1));
	sig_directory_remove_interest(d.directory, d.a, &k2, 1, d.changes);
	assert_changes(d.changes, "");
	dir_close(&d);
}

static void
test_self(void)
{
	WgKey k1 = key(1);
	Dir d;

	dir_open(&d, 10);
	g_assert_true(add(&d, d.a, 1));
	assert_changes(d.changes, "");
	g_assert_null(sig_directory_route(d.directory, d.a, &k1));
	dir_close(&d);
}

static void
test_leave(void)
{
	WgKey k1 = key(1);
	Dir d;

	dir_open(&d, 10);
	add(&d, d.a, 2);
	add(&d, d.a, 3);
	add(&d, d.b, 1);
	g_array_set_size(d.changes, 0);
	g_assert_cmpuint(sig_directory_n_known(d.directory), ==, 3);
	sig_directory_leave(d.directory, d.a, d.changes);
	assert_changes(d.changes, "b-1");
	g_assert_null(sig_directory_route(d.directory, d.b, &k1));
	/* 1 is still named by b, 3 by nobody */
	g_assert_cmpuint(sig_directory_n_known(d.directory), ==, 2);
	/* back again: nothing before its interest is there again */
	g_assert_null(sig_directory_join(d.directory, &k1, GINT_TO_POINTER('c'), &d.a, d.changes));
	assert_changes(d.changes, "");
	add(&d, d.a, 2);
	assert_changes(d.changes, "b+1 c+2");
	sig_directory_leave(d.directory, d.a, d.changes);
	sig_directory_leave(d.directory, d.b, d.changes);
	g_assert_cmpuint(sig_directory_n_known(d.directory), ==, 0);
	dir_close(&d);
}

static void
test_take_over(void)
{
	WgKey k1 = key(1), k2 = key(2);
	SigMember *again;
	Dir d;

	dir_open(&d, 10);
	add(&d, d.a, 2);
	add(&d, d.b, 1);
	g_array_set_size(d.changes, 0);
	g_assert_true(sig_directory_join(d.directory, &k1, GINT_TO_POINTER('c'), &again,
					 d.changes) == GINT_TO_POINTER('a'));
	assert_changes(d.changes, "b-1");
	g_assert_null(sig_directory_route(d.directory, again, &k2));
	add(&d, again, 2);
	assert_changes(d.changes, "b+1 c+2");
	g_assert_true(sig_directory_route(d.directory, d.b, &k1) == GINT_TO_POINTER('c'));
	dir_close(&d);
}

/* The same with a key nobody names: its member must survive the taking over. */
static void
test_take_over_alone(void)
{
	WgKey k1 = key(1);
	SigMember *again;
	Dir d;

	dir_open(&d, 10);
	g_assert_true(sig_directory_join(d.directory, &k1, GINT_TO_POINTER('c'), &again,
					 d.changes) == GINT_TO_POINTER('a'));
	assert_changes(d.changes, "");
	g_assert_true(wg_key_equal(sig_member_key(again), &k1));
	g_assert_cmpuint(sig_directory_n_known(d.directory), ==, 2);
	dir_close(&d);
}

static void
test_bound(void)
{
	WgKey k12 = key(12);
	Dir d;

	dir_open(&d, 3);
	g_assert_true(add(&d, d.a, 10));
	g_assert_true(add(&d, d.a, 11));
	g_assert_true(add(&d, d.a, 12));
	g_assert_false(add(&d, d.a, 13));
	g_assert_true(add(&d, d.a, 12)); /* there already */
	g_assert_cmpuint(sig_directory_n_known(d.directory), ==, 5);
	sig_directory_remove_interest(d.directory, d.a, &k12, 1, d.changes);
	g_assert_true(add(&d, d.a, 13));
	dir_close(&d);
}

/* ---- rate limit ---- */

static void
test_bucket(void)
{
	g_autoptr(SigRateLimit) limit = sig_rate_limit_new(1, 10, 20);
	gint64 now = 1000 * SECOND;

	for (guint i = 0; i < 20; i++)
		g_assert_true(sig_rate_limit_take(limit, "a", 1, 1, now));
	g_assert_false(sig_rate_limit_take(limit, "a", 1, 1, now));
	g_assert_false(sig_rate_limit_take(limit, "a", 1, 1, now + SECOND / 20));
	g_assert_true(sig_rate_limit_take(limit, "a", 1, 1, now + SECOND / 10));
	g_assert_false(sig_rate_limit_take(limit, "a", 1, 11, now + SECOND));
	g_assert_true(sig_rate_limit_take(limit, "a", 1, 9, now + SECOND));
	/* never more than the burst */
	g_assert_false(sig_rate_limit_take(limit, "a", 1, 21, now + 1000 * SECOND));
	g_assert_true(sig_rate_limit_take(limit, "a", 1, 20, now + 1000 * SECOND));
	/* a clock that stands or goes back gives nothing */
	g_assert_false(sig_rate_limit_take(limit, "a", 1, 1, now));
}

static void
test_buckets_apart(void)
{
	g_autoptr(SigRateLimit) limit = sig_rate_limit_new(1 << 16, 1, 1);
	guint taken = 0;

	for (guint i = 0; i < 100; i++)
		taken += sig_rate_limit_take(limit, &i, sizeof i, 1, SECOND);
	g_assert_cmpuint(taken, >=, 95);
}

static void
test_no_limit(void)
{
	g_autoptr(SigRateLimit) limit = sig_rate_limit_new(1, 0, 1);

	for (guint i = 0; i < 100; i++)
		g_assert_true(sig_rate_limit_take(limit, "a", 1, 1, 0));
}

/* ---- gate ---- */

static WgEndpoint
endpoint(const char *text)
{
	WgEndpoint out;

	g_assert_true(wg_endpoint_parse_address(text, 1, &out));
	return out;
}

static void
test_gate(void)
{
	g_autoptr(SigGate) gate = sig_gate_new(5, 2);
	WgEndpoint a = endpoint("192.0.2.1"), b = endpoint("192.0.2.2");
	WgEndpoint v6 = endpoint("2001:db8::1"), same = endpoint("2001:db8::ffff:1");
	WgEndpoint other = endpoint("2001:db8:0:1::1");

	g_assert_true(sig_gate_enter(gate, &a));
	g_assert_true(sig_gate_enter(gate, &a));
	g_assert_false(sig_gate_enter(gate, &a));
	g_assert_true(sig_gate_enter(gate, &v6));
	g_assert_true(sig_gate_enter(gate, &same));
	g_assert_false(sig_gate_enter(gate, &v6));
	g_assert_true(sig_gate_enter(gate, &other));
	g_assert_false(sig_gate_enter(gate, &b)); /* five in all */
	sig_gate_leave(gate, &a);
	g_assert_true(sig_gate_enter(gate, &b));
	sig_gate_leave(gate, &a);
	sig_gate_leave(gate, &a); /* once too often does no harm */
	g_assert_cmpuint(sig_gate_total(gate), ==, 4);
}

/* ---- wheel ---- */

typedef struct {
	SigWheel *wheel;
	SigTimer *again, *cancel;
	guint fired;
} Wheel;

static void
on_fired(SigTimer *timer, gpointer user_data)
{
	Wheel *w = user_data;

	w->fired++;
	if (w->again == timer)
		sig_wheel_set(w->wheel, timer, 64);
	if (w->cancel)
		sig_wheel_cancel(w->cancel);
}

static guint
ticks(Wheel *w, guint n)
{
	w->fired = 0;
	while (n-- > 0)
		sig_wheel_tick(w->wheel, on_fired, w);
	return w->fired;
}

static void
test_wheel(void)
{
	Wheel w = {.wheel = sig_wheel_new()};
	SigTimer a = {0}, b = {0}, c = {0};

	sig_wheel_set(w.wheel, &a, 1);
	sig_wheel_set(w.wheel, &b, 65); /* the same slot, one round later */
	sig_wheel_set(w.wheel, &c, 1000);
	g_assert_cmpuint(ticks(&w, 1), ==, 1);
	g_assert_cmpuint(ticks(&w, 63), ==, 0);
	g_assert_cmpuint(ticks(&w, 1), ==, 1);
	sig_wheel_set(w.wheel, &c, 3); /* replaces */
	g_assert_cmpuint(ticks(&w, 2), ==, 0);
	g_assert_cmpuint(ticks(&w, 1), ==, 1);
	g_assert_cmpuint(ticks(&w, 1000), ==, 0);
	sig_wheel_cancel(&c);
	sig_wheel_free(w.wheel);
}

/* A timer's function may set the timer anew and cancel others that are due in the same tick. */
static void
test_wheel_inside(void)
{
	Wheel w = {.wheel = sig_wheel_new()};
	SigTimer a = {0}, b = {0};

	w.again = &a;
	w.cancel = &b;
	sig_wheel_set(w.wheel, &a, 5);
	sig_wheel_set(w.wheel, &b, 5);
	g_assert_cmpuint(ticks(&w, 5), ==, 1);
	g_assert_cmpuint(ticks(&w, 63), ==, 0);
	g_assert_cmpuint(ticks(&w, 1), ==, 1);
	sig_wheel_cancel(&a);
	sig_wheel_free(w.wheel);
}

/* ---- names ---- */

static SigClose
judge(const char *const *names, const char *authority)
{
	g_autoptr(SigAuth) auth = sig_auth_new(names);
	g_autoptr(SigOffer) offer = sig_auth_offer(auth, NULL, 0, 0);
	SigLogin login = {.version = 1};
	g_autofree char *text = NULL;
	WgKey private;

	wg_key_generate_private(&private);
	wg_key_public_from_private(&private, &login.key);
	g_strlcpy(login.authority, authority, sizeof login.authority);
	g_assert_true(sig_login_sign(sig_offer_hello(offer), &private, &login, NULL));
	return sig_auth_check(auth, offer, &login, &text);
}

static void
test_names(void)
{
	const char *const names[] = {"signal.example:443", "[2001:db8::1]", "any", NULL};

	g_assert_cmpint(judge(names, "signal.example:443"), ==, SIG_CLOSE_NONE);
	g_assert_cmpint(judge(names, "Signal.Example:443"), ==, SIG_CLOSE_NONE);
	g_assert_cmpint(judge(names, "signal.example:80"), ==, SIG_CLOSE_WRONG_AUTHORITY);
	g_assert_cmpint(judge(names, "signal.example"), ==, SIG_CLOSE_WRONG_AUTHORITY);
	g_assert_cmpint(judge(names, "[2001:db8::1]:9"), ==, SIG_CLOSE_NONE);
	g_assert_cmpint(judge(names, "[2001:db8::2]:9"), ==, SIG_CLOSE_WRONG_AUTHORITY);
	g_assert_cmpint(judge(names, "any:1"), ==, SIG_CLOSE_NONE);
	g_assert_cmpint(judge(names, "anyone:1"), ==, SIG_CLOSE_WRONG_AUTHORITY);
	g_assert_cmpint(judge(NULL, "whatever:1"), ==, SIG_CLOSE_NONE);
	g_assert_true(sig_auth_name_valid("a.b-c:1"));
	g_assert_true(sig_auth_name_valid("[::1]:65535"));
	g_assert_false(sig_auth_name_valid(""));
	g_assert_false(sig_auth_name_valid(":80"));
	g_assert_false(sig_auth_name_valid("a:0"));
	g_assert_false(sig_auth_name_valid("a:b"));
	g_assert_false(sig_auth_name_valid("ws://a"));
	g_assert_false(sig_auth_name_valid("2001:db8::1"));
}

/* The ephemeral key lives a minute; an offer made before still verifies after. */
static void
test_rotation(void)
{
	g_autoptr(SigAuth) auth = sig_auth_new(NULL);
	g_autoptr(SigOffer) first = sig_auth_offer(auth, NULL, 0, 0);
	g_autoptr(SigOffer) same = sig_auth_offer(auth, NULL, 0, 59 * SECOND);
	g_autoptr(SigOffer) next = sig_auth_offer(auth, NULL, 0, 60 * SECOND);
	SigLogin login = {.version = 1, .authority = "a:1"};
	g_autofree char *text = NULL, *why = NULL;
	WgKey private;

	g_assert_true(wg_key_equal(&sig_offer_hello(first)->key, &sig_offer_hello(same)->key));
	g_assert_false(wg_key_equal(&sig_offer_hello(first)->key, &sig_offer_hello(next)->key));
	g_assert_true(memcmp(sig_offer_hello(first)->nonce, sig_offer_hello(same)->nonce, 32) != 0);
	wg_key_generate_private(&private);
	wg_key_public_from_private(&private, &login.key);
	g_assert_true(sig_login_sign(sig_offer_hello(first), &private, &login, NULL));
	g_assert_cmpint(sig_auth_check(auth, first, &login, &text), ==, SIG_CLOSE_NONE);
	/* replayed to another connection */
	g_assert_cmpint(sig_auth_check(auth, same, &login, &why), ==, SIG_CLOSE_LOGIN_REFUSED);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/directory/mutual", test_mutual);
	g_test_add_func("/sig/directory/self", test_self);
	g_test_add_func("/sig/directory/leave", test_leave);
	g_test_add_func("/sig/directory/take-over", test_take_over);
	g_test_add_func("/sig/directory/take-over-alone", test_take_over_alone);
	g_test_add_func("/sig/directory/bound", test_bound);
	g_test_add_func("/sig/ratelimit/bucket", test_bucket);
	g_test_add_func("/sig/ratelimit/apart", test_buckets_apart);
	g_test_add_func("/sig/ratelimit/no-limit", test_no_limit);
	g_test_add_func("/sig/gate/bounds", test_gate);
	g_test_add_func("/sig/wheel/ticks", test_wheel);
	g_test_add_func("/sig/wheel/inside", test_wheel_inside);
	g_test_add_func("/sig/auth/names", test_names);
	g_test_add_func("/sig/auth/rotation", test_rotation);
	return g_test_run();
}
