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
	nat_originals_keep(originals, f->peer);
	g_assert_true(wg_endpoint_parse("[2001:db8::9]:9", &f->peer->endpoint));
	f->peer->keepalive = 25;
	nat_originals_keep(originals, f->peer);
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_free(originals);
}

static void
test_no_endpoint(Fixture *f, gconstpointer data)
{
	NatOriginals *originals = nat_originals_new(f->dir, &f->own);

	memset(&f->peer->endpoint, 0, sizeof f->peer->endpoint);
	f->peer->keepalive = 0;
	nat_originals_keep(originals, f->peer);
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
	nat_originals_keep(first, f->peer);
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

	nat_originals_keep(mine, f->peer);
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
	nat_originals_keep(originals, f->peer);
	nat_originals_free(originals);
	path = only_file(f);
	g_assert_true(g_file_set_contents(path, "\x01 no key file [", -1, NULL));
	originals = nat_originals_new(f->dir, &f->own);
	g_assert_cmpuint(*warnings, ==, before + 1);
	g_assert_false(knows(originals, &f->peer->public_key));
	nat_originals_keep(originals, f->peer);
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
	nat_originals_keep(originals, f->peer);
	expect(originals, &f->peer->public_key, "192.0.2.1:51820", 15);
	nat_originals_forget(originals, &f->peer->public_key);
	g_assert_false(knows(originals, &f->peer->public_key));
	g_assert_cmpuint(*warnings, ==, before + 1);
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
	return g_test_run();
}
