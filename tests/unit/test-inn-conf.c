/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-conf.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/net-util.h"
#include "tests/unit/scratch.h"

#define PRIVATE "2BJtLJSEpbx3DAN5aMn3NYXRzmS1sTAr3EUgn5pxX3w="
#define PUBLIC "/wTB5cQR6mD4FB1qSMkCvU0hmFrg0CxSbLtUFSDLmCw="

#define INTERFACE                                                                                  \
	"[interface]\n"                                                                            \
	"network-name = \"evilcorp\"\n"                                                            \
	"address = \"10.66.1.1/16\"\n"                                                             \
	"private-key = \"" PRIVATE "\"\n"
#define SERVER                                                                                     \
	"\n[server]\n"                                                                             \
	"public-key = \"" PUBLIC "\"\n"                                                            \
	"external-endpoint = \"198.51.100.1:51820\"\n"                                             \
	"internal-endpoint = \"10.66.0.1:51820\"\n"
#define FILE_TEXT INTERFACE SERVER

static InnConf *
parsed(const char *text)
{
	g_autoptr(GError) error = NULL;
	InnConf *conf = inn_conf_parse(text, strlen(text), "f", &error);

	g_assert_no_error(error);
	g_assert_nonnull(conf);
	return conf;
}

static void
refused(const char *text, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_test_message("%s", text);
	g_assert_null(inn_conf_parse(text, strlen(text), "f", &error));
	g_assert_cmpstr(error->message, ==, message);
	g_assert_null(strstr(error->message, PRIVATE));
}

static void
assert_address(const WgEndpoint *ep, const char *text)
{
	WgEndpoint expected = net_ep(text);

	g_assert_true(wg_endpoint_equal(ep, &expected));
}

/* An invitation, its comment included, and what a later innernet may add. */
static void
file(void)
{
	g_autoptr(InnConf) conf = parsed("# This is an invitation.\n" INTERFACE
					 "listen-port = 40000\nmtu = 1300\n" SERVER
					 "keepalive = [1.5]\n[hooks]\nup = { x = 1 }\n");
	char buf[WG_KEY_STRLEN];

	g_assert_cmpstr(conf->network_name, ==, "evilcorp");
	assert_address(&conf->address, "10.66.1.1");
	g_assert_cmpuint(conf->prefix, ==, 16);
	g_assert_cmpstr(wg_key_format(&conf->private_key, buf), ==, PRIVATE);
	g_assert_cmpuint(conf->listen_port, ==, 40000);
	g_assert_cmpstr(wg_key_format(&conf->server_key, buf), ==, PUBLIC);
	g_assert_cmpstr(conf->server_host, ==, "198.51.100.1");
	g_assert_cmpuint(conf->server_port, ==, 51820);
	assert_address(&conf->server_internal, "10.66.0.1:51820");
}

static char *
with(const char *text, const char *from, const char *to)
{
	g_auto(GStrv) parts = g_strsplit(text, from, 2);

	g_assert_cmpuint(g_strv_length(parts), ==, 2);
	return g_strjoinv(to, parts);
}

static void
v6(void)
{
	g_autofree char *a = with(FILE_TEXT, "10.66.1.1/16", "fd00:66::1:1/64");
	g_autofree char *b = with(a, "198.51.100.1:51820", "[2001:db8::1]:7");
	g_autofree char *text = with(b, "10.66.0.1:51820", "[fd00:66::1]:8");
	g_autoptr(InnConf) conf = parsed(text);

	assert_address(&conf->address, "fd00:66::1:1");
	g_assert_cmpuint(conf->prefix, ==, 64);
	g_assert_cmpstr(conf->server_host, ==, "2001:db8::1");
	g_assert_cmpuint(conf->server_port, ==, 7);
	assert_address(&conf->server_internal, "[fd00:66::1]:8");
}

static void
bad_values(void)
{
	static const char NET[] =
		"f:3: address: not a host's address and its network's prefix, as \"10.66.1.1/16\"";
	static const char KEY[] =
		"f:4: private-key: not a key of WireGuard: 44 characters of base64";
	static const char EXTERNAL[] =
		"f:8: external-endpoint: not a host and a port: write \"host:51820\", "
		"\"192.0.2.1:51820\" or \"[2001:db8::1]:51820\"";
	static const char INTERNAL[] =
		"f:9: internal-endpoint: not an address and a port, as \"10.66.0.1:51820\"";
	static const struct {
		const char *from, *to, *message;
	} BAD[] = {
		{"10.66.1.1/16", "10.66.1.1", NET},
		{"10.66.1.1/16", "10.66.1.1/", NET},
		{"10.66.1.1/16", "10.66.1.1/33", NET},
		{"10.66.1.1/16", "10.66.1.1/0", NET},
		{"10.66.1.1/16", "10.66.1.1/+8", NET},
		{"10.66.1.1/16", "127.0.0.1/8", NET},
		{"10.66.1.1/16", "fe80::1%1/64", NET},
		{"10.66.1.1/16", "::1/129", NET},
		{"\"10.66.1.1/16\"", "7",
		 "f:3: address: not a text in quotes, as \"10.66.1.1/16\""},
		{"X3w=", "X3w", KEY},
		{"X3w=", "X3x=", KEY},
		{PRIVATE, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		 "f:4: private-key: all zero is no key"},
		{"evilcorp", "", "f:2: network-name: it is empty"},
		{"198.51.100.1:51820", "198.51.100.1", EXTERNAL},
		{"198.51.100.1:51820", ":51820", EXTERNAL},
		{"198.51.100.1:51820", "a:0", EXTERNAL},
		{"198.51.100.1:51820", "a:65536", EXTERNAL},
		{"198.51.100.1:51820", "a b:1", EXTERNAL},
		{"198.51.100.1:51820", "a..b:1", EXTERNAL},
		{"198.51.100.1:51820", "a/b:1", EXTERNAL},
		{"198.51.100.1:51820", "2001:db8::1:1", EXTERNAL},
		{"198.51.100.1:51820", "[192.0.2.1]:1", EXTERNAL},
		{"198.51.100.1:51820", "[fe80::1%2]:1", EXTERNAL},
		{"10.66.0.1:51820", "host:1", INTERNAL},
		{"10.66.0.1:51820", "10.66.0.1:0", INTERNAL},
		{"10.66.0.1:51820", "0.0.0.0:1", INTERNAL},
		{"network-name", "network_name",
		 "f: network-name is missing in [interface]: write network-name = \"evilcorp\""},
		{"internal-endpoint", "x",
		 "f: internal-endpoint is missing in [server]: write internal-endpoint = "
		 "\"10.66.0.1:51820\""},
		{"[server]", "[other]",
		 "f: [server] is missing: not a file of innernet, or a damaged one"},
		{"[server]", "[[server]]",
		 "f: [server] is missing: not a file of innernet, or a damaged one"},
		{"[interface]\n", "",
		 "f: [interface] is missing: not a file of innernet, or a damaged one"},
		{"[interface]\n", "interface = {}\n[x]\n",
		 "f:1: write [interface] in a line of its own, and its keys below"},
		{"\n[server]", "listen-port = \"7\"\n[server]",
		 "f:5: listen-port: not a port: a number up to 65535, no quotes"},
		{"\n[server]", "listen-port = 65536\n[server]",
		 "f:5: listen-port: not a port: a number up to 65535, no quotes"},
		{"\n[server]", "listen-port = -1\n[server]",
		 "f:5: listen-port: not a port: a number up to 65535, no quotes"},
		{"\n[server]", "[peer-endpoint-overrides]\nx = \"a:1\"\n[server]",
		 "f:6: not an override: write \"10.66.1.2\" = \"192.0.2.1:51820\""},
		{"\n[server]", "[peer-endpoint-overrides]\n\"10.66.1.2\" = \"a\"\n[server]",
		 "f:6: not an override: write \"10.66.1.2\" = \"192.0.2.1:51820\""},
		{"address = \"", "address = \"\"\"",
		 "f:3: a string of several lines is not read here: write it in one"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autofree char *text = with(FILE_TEXT, BAD[i].from, BAD[i].to);

		refused(text, BAD[i].message);
	}
	refused("", "f: [interface] is missing: not a file of innernet, or a damaged one");
}

/* What a device says back is what is compared: another private key of the same public one. */
static void
clamped(void)
{
	g_autofree char *text = with(FILE_TEXT, "\"2BJ", "\"3xJ");
	g_autoptr(InnConf) conf = parsed(text);
	char buf[WG_KEY_STRLEN];

	g_assert_cmpstr(wg_key_format(&conf->private_key, buf), ==, PRIVATE);
}

static void
split(void)
{
	static const struct {
		const char *text, *host;
		guint16 port;
	} GOOD[] = {
		{"vpn.example.org:51820", "vpn.example.org", 51820},
		{"a_b-c.:1", "a_b-c.", 1},
		{"[::ffff:102:304]:5", "::ffff:102:304", 5},
		{"b\xc3\xbc"
		 "cher.example:9",
		 "xn--bcher-kva.example", 9},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(GOOD); i++) {
		g_autofree char *host = NULL;
		guint16 port = 0;

		g_assert_true(inn_conf_split_endpoint(GOOD[i].text, &host, &port, NULL));
		g_assert_cmpstr(host, ==, GOOD[i].host);
		g_assert_cmpuint(port, ==, GOOD[i].port);
	}
}

static void
assert_same(const InnConf *a, const InnConf *b)
{
	g_assert_cmpstr(a->network_name, ==, b->network_name);
	g_assert_true(wg_endpoint_equal(&a->address, &b->address));
	g_assert_cmpuint(a->prefix, ==, b->prefix);
	g_assert_true(wg_key_equal(&a->private_key, &b->private_key));
	g_assert_cmpuint(a->listen_port, ==, b->listen_port);
	g_assert_true(wg_key_equal(&a->server_key, &b->server_key));
	g_assert_cmpstr(a->server_host, ==, b->server_host);
	g_assert_cmpuint(a->server_port, ==, b->server_port);
	g_assert_true(wg_endpoint_equal(&a->server_internal, &b->server_internal));
}

typedef struct {
	char *dir, *path;
} Dir;

static void
set_up(Dir *dir, gconstpointer data)
{
	dir->dir = g_dir_make_tmp("inn-conf-XXXXXX", NULL);
	dir->path = g_build_filename(dir->dir, "evilcorp.conf", NULL);
}

static void
tear_down(Dir *dir, gconstpointer data)
{
	scratch_remove(dir->dir);
	g_free(dir->path);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	g_assert_cmpint(stat(path, &st), ==, 0);
	return st.st_mode & 07777;
}

static char *
contents(const char *path)
{
	char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return text;
}

/* Letter by letter what innernet writes, private whatever the umask; never over another file. */
static void
create(Dir *dir, gconstpointer data)
{
	g_autoptr(InnConf) conf = parsed(FILE_TEXT), back = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	mode_t mask = umask(0);

	g_assert_true(inn_conf_create(conf, dir->path, &error));
	umask(mask);
	g_assert_no_error(error);
	text = contents(dir->path);
	g_assert_cmpstr(text, ==, FILE_TEXT);
	g_assert_cmpuint(mode_of(dir->path), ==, 0600);
	g_assert_cmpuint(scratch_count(dir->dir), ==, 1);
	back = inn_conf_load(dir->path, &error);
	g_assert_no_error(error);
	assert_same(conf, back);
	conf->prefix = 8;
	g_assert_false(inn_conf_create(conf, dir->path, &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST);
	g_assert_cmpuint(scratch_count(dir->dir), ==, 1);
	g_free(g_steal_pointer(&text));
	text = contents(dir->path);
	g_assert_cmpstr(text, ==, FILE_TEXT);
}

static void
create_strange(Dir *dir, gconstpointer data)
{
	g_autofree char *a = with(FILE_TEXT, "evilcorp", "evil \\\"corp\\\"\\u0001 \\\\");
	g_autofree char *b = with(a, "198.51.100.1", "[2001:db8::1]");
	g_autofree char *c = with(b, "10.66.1.1/16", "fd00:66::1/48");
	g_autofree char *text = with(c, "\n[server]", "listen-port = 7\n[server]");
	g_autoptr(InnConf) conf = parsed(text);
	g_autoptr(InnConf) back = NULL;

	g_assert_true(inn_conf_create(conf, dir->path, NULL));
	back = inn_conf_load(dir->path, NULL);
	assert_same(conf, back);
}

static void
load_bad(Dir *dir, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *big = g_strnfill(INN_CONF_MAX + 5, '#');

	g_assert_null(inn_conf_load(dir->path, &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
	g_assert_nonnull(strstr(error->message, dir->path));
	g_clear_error(&error);
	g_assert_null(inn_conf_load(dir->dir, &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_ISDIR);
	g_clear_error(&error);
	/* nobody writes into it: a reader that waits would wait for ever */
	g_assert_cmpint(mkfifo(dir->path, 0600), ==, 0);
	g_assert_null(inn_conf_load(dir->path, &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL);
	g_clear_error(&error);
	g_unlink(dir->path);
	g_assert_true(g_file_set_contents(dir->path, big, -1, NULL));
	g_assert_null(inn_conf_load(dir->path, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	g_assert_nonnull(strstr(error->message, "more than 64 kB"));
}

static InnOverride
override(const char *address, const char *endpoint)
{
	InnOverride o = {.address = net_ep(address)};

	if (endpoint)
		o.endpoint = net_ep(endpoint);
	return o;
}

static void
overridden(const char *text, const InnOverride *overrides, gsize n, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *out = inn_conf_override(text, strlen(text), "f", overrides, n, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(out, ==, expected);
}

#define OVERRIDES "[peer-endpoint-overrides]\n"

static void
override_new(void)
{
	const InnOverride two[] = {override("10.66.1.2", "203.0.113.77:7"),
				   override("10.66.1.9", NULL),
				   override("fd00::2", "[2001:db8::1]:9")};

	overridden(FILE_TEXT, two, 3,
		   FILE_TEXT "\n" OVERRIDES "\"10.66.1.2\" = \"203.0.113.77:7\"\n"
			     "\"fd00::2\" = \"[2001:db8::1]:9\"\n");
	/* the last line lacks its end */
	overridden(FILE_TEXT "# x", two, 1,
		   FILE_TEXT "# x\n\n" OVERRIDES "\"10.66.1.2\" = \"203.0.113.77:7\"\n");
	overridden(FILE_TEXT, two + 1, 1, FILE_TEXT);
	overridden(FILE_TEXT, NULL, 0, FILE_TEXT);
	overridden(FILE_TEXT OVERRIDES "# none\n", two, 1,
		   FILE_TEXT OVERRIDES "\"10.66.1.2\" = \"203.0.113.77:7\"\n# none\n");
}

/* Everything else stays, byte by byte, in the place it was. */
static void
override_amid(void)
{
	static const char BEFORE[] =
		"# mine\n" OVERRIDES "  \"10.66.1.2\" = 'a.example:1'  # keep\n"
		"# other\n"
		"\"10.66.1.3\" = \"192.0.2.3:3\"\n"
		"\"10.66.1.4\" = \"192.0.2.4:4\" # gone\n"
		"\n" INTERFACE SERVER "mtu = 7 # x";
	static const char AFTER[] =
		"# mine\n" OVERRIDES "  \"10.66.1.2\" = \"203.0.113.77:7\"  # keep\n"
		"# other\n"
		"\"10.66.1.3\" = \"192.0.2.3:3\"\n"
		"\"10.66.1.5\" = \"192.0.2.5:5\"\n"
		"\n" INTERFACE SERVER "mtu = 7 # x";
	const InnOverride all[] = {
		override("10.66.1.5", "192.0.2.99:9"), override("10.66.1.2", "203.0.113.77:7"),
		override("10.66.1.3", "192.0.2.3:3"), override("10.66.1.4", NULL),
		override("10.66.1.5", "192.0.2.5:5")};

	overridden(BEFORE, all, G_N_ELEMENTS(all), AFTER);
	overridden(AFTER, all, G_N_ELEMENTS(all), AFTER);
}

static void
override_spelling(void)
{
	const InnOverride same[] = {override("fd00::2", "[2001:db8::1]:9")};
	const InnOverride gone[] = {override("fd00::2", NULL)};
	static const char TEXT[] =
		FILE_TEXT OVERRIDES "'FD00:0::2' = '[2001:DB8:0::1]:9' # as I like it\n";

	overridden(TEXT, same, 1, TEXT);
	overridden(TEXT, gone, 1, FILE_TEXT OVERRIDES);
}

static void
override_crlf(void)
{
	const InnOverride one[] = {override("10.66.1.2", "203.0.113.77:7")};
	g_auto(GStrv) lines = g_strsplit(FILE_TEXT, "\n", -1);
	g_autofree char *text = g_strjoinv("\r\n", lines);
	g_autofree char *expected = g_strconcat(
		text, "\r\n[peer-endpoint-overrides]\r\n\"10.66.1.2\" = \"203.0.113.77:7\"\r\n",
		NULL);

	overridden(text, one, 1, expected);
}

static void
override_bad(void)
{
	const InnOverride local[] = {{net_ep("10.66.1.2"), net_ep("[fe80::1]:7")}};
	const InnOverride one[] = {override("10.66.1.2", "203.0.113.77:7")};
	g_autofree char *filler = g_strnfill(INN_CONF_MAX - strlen(FILE_TEXT) - 30, '#');
	g_autofree char *full = g_strconcat(FILE_TEXT, filler, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_null(inn_conf_override(FILE_TEXT, strlen(FILE_TEXT), "f", local, 1, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	g_clear_error(&error);
	g_assert_null(inn_conf_override(SERVER, strlen(SERVER), "f", one, 1, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	g_clear_error(&error);
	g_assert_null(inn_conf_override(full, strlen(full), "f", one, 1, &error));
	g_assert_cmpstr(error->message, ==, "f: no room for the overrides: more than 64 kB");
}

/* Through a symbolic link, with the file's mode and owner; and not at all where nothing changes. */
static void
write_overrides(Dir *dir, gconstpointer data)
{
	const InnOverride one[] = {override("10.66.1.2", "203.0.113.77:7")};
	g_autofree char *link = g_build_filename(dir->dir, "link", NULL), *text = NULL;
	g_autoptr(GError) error = NULL;
	struct stat before, after, again;

	g_assert_true(g_file_set_contents(dir->path, FILE_TEXT, -1, NULL));
	g_assert_cmpint(chmod(dir->path, 0640), ==, 0);
	if (geteuid() == 0)
		g_assert_cmpint(chown(dir->path, 7, 8), ==, 0);
	g_assert_cmpint(stat(dir->path, &before), ==, 0);
	g_assert_cmpint(symlink("evilcorp.conf", link), ==, 0);
	g_assert_true(inn_conf_write_overrides(link, one, 1, &error));
	g_assert_no_error(error);
	text = contents(dir->path);
	g_assert_cmpstr(text, ==, FILE_TEXT "\n" OVERRIDES "\"10.66.1.2\" = \"203.0.113.77:7\"\n");
	g_assert_true(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
	g_assert_cmpint(stat(dir->path, &after), ==, 0);
	g_assert_cmpuint(after.st_mode, ==, before.st_mode);
	g_assert_cmpuint(after.st_uid, ==, before.st_uid);
	g_assert_cmpuint(after.st_gid, ==, before.st_gid);
	g_assert_cmpuint(after.st_ino, !=, before.st_ino);
	g_assert_true(inn_conf_write_overrides(link, one, 1, &error));
	g_assert_cmpint(stat(dir->path, &again), ==, 0);
	g_assert_cmpuint(again.st_ino, ==, after.st_ino);
	g_assert_cmpuint(scratch_count(dir->dir), ==, 2);
}

static void
write_overrides_bad(Dir *dir, gconstpointer data)
{
	const InnOverride one[] = {override("10.66.1.2", "203.0.113.77:7")};
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	g_assert_false(inn_conf_write_overrides(dir->path, one, 1, &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
	g_clear_error(&error);
	g_assert_true(g_file_set_contents(dir->path, INTERFACE, -1, NULL));
	g_assert_false(inn_conf_write_overrides(dir->path, one, 1, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	text = contents(dir->path);
	g_assert_cmpstr(text, ==, INTERFACE);
	g_assert_cmpuint(scratch_count(dir->dir), ==, 1);
}

/* Another writer, who comes each time that a new file is whole and does not have its name yet. */
static struct {
	const char *path, *text;
	guint left, came;
} other;

/* In the place of the library's: what is tested calls this one. */
int
fsync(int fd)
{
	if (other.left > 0) {
		g_autofree char *more = g_strdup_printf("%s# %u\n", other.text, ++other.came);

		other.left--;
		g_assert_true(g_file_set_contents_full(other.path, more, -1,
						       G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	}
	return (int)syscall(SYS_fsync, fd);
}

/* What others write meanwhile is kept. */
static void
write_overtaken(Dir *dir, gconstpointer data)
{
	const InnOverride one[] = {override("10.66.1.2", "203.0.113.77:7")};
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	g_assert_true(g_file_set_contents(dir->path, FILE_TEXT, -1, NULL));
	other.path = dir->path;
	other.text = FILE_TEXT;
	other.left = 2;
	g_assert_true(inn_conf_write_overrides(dir->path, one, 1, &error));
	g_assert_no_error(error);
	text = contents(dir->path);
	g_assert_cmpstr(text, ==,
			FILE_TEXT "# 2\n\n" OVERRIDES "\"10.66.1.2\" = \"203.0.113.77:7\"\n");
	g_assert_cmpuint(scratch_count(dir->dir), ==, 1);
	/* not for ever */
	g_assert_true(g_file_set_contents(dir->path, FILE_TEXT, -1, NULL));
	other.text = INTERFACE SERVER "# again\n";
	other.left = 100;
	g_assert_false(inn_conf_write_overrides(dir->path, one, 1, &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN);
	g_assert_cmpuint(other.left, >, 90);
	other.left = 0;
	g_assert_cmpuint(scratch_count(dir->dir), ==, 1);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/conf/file", file);
	g_test_add_func("/conf/v6", v6);
	g_test_add_func("/conf/bad-values", bad_values);
	g_test_add_func("/conf/clamped", clamped);
	g_test_add_func("/conf/split", split);
	g_test_add("/conf/create", Dir, NULL, set_up, create, tear_down);
	g_test_add("/conf/create-strange", Dir, NULL, set_up, create_strange, tear_down);
	g_test_add("/conf/load-bad", Dir, NULL, set_up, load_bad, tear_down);
	g_test_add_func("/conf/override/new", override_new);
	g_test_add_func("/conf/override/amid", override_amid);
	g_test_add_func("/conf/override/spelling", override_spelling);
	g_test_add_func("/conf/override/crlf", override_crlf);
	g_test_add_func("/conf/override/bad", override_bad);
	g_test_add("/conf/write", Dir, NULL, set_up, write_overrides, tear_down);
	g_test_add("/conf/write-bad", Dir, NULL, set_up, write_overrides_bad, tear_down);
	g_test_add("/conf/write-overtaken", Dir, NULL, set_up, write_overtaken, tear_down);
	return g_test_run();
}
