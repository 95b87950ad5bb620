/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-originals.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

/* What was warned of; the only way for one line to reach a user. */
static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	guint *warnings = user_data;

	if (!(level & G_LOG_LEVEL_WARNING))
		return g_log_writer_default(level, fields, n, NULL);
	++*warnings;
	return G_LOG_WRITER_HANDLED;
}

typedef struct {
	char *dir;
	WgKey own;
	WgPeer *peer;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	WgKey priv;

	f->dir = g_dir_make_tmp("nat-originals-XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &f->own);
	f->peer = wg_peer_new();
	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &f->peer->public_key);
	g_assert_true(wg_endpoint_parse("192.0.2.1:51820", &f->peer->endpoint));
	f->peer->keepalive = 15;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	const char *name;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(f->dir, name, NULL);

		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
	wg_peer_free(f->peer);
}

static void
expect(NatOriginals *originals, const WgKey *peer, const char *endpoint, guint16 keepalive)
{
	WgEndpoint ep;
	char text[WG_ENDPOINT_STRLEN];
	guint16 seconds;

	g_assert_true(nat_originals_get(originals, peer, &ep, &seconds));
	g_assert_cmpstr(wg_endpoint_format(&ep, text), ==, endpoint);
	g_assert_cmpuint(seconds, ==, keepalive);
}

static gboolean
knows(NatOriginals *originals, const WgKey *peer)
{
	WgEndpoint ep;
	guint16 seconds;

	return nat_originals_get(originals, peer, &ep, &seconds);
}

static char *
only_file(Fixture *f)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	const char *name = g_dir_read_name(dir);

	g_assert_nonnull(name);
	return g_build_filename(f->dir, name, NULL);
}

/* The first sight counts: what follows is our own writing. */
static void
test_first_sight(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);

	g_assert_false(knows(originals, &f->peer->public_key));
	nat_originals_keep(originals, f->peer, NULL);
	g_assert_true(wg_endpoint_parse("[2001:db8::9]:9", &f->peer->endpoint));
	f->peer->keepalive = 25;
	nat_originals_keep(originals, f->peer, NULL);
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_free(originals);
}

static void
test_no_endpoint(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);

	memset(&f->peer->endpoint, 0, sizeof f->peer->endpoint);
	f->peer->keepalive = 0;
	nat_originals_keep(originals, f->peer, NULL);
	expect(originals, &f->peer->public_key, "(none)", 0);
	nat_originals_free(originals);
}

/* kill -9: the next process knows, and nobody else may read it. */
static void
test_survives(Fixture *f, gconstpointer data)
{
	NatOriginals *first = nat_originals_new(f->dir, &f->own), *second;
	g_autofree char *path = NULL;
	GStatBuf st;

	g_assert_true(wg_endpoint_parse("[fe80::1%2]:51820", &f->peer->endpoint));
	f->peer->keepalive = 65535;
	nat_originals_keep(first, f->peer, NULL);
	path = only_file(f);
	g_assert_cmpint(g_stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
	second = nat_originals_new(f->dir, &f->own);
	expect(second, &f->peer->public_key, "[fe80::1%2]:51820", 65535);
	nat_originals_forget(second, &f->peer->public_key);
	nat_originals_forget(second, &f->peer->public_key);
	g_assert_false(knows(second, &f->peer->public_key));
	nat_originals_free(second);
	second = nat_originals_new(f->dir, &f->own);
	g_assert_false(knows(second, &f->peer->public_key));
	nat_originals_free(second);
	nat_originals_free(first);
}

/* Another interface's peers are its own. */
static void
test_per_interface(Fixture *f, gconstpointer data)
{
	NatOriginals *mine = nat_originals_new(f->dir, &f->own), *other;

	nat_originals_keep(mine, f->peer, NULL);
	other = nat_originals_new(f->dir, &f->peer->public_key);
	g_assert_false(knows(other, &f->peer->public_key));
	nat_originals_free(other);
	nat_originals_free(mine);
}

static void
test_damaged_file(Fixture *f, gconstpointer data)
{
	const guint *warnings = data;
	guint before = *warnings;
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	g_autofree char *path = NULL, *text = NULL;
	char key[WG_KEY_STRLEN];

	wg_key_format(&f->peer->public_key, key);
	nat_originals_keep(originals, f->peer, NULL);
	nat_originals_free(originals);
	path = only_file(f);
	g_assert_true(g_file_set_contents(path, "\x01 no key file [", -1, NULL));
	originals = nat_originals_new(f->dir, &f->own);
	g_assert_cmpuint(*warnings, ==, before + 1);
	g_assert_false(knows(originals, &f->peer->public_key));
	nat_originals_keep(originals, f->peer, NULL);
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_free(originals);

	text = g_strdup_printf("[%s]\nendpoint=host.example:1\nkeepalive=99999999999\n", key);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	originals = nat_originals_new(f->dir, &f->own);
	g_assert_true(knows(originals, &f->peer->public_key));
	nat_originals_free(originals);

	g_free(text);
	text = g_strdup_printf("[%s]\nkeepalive=-3\n", key);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	originals = nat_originals_new(f->dir, &f->own);
	expect(originals, &f->peer->public_key, "(none)", 0);
	nat_originals_free(originals);
}

/* Memory serves where the directory cannot be written; one warning says so. */
static void
test_no_directory(Fixture *f, gconstpointer data)
{
	const guint *warnings = data;
	guint before = *warnings;
	g_autofree char *path = g_build_filename(f->dir, "file", NULL);
	g_autofree char *below = g_build_filename(path, "state", NULL);
	NatOriginals *originals;

	g_assert_true(g_file_set_contents(path, "", 0, NULL));
	originals = nat_originals_new(below, &f->own);
	nat_originals_keep(originals, f->peer, NULL);
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_forget(originals, &f->peer->public_key);
	g_assert_false(knows(originals, &f->peer->public_key));
	g_assert_cmpuint(*warnings, ==, before + 1);
	nat_originals_free(originals);
}

/* ---- the user's newer word ---- */

static void
set(Fixture *f, const char *endpoint)
{
	g_assert_true(wg_endpoint_parse(endpoint, &f->peer->endpoint));
}

/* We write; the device has it. */
static void
write_ours(NatOriginals *originals, Fixture *f, const char *endpoint, guint16 keepalive)
{
	WgPeerChange change = {
		.public_key = f->peer->public_key,
		.flags = WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE,
		.keepalive = keepalive,
	};

	g_assert_true(wg_endpoint_parse(endpoint, &change.endpoint));
	nat_originals_keep(originals, f->peer, &change);
	f->peer->endpoint = change.endpoint;
	f->peer->keepalive = keepalive;
}

/* It has talked, and is where we moved it. */
static void
watch_ours(NatOriginals *originals, Fixture *f, gint64 now)
{
	f->peer->rx_bytes = 1000;
	f->peer->last_handshake_s = 1;
	write_ours(originals, f, "203.0.113.1:1", 25);
	g_assert_false(nat_originals_observe(originals, f->peer, now));
}

static NatOriginals *
run_again(NatOriginals *originals, Fixture *f)
{
	nat_originals_free(originals);
	return nat_originals_new(f->dir, &f->own);
}

/* The interface is made anew: a reboot, wg-quick. */
static void
make_anew(Fixture *f, const char *endpoint, guint16 keepalive)
{
	set(f, endpoint);
	f->peer->keepalive = keepalive;
	f->peer->rx_bytes = f->peer->tx_bytes = 0;
	f->peer->last_handshake_s = 0;
}

/* In the midst of a write: the device has what we wrote before, or what we write now. */
static void
test_ours_after_kill(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	WgEndpoint before;

	write_ours(originals, f, "203.0.113.1:1", 25);
	originals = run_again(originals, f);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	write_ours(originals, f, "203.0.113.2:2", 20);
	before = f->peer->endpoint;
	write_ours(originals, f, "203.0.113.3:3", 0);
	f->peer->endpoint = before;
	f->peer->keepalive = 20;
	originals = run_again(originals, f);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	g_assert_true(nat_originals_is_ours(originals, &f->peer->public_key, &before, FALSE));
	/* SaveConfig, a while ago */
	make_anew(f, "203.0.113.1:1", 0);
	originals = run_again(originals, f);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_free(originals);
}

static void
test_new_configuration(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);

	write_ours(originals, f, "203.0.113.1:1", 25);
	make_anew(f, "198.51.100.2:2", 40);
	originals = run_again(originals, f);
	g_assert_true(nat_originals_observe(originals, f->peer, 1));
	expect(originals, &f->peer->public_key, "198.51.100.2:2", 40);
	originals = run_again(originals, f);
	expect(originals, &f->peer->public_key, "198.51.100.2:2", 40);
	/* a bridge of a run before is nobody's word, and none at all is none */
	make_anew(f, "127.0.0.1:2", 40);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	originals = run_again(originals, f);
	memset(&f->peer->endpoint, 0, sizeof f->peer->endpoint);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	/* the keepalive alone */
	originals = run_again(originals, f);
	f->peer->keepalive = 33;
	g_assert_true(nat_originals_observe(originals, f->peer, 1));
	expect(originals, &f->peer->public_key, "198.51.100.2:2", 33);
	nat_originals_free(originals);
}

/* What came in may have moved the endpoint before the first sight. */
static void
test_roamed_before(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);

	write_ours(originals, f, "203.0.113.1:1", 25);
	make_anew(f, "198.51.100.2:2", 25);
	f->peer->rx_bytes = 148;
	originals = run_again(originals, f);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	g_assert_false(nat_originals_observe(originals, f->peer, 1 + 2 * NAT_ORIGINALS_CONFIRM_US));
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	g_assert_false(
		nat_originals_is_ours(originals, &f->peer->public_key, &f->peer->endpoint, TRUE));
	nat_originals_free(originals);
}

static void
test_set_while_watched(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	gint64 now = 1000;

	watch_ours(originals, f, now);
	set(f, "198.51.100.2:2");
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	/* WireGuard counts a packet after it has moved the endpoint */
	g_assert_false(
		nat_originals_observe(originals, f->peer, now + NAT_ORIGINALS_CONFIRM_US - 1));
	g_assert_true(nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	expect(originals, &f->peer->public_key, "198.51.100.2:2", 15);
	/* ours and back */
	write_ours(originals, f, "203.0.113.9:1", 25);
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	write_ours(originals, f, "198.51.100.2:2", 15);
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	/* the keepalive, of which we wrote another */
	f->peer->keepalive = 7;
	g_assert_true(nat_originals_observe(originals, f->peer, ++now));
	expect(originals, &f->peer->public_key, "198.51.100.2:2", 7);
	/* the first one again, which was never ours */
	set(f, "192.0.2.1:51820");
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	g_assert_true(nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 7);
	/* wg setconf */
	make_anew(f, "198.51.100.3:3", 7);
	g_assert_true(nat_originals_observe(originals, f->peer, ++now));
	expect(originals, &f->peer->public_key, "198.51.100.3:3", 7);
	nat_originals_free(originals);
}

/* We write before it is sure whose word it is. */
static void
test_set_and_overwritten(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	WgPeerChange replace = {
		.public_key = f->peer->public_key,
		.flags = WG_CHANGE_ENDPOINT | WG_CHANGE_REPLACE,
	};
	gint64 now = 1000;

	watch_ours(originals, f, now);
	set(f, "198.51.100.2:2");
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	write_ours(originals, f, "203.0.113.1:1", 25);
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	g_assert_true(nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	expect(originals, &f->peer->public_key, "198.51.100.2:2", 15);

	set(f, "198.51.100.3:3");
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	g_assert_true(wg_endpoint_parse("203.0.113.2:2", &replace.endpoint));
	nat_originals_keep(originals, f->peer, &replace);
	make_anew(f, "203.0.113.2:2", 25);
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	g_assert_true(nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	expect(originals, &f->peer->public_key, "198.51.100.3:3", 15);

	/* it was a packet */
	set(f, "198.51.100.4:4");
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	write_ours(originals, f, "203.0.113.1:1", 25);
	f->peer->rx_bytes += 148;
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	g_assert_false(nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	expect(originals, &f->peer->public_key, "198.51.100.3:3", 15);
	nat_originals_free(originals);
}

static void
test_roams_while_watched(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	WgPeerChange replace = {
		.public_key = f->peer->public_key,
		.flags = WG_CHANGE_ENDPOINT | WG_CHANGE_REPLACE,
	};
	gint64 now = 1000;

	watch_ours(originals, f, now);
	set(f, "198.51.100.2:2");
	f->peer->rx_bytes += 148;
	for (int i = 0; i < 5; i++)
		g_assert_false(
			nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	/* read between the two */
	set(f, "198.51.100.3:3");
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	f->peer->rx_bytes += 148;
	for (int i = 0; i < 5; i++)
		g_assert_false(
			nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	/* the same after we have replaced the peer */
	g_assert_true(wg_endpoint_parse("203.0.113.2:2", &replace.endpoint));
	nat_originals_keep(originals, f->peer, &replace);
	make_anew(f, "198.51.100.4:4", 25);
	g_assert_false(nat_originals_observe(originals, f->peer, ++now));
	f->peer->rx_bytes += 148;
	for (int i = 0; i < 5; i++)
		g_assert_false(
			nat_originals_observe(originals, f->peer, now += NAT_ORIGINALS_CONFIRM_US));
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_free(originals);
}

/* A file of a version that did not remember what it wrote. */
static void
test_older_version(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	g_autofree char *path = NULL, *text = NULL;
	char key[WG_KEY_STRLEN];

	nat_originals_keep(originals, f->peer, NULL);
	path = only_file(f);
	wg_key_format(&f->peer->public_key, key);
	text = g_strdup_printf("[%s]\nendpoint=192.0.2.1:51820\nkeepalive=15\n", key);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	make_anew(f, "203.0.113.1:1", 25);
	originals = run_again(originals, f);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	g_assert_true(
		nat_originals_is_ours(originals, &f->peer->public_key, &f->peer->endpoint, TRUE));
	/* from our first writing on it is known; what was there may have been its */
	write_ours(originals, f, "203.0.113.2:2", 20);
	make_anew(f, "203.0.113.1:1", 25);
	originals = run_again(originals, f);
	g_assert_false(nat_originals_observe(originals, f->peer, 1));
	make_anew(f, "198.51.100.2:2", 40);
	originals = run_again(originals, f);
	g_assert_true(nat_originals_observe(originals, f->peer, 1));
	expect(originals, &f->peer->public_key, "198.51.100.2:2", 40);
	nat_originals_free(originals);
}

/* The file does not grow with the years. */
static void
test_bounded(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	g_autofree char *path = NULL, *text = NULL;
	gsize len;

	for (guint i = 0; i < 100; i++) {
		g_autofree char *endpoint = g_strdup_printf("203.0.113.1:%u", 1 + i);

		write_ours(originals, f, endpoint, (guint16)i);
	}
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	path = only_file(f);
	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	g_assert_cmpuint(len, <, 512);
	nat_originals_free(originals);
}

/* A hub: what is remembered of each does not make the file one that is not read. */
static void
test_many_peers(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);
	g_autofree char *path = NULL;
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i <= NAT_ORIGINALS_WRITTEN; i++) {
		g_autofree char *endpoint =
			g_strdup_printf("[2001:db8:ffff:ffff:ffff:ffff:ffff:fff%u]:51820", 1 + i);

		write_ours(originals, f, endpoint, 10000 + (guint16)i);
	}
	path = only_file(f);
	{
		g_autofree char *one = NULL;

		g_assert_true(g_file_get_contents(path, &one, NULL, NULL));
		g_string_append(text, one);
		for (guint i = 1; i < 2000; i++) {
			char key[WG_KEY_STRLEN];
			WgKey other;

			wg_key_generate_private(&other);
			g_string_append_printf(text, "[%s]%s", wg_key_format(&other, key),
					       strchr(one, ']') + 1);
		}
	}
	g_assert_true(g_file_set_contents(path, text->str, -1, NULL));
	originals = run_again(originals, f);
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_free(originals);
}

#define ADD(name, func) g_test_add(name, Fixture, &warnings, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	guint warnings = 0;

	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(on_log, &warnings, NULL);
	ADD("/originals/first-sight", test_first_sight);
	ADD("/originals/no-endpoint", test_no_endpoint);
	ADD("/originals/survives", test_survives);
	ADD("/originals/per-interface", test_per_interface);
	ADD("/originals/damaged-file", test_damaged_file);
	ADD("/originals/no-directory", test_no_directory);
	ADD("/originals/ours-after-kill", test_ours_after_kill);
	ADD("/originals/new-configuration", test_new_configuration);
	ADD("/originals/roamed-before", test_roamed_before);
	ADD("/originals/set-while-watched", test_set_while_watched);
	ADD("/originals/set-and-overwritten", test_set_and_overwritten);
	ADD("/originals/roams-while-watched", test_roams_while_watched);
	ADD("/originals/older-version", test_older_version);
	ADD("/originals/bounded", test_bounded);
	ADD("/originals/many-peers", test_many_peers);
	return g_test_run();
}
