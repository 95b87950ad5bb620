/* SPDX-License-Identifier: MIT */
/* What an installation does next, and what it has on disk. The rest, over real tunnels, is the
 * lab's scenario innernet-install. */
#include "agent/innernet/inn-install-files.h"
#include "agent/innernet/inn-install.h"
#include "agent/innernet/inn-redeem.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/net-util.h"

/* A server as INNERNET.md describes it, as far as redeeming goes: its clock is moved by hand. */
typedef struct {
	gboolean down, mute, lose_answer, expired, disabled;
	guint entered; /* 0: none, 1: our key, 2: another's */
	gboolean swapped;
	guint redeemed; /* calls that succeeded */
} Server;

static gboolean
opens(const Server *server, gboolean own)
{
	if (server->down)
		return FALSE;
	return own ? server->entered == 1 && server->swapped : !server->swapped;
}

static guint
call_redeem(Server *server)
{
	if (server->mute)
		return 0;
	if (server->entered || server->expired || server->disabled)
		return 401;
	server->entered = 1;
	server->redeemed++;
	return server->lose_answer ? 0 : 204;
}

static guint
call_state(const Server *server, InnRedeemRecord *record)
{
	*record = server->entered == 1	 ? INN_REDEEM_OUR_KEY
		  : server->entered == 2 ? INN_REDEEM_OTHER_KEY
					 : INN_REDEEM_UNNAMED;
	if (server->mute)
		return 0;
	return server->entered && !server->disabled ? 200 : 401;
}

/* One step against the server. */
static void
play(InnRedeem *redeem, Server *server)
{
	InnRedeemRecord record;
	gboolean opened;
	guint status;

	switch (redeem->step) {
	case INN_REDEEM_CONNECT:
		opened = opens(server, redeem->own);
		inn_redeem_connected(redeem, opened);
		/* waiting in vain takes longer than the 5 s */
		server->swapped |= !opened && server->entered;
		break;
	case INN_REDEEM_SEND:
		g_assert_false(redeem->own);
		inn_redeem_sent(redeem, call_redeem(server));
		break;
	case INN_REDEEM_ASK:
		status = call_state(server, &record);
		inn_redeem_asked(redeem, status, record);
		break;
	case INN_REDEEM_WAIT:
		server->swapped = TRUE;
		inn_redeem_waited(redeem);
		break;
	case INN_REDEEM_DONE:
	case INN_REDEEM_FAILED:
		g_assert_not_reached();
	}
	/* a key that the server knows is never given up */
	g_assert_true(redeem->maybe || server->entered != 1);
}

/* To its end, which is near. */
static InnRedeem
played(InnRedeemStart start, Server *server)
{
	InnRedeem redeem;
	guint steps = 0;

	inn_redeem_start(&redeem, start);
	while (redeem.step != INN_REDEEM_DONE && redeem.step != INN_REDEEM_FAILED) {
		g_assert_cmpuint(steps++, <, 20);
		play(&redeem, server);
	}
	return redeem;
}

static void
fails(InnRedeemStart start, Server server, InnRedeemFailure why, gboolean maybe)
{
	InnRedeem redeem = played(start, &server);

	g_assert_cmpint(redeem.step, ==, INN_REDEEM_FAILED);
	g_assert_cmpint(redeem.why, ==, why);
	g_assert_cmpint(redeem.maybe, ==, maybe);
}

static void
redeem_fresh(void)
{
	Server server = {0};
	InnRedeem redeem = played(INN_REDEEM_FRESH, &server);

	g_assert_cmpint(redeem.step, ==, INN_REDEEM_DONE);
	g_assert_true(redeem.entered && redeem.own);
	g_assert_cmpuint(server.redeemed, ==, 1);
}

/* Broken off after any number of steps, with the server's 5 s over or not, and run again. */
static void
redeem_broken_off(void)
{
	for (guint steps = 0; steps < 6; steps++) {
		for (guint over = 0; over < 2; over++) {
			Server server = {0};
			InnRedeem redeem;

			inn_redeem_start(&redeem, INN_REDEEM_FRESH);
			for (guint i = 0; i < steps && redeem.step != INN_REDEEM_DONE; i++)
				play(&redeem, &server);
			if (over && server.entered)
				server.swapped = TRUE;
			redeem = played(redeem.entered ? INN_REDEEM_ENTERED : INN_REDEEM_AGAIN,
					&server);
			g_test_message("%u steps, over %u", steps, over);
			g_assert_cmpint(redeem.step, ==, INN_REDEEM_DONE);
			g_assert_cmpuint(server.redeemed, ==, 1);
		}
	}
}

/* The key is entered, and nobody tells. */
static void
redeem_lost_answer(void)
{
	Server soon = {.lose_answer = TRUE}, late = {.lose_answer = TRUE};
	InnRedeem redeem = played(INN_REDEEM_FRESH, &soon);

	g_assert_cmpint(redeem.step, ==, INN_REDEEM_DONE);
	g_assert_cmpuint(soon.redeemed, ==, 1);
	inn_redeem_start(&redeem, INN_REDEEM_FRESH);
	while (!late.entered)
		play(&redeem, &late);
	late.swapped = TRUE;
	while (redeem.step != INN_REDEEM_DONE && redeem.step != INN_REDEEM_FAILED)
		play(&redeem, &late);
	g_assert_cmpint(redeem.step, ==, INN_REDEEM_DONE);
	g_assert_cmpuint(late.redeemed, ==, 1);
}

static void
redeem_late_swap(void)
{
	Server server = {0};
	InnRedeem redeem;

	inn_redeem_start(&redeem, INN_REDEEM_FRESH);
	while (redeem.step != INN_REDEEM_WAIT)
		play(&redeem, &server);
	inn_redeem_waited(&redeem);
	play(&redeem, &server); /* no handshake: the server still has the invitation's key */
	g_assert_cmpint(redeem.step, ==, INN_REDEEM_CONNECT);
	g_assert_true(redeem.own);
	play(&redeem, &server);
	play(&redeem, &server);
	g_assert_cmpint(redeem.step, ==, INN_REDEEM_DONE);
}

static void
redeem_fails(void)
{
	const Server down = {.down = TRUE}, mute = {.mute = TRUE}, expired = {.expired = TRUE};
	const Server taken = {.entered = 2}, gone = {.entered = 2, .swapped = TRUE};
	const Server disabled = {.entered = 1, .swapped = TRUE, .disabled = TRUE};

	/* where nobody can know our key it may be forgotten */
	fails(INN_REDEEM_FRESH, down, INN_REDEEM_UNREACHABLE, FALSE);
	fails(INN_REDEEM_AGAIN, down, INN_REDEEM_UNREACHABLE, TRUE);
	fails(INN_REDEEM_ENTERED, down, INN_REDEEM_UNREACHABLE, TRUE);
	fails(INN_REDEEM_FRESH, mute, INN_REDEEM_SILENT, TRUE);
	fails(INN_REDEEM_FRESH, expired, INN_REDEEM_EXPIRED, FALSE);
	fails(INN_REDEEM_AGAIN, expired, INN_REDEEM_EXPIRED, TRUE);
	fails(INN_REDEEM_FRESH, taken, INN_REDEEM_TAKEN, FALSE);
	fails(INN_REDEEM_AGAIN, taken, INN_REDEEM_TAKEN, FALSE);
	fails(INN_REDEEM_FRESH, gone, INN_REDEEM_UNREACHABLE, FALSE);
	fails(INN_REDEEM_AGAIN, disabled, INN_REDEEM_DISABLED, TRUE);
}

static void
redeem_strange(void)
{
	static const guint STATUSES[] = {100, 301, 400, 404, 500, 503, 599};
	InnRedeem redeem;

	for (gsize i = 0; i < G_N_ELEMENTS(STATUSES); i++) {
		inn_redeem_start(&redeem, INN_REDEEM_FRESH);
		inn_redeem_connected(&redeem, TRUE);
		inn_redeem_sent(&redeem, STATUSES[i]);
		g_assert_cmpint(redeem.why, ==, INN_REDEEM_STRANGE);
		g_assert_cmpuint(redeem.status, ==, STATUSES[i]);
		g_assert_true(redeem.maybe);
		inn_redeem_start(&redeem, INN_REDEEM_ENTERED);
		inn_redeem_connected(&redeem, TRUE);
		inn_redeem_asked(&redeem, STATUSES[i], INN_REDEEM_UNNAMED);
		g_assert_cmpint(redeem.why, ==, INN_REDEEM_STRANGE);
	}
	/* 200, but not a state that has us */
	inn_redeem_start(&redeem, INN_REDEEM_ENTERED);
	inn_redeem_connected(&redeem, TRUE);
	inn_redeem_asked(&redeem, 200, INN_REDEEM_UNNAMED);
	g_assert_cmpint(redeem.why, ==, INN_REDEEM_STRANGE);
}

typedef struct {
	char *above, *dir, *path, *pending;
	InnConf *invite;
} Fixture;

static InnConf *
conf(const char *address)
{
	g_autofree char *text = g_strdup_printf(
		"[interface]\nnetwork-name = \"evil\"\naddress = \"%s/16\"\n"
		"private-key = \"2BJtLJSEpbx3DAN5aMn3NYXRzmS1sTAr3EUgn5pxX3w=\"\n[server]\n"
		"public-key = \"/wTB5cQR6mD4FB1qSMkCvU0hmFrg0CxSbLtUFSDLmCw=\"\n"
		"external-endpoint = \"a.example:1\"\ninternal-endpoint = \"10.66.0.1:2\"\n",
		address);
	g_autoptr(GError) error = NULL;
	InnConf *parsed = inn_conf_parse(text, strlen(text), "f", &error);

	g_assert_no_error(error);
	return parsed;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->above = g_dir_make_tmp("inn-install-XXXXXX", NULL);
	f->dir = g_build_filename(f->above, "etc", NULL);
	f->path = g_build_filename(f->dir, "evil.conf", NULL);
	f->pending = g_build_filename(f->dir, "evil.conf.install", NULL);
	f->invite = conf("10.66.1.1");
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	g_unlink(f->path);
	g_unlink(f->pending);
	g_rmdir(f->dir);
	g_assert_cmpint(g_rmdir(f->above), ==, 0); /* and so nothing else was left */
	g_free(f->above);
	g_free(f->dir);
	g_free(f->path);
	g_free(f->pending);
	inn_conf_free(f->invite);
}

static InnInstallFiles *
open_files(Fixture *f, InnRedeemStart start)
{
	g_autoptr(GError) error = NULL;
	InnInstallFiles *files = inn_install_files_open(f->invite, f->dir, "evil", &error);

	g_assert_no_error(error);
	g_assert_cmpint(files->start, ==, start);
	g_assert_false(wg_key_equal(&files->own->private_key, &f->invite->private_key));
	return files;
}

static gboolean
is_there(const char *path)
{
	return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The key is on disk from the first moment, and the same one comes back until it is published. */
static void
files_life(Fixture *f, gconstpointer data)
{
	g_autoptr(InnInstallFiles) fresh = open_files(f, INN_REDEEM_FRESH);
	g_autoptr(InnInstallFiles) again = open_files(f, INN_REDEEM_AGAIN);
	g_autoptr(InnInstallFiles) entered = NULL;
	g_autoptr(InnConf) stored = NULL;
	struct stat st;

	g_assert_cmpint(stat(f->pending, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
	g_assert_cmpint(stat(f->dir, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
	g_assert_true(wg_key_equal(&fresh->own->private_key, &again->own->private_key));
	g_assert_true(inn_install_files_publish(again, NULL));
	g_assert_false(is_there(f->pending));
	stored = inn_conf_load(f->path, NULL);
	g_assert_true(wg_key_equal(&stored->private_key, &fresh->own->private_key));
	entered = open_files(f, INN_REDEEM_ENTERED);
	g_assert_true(wg_key_equal(&entered->own->private_key, &fresh->own->private_key));
	g_assert_true(inn_install_files_publish(entered, NULL));
	inn_install_files_forget(entered);
	g_assert_true(is_there(f->path));
}

static void
files_forget(Fixture *f, gconstpointer data)
{
	g_autoptr(InnInstallFiles) files = open_files(f, INN_REDEEM_FRESH);
	g_autoptr(InnInstallFiles) other = NULL;

	inn_install_files_forget(files);
	g_assert_false(is_there(f->pending));
	other = open_files(f, INN_REDEEM_FRESH);
	g_assert_false(wg_key_equal(&files->own->private_key, &other->own->private_key));
}

static void
assert_refused(Fixture *f, GQuark domain, int code, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(inn_install_files_open(f->invite, f->dir, "evil", &error));
	g_assert_error(error, domain, code);
	g_assert_nonnull(strstr(error->message, words));
}

/* What is another's is neither taken nor changed. */
static void
files_others(Fixture *f, gconstpointer data)
{
	g_autoptr(InnConf) other = conf("10.66.1.2"), after = NULL;
	g_autoptr(InnInstallFiles) late = NULL;

	g_assert_cmpint(g_mkdir(f->dir, 0700), ==, 0);
	g_assert_true(inn_conf_create(other, f->pending, NULL));
	assert_refused(f, G_FILE_ERROR, G_FILE_ERROR_EXIST, "begun with another invitation");
	g_assert_cmpint(g_rename(f->pending, f->path), ==, 0);
	assert_refused(f, G_FILE_ERROR, G_FILE_ERROR_EXIST, "choose another --interface");
	g_unlink(f->path);
	g_assert_true(inn_conf_create(f->invite, f->path, NULL));
	assert_refused(f, G_FILE_ERROR, G_FILE_ERROR_EXIST, "the invitation's own key");
	g_unlink(f->path);
	/* it came while we redeemed */
	late = open_files(f, INN_REDEEM_FRESH);
	g_assert_true(inn_conf_create(other, f->path, NULL));
	g_assert_false(inn_install_files_publish(late, NULL));
	after = inn_conf_load(f->path, NULL);
	g_assert_true(wg_endpoint_equal(&after->address, &other->address));
	g_assert_true(is_there(f->pending));
}

static void
files_damaged(Fixture *f, gconstpointer data)
{
	g_assert_cmpint(g_mkdir(f->dir, 0700), ==, 0);
	g_assert_true(
		g_file_set_contents(f->pending, "[interface]\nprivate-key = \"2BJ", -1, NULL));
	assert_refused(f, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "evil.conf.install:2: ");
	g_assert_true(is_there(f->pending));
	g_unlink(f->pending);
	g_assert_true(g_file_set_contents(f->path, "", -1, NULL));
	assert_refused(f, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "evil.conf: ");
}

/* Interrupted between the two halves of a rename, where a file system knows no better. */
static void
files_twins(Fixture *f, gconstpointer data)
{
	g_autoptr(InnInstallFiles) files = open_files(f, INN_REDEEM_FRESH), after = NULL;

	g_assert_cmpint(link(f->pending, f->path), ==, 0);
	after = open_files(f, INN_REDEEM_ENTERED);
	g_assert_false(is_there(f->pending));
}

#define KEY "/wTB5cQR6mD4FB1qSMkCvU0hmFrg0CxSbLtUFSDLmCw="

static void
record(void)
{
	static const char *const NONE[] = {
		"",
		"[]",
		"{}",
		"{\"peers\":7}",
		"{\"peers\":[7,null,{}]}",
		"{\"peers\":[{\"ip\":\"10.66.1.2\",\"public_key\":\"" KEY "\"}]}",
		"{\"peers\":[{\"ip\":\"10.66.1.1\",\"public_key\":\"x\"}]}",
		"{\"peers\":[{\"ip\":\"10.66.1.1\",\"public_key\":null}]}",
		"{\"peers\":[{\"ip\":\"10.66.1.1\",\"public_key\":\"" KEY "\"}]",
	};
	static const char STATE[] =
		"{\"peers\":[{\"id\":1,\"name\":\"innernet-server\",\"ip\":\"10.66.0.1\"},"
		"{\"id\":2,\"name\":\"p\\u001ba\",\"ip\":\"10.66.1.1\",\"public_key\":\"" KEY
		"\"}],\"cidrs\":[]}";
	WgEndpoint us = net_ep("10.66.1.1");
	char text[WG_KEY_STRLEN], *name = NULL;
	WgKey key;

	for (gsize i = 0; i < G_N_ELEMENTS(NONE); i++) {
		g_test_message("%s", NONE[i]);
		g_assert_false(inn_install_find_record(NONE[i], strlen(NONE[i]), &us, &name, &key));
	}
	g_assert_true(inn_install_find_record(STATE, strlen(STATE), &us, &name, &key));
	g_assert_cmpstr(name, ==, "p\\x1ba");
	g_assert_cmpstr(wg_key_format(&key, text), ==, KEY);
	g_free(name);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/install/redeem/fresh", redeem_fresh);
	g_test_add_func("/install/redeem/broken-off", redeem_broken_off);
	g_test_add_func("/install/redeem/lost-answer", redeem_lost_answer);
	g_test_add_func("/install/redeem/late-swap", redeem_late_swap);
	g_test_add_func("/install/redeem/fails", redeem_fails);
	g_test_add_func("/install/redeem/strange", redeem_strange);
	g_test_add("/install/files/life", Fixture, NULL, set_up, files_life, tear_down);
	g_test_add("/install/files/forget", Fixture, NULL, set_up, files_forget, tear_down);
	g_test_add("/install/files/others", Fixture, NULL, set_up, files_others, tear_down);
	g_test_add("/install/files/damaged", Fixture, NULL, set_up, files_damaged, tear_down);
	g_test_add("/install/files/twins", Fixture, NULL, set_up, files_twins, tear_down);
	g_test_add_func("/install/record", record);
	return g_test_run();
}
