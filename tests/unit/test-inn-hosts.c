/* SPDX-License-Identifier: MIT */
/* Never the machine's own file: all of them are below a directory of the test's. */
#include "agent/innernet/inn-hosts.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "agent/innernet/inn-hosts-file.h"
#include "tests/unit/net-util.h"
#include "tests/unit/scratch.h"

#define SEC ((gint64)G_USEC_PER_SEC)
#define BEGIN "# DO NOT EDIT innernet evilcorp BEGIN\n"
#define END "# DO NOT EDIT innernet evilcorp END\n"
#define OTHERS "127.0.0.1\tlocalhost\r\n# mine \xff\n"
#define TWO "10.66.0.1 innernet-server.evilcorp.wg\n10.66.1.1 alice.evilcorp.wg\n"

/* ---- the network ---- */

static void
append_peer(GString *out, const char *name, const char *ip, const char *more)
{
	guint id = 1;
	WgKey key = {{0}};
	char text[WG_KEY_STRLEN];

	for (const char *c = out->str; (c = strchr(c, '{')) != NULL; c++)
		id++;
	memcpy(key.b, &id, sizeof id);
	g_string_append_printf(
		out, "%s{\"id\":%u,\"name\":\"%s\",\"ip\":\"%s\",\"public_key\":\"%s\"%s}",
		out->len > 0 ? "," : "", id, name, ip, wg_key_format(&key, text), more);
}

static InnState *
parse(const GString *peers)
{
	g_autofree char *text = g_strdup_printf("{\"peers\":[%s],\"cidrs\":[]}", peers->str);
	g_autoptr(GError) error = NULL;
	InnState *state = inn_state_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	return state;
}

static InnState *
two_peers(void)
{
	g_autoptr(GString) peers = g_string_new(NULL);

	append_peer(peers, "innernet-server", "10.66.0.1", "");
	append_peer(peers, "alice", "10.66.1.1", "");
	return parse(peers);
}

static InnState *
three_peers(void)
{
	g_autoptr(GString) peers = g_string_new(NULL);

	append_peer(peers, "innernet-server", "10.66.0.1", "");
	append_peer(peers, "alice", "10.66.1.1", "");
	append_peer(peers, "bob", "10.66.1.2", "");
	return parse(peers);
}

/* ---- the section ---- */

static void
expect_section(const InnState *state, const char *network, guint8 prefix, const char *expected)
{
	InnConf conf = {.address = net_ep(network), .prefix = prefix};
	g_autofree char *section = inn_hosts_section("evilcorp", state, &conf);

	g_assert_cmpstr(section, ==, expected);
}

static void
test_section(void)
{
	g_autoptr(GString) peers = g_string_new(NULL);
	g_autoptr(InnState) state = NULL, none = NULL;

	none = parse(peers);
	append_peer(peers, "zoe", "10.66.10.1", "");
	append_peer(peers, "gone", "10.66.1.3", ",\"is_disabled\":true");
	append_peer(peers, "Invited", "10.66.1.4", ",\"is_redeemed\":false");
	append_peer(peers, "Bob-2", "10.66.9.1", "");
	append_peer(peers, "far", "8.8.8.8", "");
	state = parse(peers);
	expect_section(none, "10.66.1.1", 16, "");
	expect_section(state, "10.66.1.1", 16,
		       BEGIN "10.66.9.1 Bob-2.evilcorp.wg\n10.66.10.1 zoe.evilcorp.wg\n" END);
	expect_section(state, "192.168.1.1", 24, "");
}

static void
test_section_v6(void)
{
	g_autoptr(GString) peers = g_string_new(NULL);
	g_autoptr(InnState) state = NULL;

	append_peer(peers, "b", "fd00:0:0:0:0:0:0:10", "");
	append_peer(peers, "a", "fd00::2", "");
	state = parse(peers);
	expect_section(state, "fd00::1", 64,
		       BEGIN "fd00::2 a.evilcorp.wg\nfd00::10 b.evilcorp.wg\n" END);
}

/* The server chooses names: nothing gets past its line, and no name of somebody else's. */
static void
test_strange_names(void)
{
	static const char *const NAMES[] = {"a b",   "a\\n127.0.0.1 bank.example #",
					    "a#",    "a.example.org ",
					    "-a",    "a-",
					    "a\\tb", "\xc3\xa9",
					    "a.b",   "a_b"};
	g_autoptr(GString) peers = g_string_new(NULL);
	g_autofree char *longest = g_strnfill(63, 'x'), *too_long = g_strnfill(64, 'x');
	g_autofree char *expected =
		g_strdup_printf(BEGIN "10.66.2.1 %s.evilcorp.wg\n" END, longest);
	g_autoptr(InnState) state = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		g_autofree char *ip = g_strdup_printf("10.66.1.%u", i + 1);

		append_peer(peers, NAMES[i], ip, "");
	}
	append_peer(peers, longest, "10.66.2.1", "");
	append_peer(peers, too_long, "10.66.2.2", "");
	state = parse(peers);
	expect_section(state, "10.66.1.1", 16, expected);
}

/* ---- a text with it ---- */

static void
expect_insert(const char *text, const char *section, const char *expected)
{
	g_autoptr(GError) error = NULL;
	gsize len = 0;
	g_autofree char *out =
		inn_hosts_insert(text, strlen(text), "evilcorp", section, &len, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(out, ==, expected);
	g_assert_cmpuint(len, ==, strlen(expected));
}

static void
test_insert(void)
{
	static const char NEW[] = BEGIN TWO END, OLD[] = BEGIN "10.66.0.1 x.evilcorp.wg\n" END;
	static const char OTHER[] = "# DO NOT EDIT innernet evilcorp2 BEGIN\n1.1.1.1 one\n"
				    "# DO NOT EDIT innernet evilcorp2 END\n";
	g_autofree char *amid = g_strconcat(OTHERS, OLD, OTHER, "\n\nlast", NULL);
	g_autofree char *amid_new = g_strconcat(OTHERS, NEW, OTHER, "\n\nlast", NULL);
	g_autofree char *amid_none = g_strconcat(OTHERS, OTHER, "\n\nlast", NULL);

	expect_insert("", NEW, BEGIN TWO END);
	expect_insert("\n", NEW, "\n" BEGIN TWO END);
	expect_insert("a\n", NEW, "a\n\n" BEGIN TWO END);
	expect_insert("a\n\n", NEW, "a\n\n" BEGIN TWO END);
	expect_insert("a", NEW, "a\n\n" BEGIN TWO END);
	expect_insert(amid, NEW, amid_new);
	expect_insert(amid_new, NEW, amid_new);
	expect_insert(amid, "", amid_none);
	expect_insert(OTHERS, "", OTHERS);
	/* as an editor may have left them */
	expect_insert("a\n\t# DO NOT EDIT innernet evilcorp BEGIN \r\n1.1.1.1 x\r\n"
		      "# DO NOT EDIT innernet evilcorp END",
		      NEW, "a\n" BEGIN TWO END);
}

static void
test_insert_nul(void)
{
	static const char TEXT[] = "a\0b\n" BEGIN END "c\0";
	static const char EXPECTED[] = "a\0b\n" BEGIN TWO END "c\0";
	gsize len = 0;
	g_autofree char *out =
		inn_hosts_insert(TEXT, sizeof TEXT - 1, "evilcorp", BEGIN TWO END, &len, NULL);

	g_assert_cmpmem(out, len, EXPECTED, sizeof EXPECTED - 1);
}

static void
test_damaged(void)
{
	static const char *const TEXTS[] = {BEGIN "x\n", "x\n" END, END BEGIN, BEGIN END BEGIN END,
					    BEGIN BEGIN END};

	for (guint i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
		g_autoptr(GError) error = NULL;
		gsize len = 0;

		g_assert_null(inn_hosts_insert(TEXTS[i], strlen(TEXTS[i]), "evilcorp",
					       BEGIN TWO END, &len, &error));
		g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
		g_assert_null(strchr(error->message, '\n'));
	}
}

/* ---- the file ---- */

typedef struct {
	char *dir, *path;
	InnHosts *hosts;
	InnState *two, *three;
	InnConf conf;
	gint64 now;
} Fixture;

static guint warnings; /* the log writer has no other way to tell */

static GLogWriterOutput
count_warnings(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	warnings += (level & G_LOG_LEVEL_WARNING) != 0;
	return G_LOG_WRITER_HANDLED;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->dir = g_dir_make_tmp("inn-hosts-XXXXXX", NULL);
	f->path = g_build_filename(f->dir, "hosts", NULL);
	f->hosts = inn_hosts_new("evilcorp", f->path);
	f->two = two_peers();
	f->three = three_peers();
	f->conf.address = net_ep("10.66.1.1");
	f->conf.prefix = 16;
	f->now = 1000 * SEC;
	warnings = 0;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	static const char *const NAMES[] = {"hosts", "other"};

	inn_hosts_free(f->hosts);
	inn_state_free(f->two);
	inn_state_free(f->three);
	for (guint i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		g_autofree char *path = g_build_filename(f->dir, NAMES[i], NULL);

		g_unlink(path);
	}
	/* no leftovers */
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
	g_free(f->path);
}

static void
put(const Fixture *f, const char *text)
{
	g_assert_true(g_file_set_contents(f->path, text, -1, NULL));
}

static void
sets(Fixture *f, const InnState *state)
{
	f->now += 2 * SEC;
	inn_hosts_set(f->hosts, state, &f->conf, f->now);
}

static void
expect_text(const Fixture *f, const char *expected)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(f->path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, expected);
}

static struct stat
stat_of(const Fixture *f)
{
	struct stat st;

	g_assert_cmpint(stat(f->path, &st), ==, 0);
	return st;
}

static gboolean
same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void
test_written(Fixture *f, gconstpointer data)
{
	gboolean attributed;
	char value[8] = {0};
	struct stat before, after;

	put(f, OTHERS);
	g_assert_cmpint(chmod(f->path, 0640), ==, 0);
	if (geteuid() == 0)
		g_assert_cmpint(chown(f->path, 7, 8), ==, 0);
	attributed = setxattr(f->path, "user.kept", "yes", 3, 0) == 0;
	before = stat_of(f);
	sets(f, f->two);
	expect_text(f, OTHERS "\n" BEGIN TWO END);
	after = stat_of(f);
	g_assert_cmpuint(after.st_ino, !=, before.st_ino);
	g_assert_cmpuint(after.st_mode, ==, before.st_mode);
	g_assert_cmpuint(after.st_uid, ==, before.st_uid);
	g_assert_cmpuint(after.st_gid, ==, before.st_gid);
	if (attributed) {
		g_assert_cmpint(getxattr(f->path, "user.kept", value, sizeof value), ==, 3);
		g_assert_cmpstr(value, ==, "yes");
	}
	sets(f, f->three);
	expect_text(f, OTHERS "\n" BEGIN TWO "10.66.1.2 bob.evilcorp.wg\n" END);
	g_assert_cmpuint(warnings, ==, 0);
}

/* Not by a run before either, nor where innernet wrote the same. */
static void
test_unchanged(Fixture *f, gconstpointer data)
{
	struct stat before, after;

	put(f, "a\n" BEGIN TWO END "b\n");
	before = stat_of(f);
	sets(f, f->two);
	sets(f, f->two);
	after = stat_of(f);
	g_assert_cmpuint(after.st_ino, ==, before.st_ino);
	g_assert_true(same_time(&after, &before));
	expect_text(f, "a\n" BEGIN TWO END "b\n");
}

static void
test_put_back(Fixture *f, gconstpointer data)
{
	put(f, "a\n");
	sets(f, f->two);
	put(f, "a\nb\n");
	sets(f, f->two);
	expect_text(f, "a\nb\n\n" BEGIN TWO END);
}

static void
test_missing(Fixture *f, gconstpointer data)
{
	g_autoptr(GString) nobody = g_string_new(NULL);
	g_autoptr(InnState) none = parse(nobody);

	sets(f, none);
	g_assert_cmpuint(scratch_count(f->dir), ==, 0);
	sets(f, f->two);
	expect_text(f, BEGIN TWO END);
	g_assert_cmpuint(stat_of(f).st_mode & 07777, ==, 0644);
	sets(f, none);
	expect_text(f, "");
	g_assert_cmpuint(warnings, ==, 0);
}

static void
test_never(Fixture *f, gconstpointer data)
{
	InnHosts *none = inn_hosts_new("evilcorp", NULL);

	inn_hosts_set(none, f->two, &f->conf, f->now);
	inn_hosts_free(none);
	none = inn_hosts_new("a b", f->path);
	g_assert_cmpuint(warnings, ==, 1);
	inn_hosts_set(none, f->two, &f->conf, f->now);
	inn_hosts_free(none);
	g_assert_cmpuint(scratch_count(f->dir), ==, 0);
}

/* A container's: the name is a mount point, so it can't be renamed over. */
static void
test_bind_mount(Fixture *f, gconstpointer data)
{
	g_autofree char *other = g_build_filename(f->dir, "other", NULL);
	struct stat before, after;

	if (unshare(CLONE_NEWNS) < 0) {
		g_test_skip("needs root");
		return;
	}
	g_assert_cmpint(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
	put(f, "below\n");
	g_assert_true(g_file_set_contents(other, OTHERS BEGIN END "a\n", -1, NULL));
	g_assert_cmpint(chmod(other, 0604), ==, 0);
	g_assert_cmpint(mount(other, f->path, NULL, MS_BIND, NULL), ==, 0);
	before = stat_of(f);
	sets(f, f->three);
	expect_text(f, OTHERS BEGIN TWO "10.66.1.2 bob.evilcorp.wg\n" END "a\n");
	sets(f, f->two); /* shorter */
	expect_text(f, OTHERS BEGIN TWO END "a\n");
	after = stat_of(f);
	g_assert_cmpuint(after.st_ino, ==, before.st_ino);
	g_assert_cmpuint(after.st_mode, ==, before.st_mode);
	sets(f, f->two);
	before = stat_of(f);
	g_assert_true(same_time(&after, &before));
	g_assert_cmpuint(scratch_count(f->dir), ==, 2);
	g_assert_cmpuint(warnings, ==, 0);
	g_assert_cmpint(umount2(f->path, MNT_DETACH), ==, 0);
	expect_text(f, "below\n");
}

/* The directory is read-only, and the file is not. */
static void
test_read_only_dir(Fixture *f, gconstpointer data)
{
	g_autofree char *other = g_build_filename(f->dir, "other", NULL);

	if (unshare(CLONE_NEWNS) < 0) {
		g_test_skip("needs root");
		return;
	}
	g_assert_cmpint(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
	put(f, "below\n");
	g_assert_true(g_file_set_contents(other, "a\n", -1, NULL));
	g_assert_cmpint(mount(f->dir, f->dir, NULL, MS_BIND, NULL), ==, 0);
	g_assert_cmpint(mount(other, f->path, NULL, MS_BIND, NULL), ==, 0);
	g_assert_cmpint(mount(NULL, f->dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), ==, 0);
	sets(f, f->two);
	expect_text(f, "a\n\n" BEGIN TWO END);
	g_assert_cmpuint(warnings, ==, 0);
	g_assert_cmpint(umount2(f->dir, MNT_DETACH), ==, 0);
}

/* Whoever made the link would decide what we write, or what we wait for. */
static void
test_strange_files(Fixture *f, gconstpointer data)
{
	g_autofree char *other = g_build_filename(f->dir, "other", NULL);

	g_assert_true(g_file_set_contents(other, "a\n", -1, NULL));
	g_assert_cmpint(symlink("other", f->path), ==, 0);
	sets(f, f->two);
	expect_text(f, "a\n");
	g_assert_true(g_file_test(f->path, G_FILE_TEST_IS_SYMLINK));
	g_assert_cmpuint(warnings, ==, 1);
	g_unlink(f->path);
	g_assert_cmpint(mkfifo(f->path, 0600), ==, 0);
	alarm(10);
	sets(f, f->three);
	alarm(0);
	g_assert_cmpuint(scratch_count(f->dir), ==, 2);
}

/* One warning, whatever comes again; and all is well when its cause is gone. */
static void
test_failing(Fixture *f, gconstpointer data)
{
	put(f, "a\n" BEGIN);
	for (guint i = 0; i < 200; i++)
		sets(f, i % 2 ? f->two : f->three);
	expect_text(f, "a\n" BEGIN);
	g_assert_cmpuint(warnings, ==, 1);
	put(f, "a\n");
	for (guint i = 0; i < 40; i++)
		sets(f, f->two);
	expect_text(f, "a\n\n" BEGIN TWO END);
	put(f, "a\n" BEGIN);
	sets(f, f->two);
	g_assert_cmpuint(warnings, ==, 2);
}

/* Another writer, who comes each time that a new file is whole and does not have its name yet. */
static struct {
	const char *path;
	guint left, came;
} other_writer;

/* In the place of the library's: what is tested calls this one. */
int
fsync(int fd)
{
	if (other_writer.left > 0) {
		g_autofree char *text = g_strdup_printf("a\n# %u\n", ++other_writer.came);

		other_writer.left--;
		g_assert_true(g_file_set_contents_full(other_writer.path, text, -1,
						       G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	}
	return (int)syscall(SYS_fsync, fd);
}

static void
test_overtaken(Fixture *f, gconstpointer data)
{
	put(f, "a\n");
	other_writer.path = f->path;
	other_writer.left = 2;
	sets(f, f->two);
	expect_text(f, "a\n# 2\n\n" BEGIN TWO END);
	g_assert_cmpuint(warnings, ==, 0);
	/* not for ever */
	other_writer.left = 100;
	sets(f, f->three);
	g_assert_cmpuint(other_writer.left, >, 90);
	other_writer.left = 0;
	g_assert_cmpuint(warnings, ==, 1);
	g_assert_cmpuint(scratch_count(f->dir), ==, 1);
}

#define HOSTS(name, func) g_test_add("/inn-hosts/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(count_warnings, NULL, NULL);
	g_test_add_func("/inn-hosts/section", test_section);
	g_test_add_func("/inn-hosts/section-v6", test_section_v6);
	g_test_add_func("/inn-hosts/strange-names", test_strange_names);
	g_test_add_func("/inn-hosts/insert", test_insert);
	g_test_add_func("/inn-hosts/insert-nul", test_insert_nul);
	g_test_add_func("/inn-hosts/damaged", test_damaged);
	HOSTS("written", test_written);
	HOSTS("unchanged", test_unchanged);
	HOSTS("put-back", test_put_back);
	HOSTS("missing", test_missing);
	HOSTS("never", test_never);
	HOSTS("bind-mount", test_bind_mount);
	HOSTS("read-only-dir", test_read_only_dir);
	HOSTS("strange-files", test_strange_files);
	HOSTS("failing", test_failing);
	HOSTS("overtaken", test_overtaken);
	return g_test_run();
}
