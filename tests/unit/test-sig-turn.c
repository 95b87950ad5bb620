/* SPDX-License-Identifier: MIT */
/* What is handed out for relays: credentials against a vector, and what the user may write. */
#include "signaling/sig-turn.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define NOW 1790000000

static const char *const URIS[] = {"turn:192.0.2.7:3478?transport=udp", "turns:relay.example:443",
				   NULL};

static void
make(const SigTurn *turn, const WgKey *key, gint64 now, SigFrame *out)
{
	g_autofree char *text = sig_turn_frame(turn, key, now);

	sig_frame_clear(out);
	g_assert_true(sig_wire_decode(text, strlen(text), out, NULL));
	g_assert_cmpint(out->type, ==, SIG_FRAME_TURN);
}

/* The vector of PROTOCOL.md, made with another implementation of both hashes. */
static void
test_vector(void)
{
	g_autoptr(SigTurn) turn = sig_turn_new(URIS, "north", 3600);
	g_auto(SigFrame) frame = {0};
	WgKey key;

	g_assert_true(wg_key_parse("B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=", &key));
	make(turn, &key, NOW, &frame);
	g_assert_cmpstr(frame.turn.username, ==, "1790003600:bbfa22e2c433ab04");
	g_assert_cmpstr(frame.turn.password, ==, "pyFKp8UZDG97QKhpukLjpmp+ap4=");
	g_assert_cmpuint(frame.turn.ttl_s, ==, 3600);
	g_assert_cmpstrv(frame.turn.uris, URIS);
}

/* One key is one user to the relay's quotas, whenever it asks; another is another. */
static void
test_tag(void)
{
	g_autoptr(SigTurn) turn = sig_turn_new(URIS, "north", 60);
	g_auto(SigFrame) first = {0}, later = {0}, other = {0};
	WgKey a = {{1}}, b = {{2}};

	make(turn, &a, NOW, &first);
	make(turn, &a, NOW + 30, &later);
	make(turn, &b, NOW, &other);
	g_assert_cmpstr(first.turn.username, !=, later.turn.username);
	g_assert_cmpstr(first.turn.password, !=, later.turn.password);
	g_assert_cmpstr(strchr(first.turn.username, ':'), ==, strchr(later.turn.username, ':'));
	g_assert_cmpstr(strchr(first.turn.username, ':'), !=, strchr(other.turn.username, ':'));
	g_assert_cmpuint(strlen(strchr(first.turn.username, ':')), ==, 1 + 16);
}

static void
test_uris(void)
{
	static const char *const good[] = {
		"turn:relay.example",
		"turn:relay.example:3478",
		"turn:192.0.2.7:3478?transport=udp",
		"turn:[2001:db8::7]?transport=tcp",
		"turn:[2001:db8::7]:3478",
		"turns:relay.example:443",
		"turns:relay.example?transport=tcp",
	};
	static const char *const bad[] = {
		"",
		"relay.example",
		"stun:relay.example",
		"turn:",
		"turn:?transport=udp",
		"turn::3478",
		"turn://relay.example",
		"turn:relay.example:0",
		"turn:relay.example:65536",
		"turn:relay.example:",
		"turn:relay.example:1:2",
		"turn:relay.example?",
		"turn:relay.example?transport=tls",
		"turn:relay.example?transport=udp&x=1",
		"turns:relay.example?transport=udp",
		"turn:relay example",
		"turn:[::1",
		"turn:[relay]",
		"turn:[::1]x",
		"turn:[fe80::1%1]",
		"turn:2001:db8::7",
	};
	g_autofree char *name = g_strnfill(SIG_WIRE_TURN_URI_MAX, 'a');
	g_autofree char *longer = g_strconcat("turn:", name, NULL);

	for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;

		sig_turn_check_uri(good[i], &error);
		g_assert_no_error(error);
	}
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		if (sig_turn_check_uri(bad[i], &error))
			g_error("accepted: %s", bad[i]);
		g_assert_nonnull(strstr(error->message, bad[i]));
		g_assert_null(strchr(error->message, '\n'));
	}
	g_assert_false(sig_turn_check_uri(longer, NULL));
}

/* What somebody took for the place of the password is not shown to whoever reads the log. */
static void
test_uri_with_credentials(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(sig_turn_check_uri("turn:me:hush@relay.example", &error));
	g_assert_nonnull(strstr(error->message, "--turn-secret-file"));
	g_assert_null(strstr(error->message, "hush"));
}

/* The secret of a file with this text; NULL when it is refused with these words. */
static char *
read_text(const char *text, gssize len, int mode, gboolean *readable, const char *words)
{
	g_autofree char *dir = g_dir_make_tmp("sig-turn-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(dir, "secret", NULL);
	g_autoptr(GError) error = NULL;
	char *secret;

	g_assert_true(g_file_set_contents(file, text, len, NULL));
	g_assert_cmpint(g_chmod(file, mode), ==, 0);
	secret = sig_turn_read_secret(file, readable, &error);
	g_assert_true((secret == NULL) == (words != NULL));
	if (words) {
		g_assert_nonnull(strstr(error->message, file));
		g_assert_nonnull(strstr(error->message, words));
		g_assert_null(strchr(error->message, '\n'));
	}
	g_unlink(file);
	g_rmdir(dir);
	return secret;
}

static void
test_secret(void)
{
	gboolean readable = TRUE;
	g_autofree char *longest = g_strnfill(SIG_TURN_SECRET_MAX, 's');
	g_autofree char *longer = g_strnfill(SIG_TURN_SECRET_MAX + 1, 's');
	g_autofree char *longest_line = g_strconcat(longest, "\r\n", NULL);
	g_autofree char *plain = read_text("north", -1, 0640, &readable, NULL);
	g_autofree char *line = NULL, *spaced = NULL, *full = NULL;

	g_assert_cmpstr(plain, ==, "north");
	g_assert_false(readable);
	line = read_text("north\n", -1, 0644, &readable, NULL);
	g_assert_cmpstr(line, ==, "north");
	g_assert_true(readable);
	spaced = read_text(" no rth \n", -1, 0600, NULL, NULL);
	g_assert_cmpstr(spaced, ==, " no rth ");
	full = read_text(longest_line, -1, 0600, NULL, NULL);
	g_assert_cmpstr(full, ==, longest);
	read_text("", 0, 0600, NULL, "is empty");
	read_text("\n", -1, 0600, NULL, "is empty");
	read_text("\r\n", -1, 0600, NULL, "is empty");
	read_text("a\nb\n", -1, 0600, NULL, "more than one line");
	read_text("a\n\n", -1, 0600, NULL, "more than one line");
	read_text("a\0b", 3, 0600, NULL, "control characters");
	read_text(longer, -1, 0600, NULL, "255 bytes");
}

static void
test_no_secret(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sig_turn_read_secret("/no/such/file", NULL, &error));
	g_assert_nonnull(strstr(error->message, "/no/such/file"));
	g_clear_error(&error);
	g_assert_null(sig_turn_read_secret("/", NULL, &error));
	g_assert_nonnull(strstr(error->message, "directory"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/turn/vector", test_vector);
	g_test_add_func("/sig/turn/tag", test_tag);
	g_test_add_func("/sig/turn/uris", test_uris);
	g_test_add_func("/sig/turn/uri-with-credentials", test_uri_with_credentials);
	g_test_add_func("/sig/turn/secret", test_secret);
	g_test_add_func("/sig/turn/no-secret", test_no_secret);
	return g_test_run();
}
