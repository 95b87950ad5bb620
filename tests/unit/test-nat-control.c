/* SPDX-License-Identifier: MIT */
#include "agent/control/nat-control.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/nat-json.h"

#define DEADLINE_US (10 * G_USEC_PER_SEC)
#define BIG (8 * 1024 * 1024)

typedef struct {
	char *dir, *path;
	NatControl *control;
	guint calls, gone;
	NatCall *late; /* not answered yet */
} Fixture;

/* Echo gives back its parameters, Big a long string, Late is answered when the test says so, Many
 * gives several answers; anything else is not there. */
static void
on_gone(gpointer user_data)
{
	Fixture *f = user_data;

	f->late = NULL;
	f->gone++;
}

static JsonNode *
big_node(void)
{
	g_autofree char *big = g_strnfill(BIG, 'x');
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "big", big);
	return nat_json_node_take(obj);
}

static void
answer(NatCall *call, gpointer user_data)
{
	const char *method = nat_call_method(call);
	Fixture *f = user_data;

	f->calls++;
	if (strcmp(method, "t.Big") == 0) {
		nat_call_reply(call, big_node());
	} else if (strcmp(method, "t.Echo") == 0) {
		nat_call_reply(call,
			       nat_json_node_take(json_object_ref(nat_call_parameters(call))));
	} else if (strcmp(method, "t.Fail") == 0) {
		nat_call_fail(call, "t.Failed", NULL, NULL);
	} else if (strcmp(method, "t.Late") == 0) {
		f->late = call;
		nat_call_on_gone(call, on_gone, f);
	} else {
		nat_call_fail(call, NAT_VARLINK_METHOD_NOT_FOUND, "method", method);
	}
}

static void
set_up(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;

	f->dir = g_dir_make_tmp("nat-control-XXXXXX", NULL);
	f->path = g_build_filename(f->dir, "sub", "c.sock", NULL);
	f->control = nat_control_new(f->path, NULL, answer, f, &error);
	g_assert_no_error(error);
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
	g_autofree char *sub = g_path_get_dirname(f->path);

	nat_control_free(f->control);
	g_unlink(f->path);
	g_rmdir(sub);
	g_rmdir(f->dir);
	g_free(f->path);
	g_free(f->dir);
}

static int
dial(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_strlcpy(sun.sun_path, path, sizeof sun.sun_path);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&sun, sizeof sun), ==, 0);
	return fd;
}

/* Runs the server's sources until nothing is ready. */
static void
serve(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void
put(int fd, const char *data, gsize len)
{
	gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

	while (len > 0) {
		gssize n = send(fd, data, len, MSG_NOSIGNAL);

		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		if (n > 0) {
			data += n;
			len -= (gsize)n;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return;
		}
		serve();
	}
}

/* With the NUL at the end. */
static void
put_call(int fd, const char *text)
{
	put(fd, text, strlen(text) + 1);
}

/* The next message, NULL when the server closed. What follows it stays in the socket. */
static char *
get(int fd)
{
	gint64 deadline = g_get_monotonic_time() + DEADLINE_US;
	g_autoptr(GString) out = g_string_new(NULL);
	char buf[65536];

	for (;;) {
		gssize n = recv(fd, buf, sizeof buf, MSG_PEEK);
		const char *nul;

		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return NULL;
		if (n < 0) {
			serve();
			continue;
		}
		nul = memchr(buf, '\0', (gsize)n);
		if (nul)
			n = nul - buf + 1;
		g_assert_cmpint(recv(fd, buf, (gsize)n, 0), ==, n);
		g_string_append_len(out, buf, nul ? n - 1 : n);
		if (nul)
			return g_string_free(g_steal_pointer(&out), FALSE);
	}
}

static void
expect(int fd, const char *expected)
{
	g_autofree char *reply = get(fd);

	g_assert_cmpstr(reply, ==, expected);
}

static void
one_call(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);

	put_call(fd, "{\"method\":\"t.Echo\",\"parameters\":{\"a\":[1,null]}}");
	expect(fd, "{\"parameters\":{\"a\":[1,null]}}");
	put_call(fd, " {\"method\": \"t.Echo\"} ");
	expect(fd, "{\"parameters\":{}}");
	put_call(fd, "{\"method\":\"t.None\"}");
	expect(fd, "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":"
		   "\"t.None\"}}");
	put_call(fd, "{\"method\":\"t.Fail\"}");
	expect(fd, "{\"error\":\"t.Failed\",\"parameters\":{}}");
	close(fd);
	serve();
}

static void
pipelined(Fixture *f, gconstpointer unused)
{
	g_autoptr(GString) calls = g_string_new(NULL);
	int fd = dial(f->path);

	for (int i = 0; i < 1000; i++) {
		g_string_append_printf(calls, "{\"method\":\"t.Echo\",\"parameters\":{\"i\":%d}}",
				       i);
		g_string_append_c(calls, '\0');
	}
	put(fd, calls->str, calls->len);
	for (int i = 0; i < 1000; i++) {
		g_autofree char *expected = g_strdup_printf("{\"parameters\":{\"i\":%d}}", i);

		expect(fd, expected);
	}
	close(fd);
}

static void
in_pieces(Fixture *f, gconstpointer unused)
{
	static const char CALL[] = "{\"method\":\"t.Echo\",\"parameters\":{\"a\":1}}";
	int fd = dial(f->path);

	for (gsize i = 0; i < sizeof CALL; i++)
		put(fd, CALL + i, 1);
	expect(fd, "{\"parameters\":{\"a\":1}}");
	close(fd);
}

/* printf '…\0' | nc -N: the end of input does not take the reply away. */
static void
half_closed(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);

	put_call(fd, "{\"method\":\"t.Big\"}");
	put_call(fd, "{\"method\":\"t.Echo\"}");
	put(fd, "{\"unfinished", 12);
	shutdown(fd, SHUT_WR);
	g_free(get(fd));
	expect(fd, "{\"parameters\":{}}");
	expect(fd, NULL);
	close(fd);
}

static void
oneway(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);

	put_call(fd, "{\"method\":\"t.Fail\",\"oneway\":true}");
	put_call(fd, "{\"method\":\"t.Echo\",\"oneway\":true}");
	put_call(fd, "{\"method\":\"t.Echo\",\"parameters\":{\"b\":2}}");
	expect(fd, "{\"parameters\":{\"b\":2}}");
	g_assert_cmpuint(f->calls, ==, 3);
	close(fd);
}

/* Well-formed JSON that is no call keeps the connection; what is no JSON ends it. */
static void
garbage(Fixture *f, gconstpointer unused)
{
	static const char *const NO_JSON[] = {
		"", "hello", "[]", "{\"method\":", "\xff\xfe", "{} {}"};
	int fd = dial(f->path);

	put_call(fd, "{\"method\":7}");
	expect(fd, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
		   "{\"parameter\":\"method\"}}");
	put_call(fd, "{}");
	expect(fd, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
		   "{\"parameter\":\"method\"}}");
	put_call(fd, "{\"method\":\"t.Echo\",\"parameters\":[]}");
	expect(fd, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
		   "{\"parameter\":\"parameters\"}}");
	put_call(fd, "{\"method\":\"t.Echo\"}");
	expect(fd, "{\"parameters\":{}}");
	close(fd);
	for (gsize i = 0; i < G_N_ELEMENTS(NO_JSON); i++) {
		fd = dial(f->path);
		put_call(fd, NO_JSON[i]);
		put_call(fd, "{\"method\":\"t.Echo\"}");
		expect(fd, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
			   "{\"parameter\":\"method\"}}");
		expect(fd, NULL);
		close(fd);
	}
}

static void
oversize(Fixture *f, gconstpointer unused)
{
	g_autofree char *endless = g_strnfill(200000, '[');
	int fd = dial(f->path);

	put(fd, endless, 200000);
	expect(fd, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{}}");
	expect(fd, NULL);
	close(fd);
	fd = dial(f->path);
	put(fd, endless, NAT_CONTROL_REQUEST_MAX - 1);
	put(fd, "", 1);
	expect(fd, "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":"
		   "{\"parameter\":\"method\"}}");
	expect(fd, NULL);
	close(fd);
}

/* A client that does not read costs one reply; others are served. */
static void
slow_reader(Fixture *f, gconstpointer unused)
{
	int slow = dial(f->path), other = dial(f->path);

	for (int i = 0; i < 10; i++)
		put_call(slow, "{\"method\":\"t.Big\"}");
	serve();
	g_assert_cmpuint(f->calls, ==, 1);
	put_call(other, "{\"method\":\"t.Echo\"}");
	expect(other, "{\"parameters\":{}}");
	for (int i = 0; i < 10; i++) {
		g_autofree char *text = get(slow);

		g_assert_cmpuint(strlen(text), ==, BIG + strlen("{\"parameters\":{\"big\":\"\"}}"));
	}
	close(slow);
	close(other);
}

static void
vanishing_client(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);

	put_call(fd, "{\"method\":\"t.Big\"}");
	put_call(fd, "{\"method\":\"t.Big\"}");
	close(fd);
	serve();
	fd = dial(f->path);
	put_call(fd, "{\"method\":\"t.Echo\"}");
	expect(fd, "{\"parameters\":{}}");
	close(fd);
}

/* The longest idle one gives way. */
static void
many_clients(Fixture *f, gconstpointer unused)
{
	int fds[NAT_CONTROL_CLIENTS_MAX + 1];

	for (int i = 0; i < NAT_CONTROL_CLIENTS_MAX; i++) {
		fds[i] = dial(f->path);
		serve();
	}
	put_call(fds[0], "{\"method\":\"t.Echo\"}");
	expect(fds[0], "{\"parameters\":{}}");
	fds[NAT_CONTROL_CLIENTS_MAX] = dial(f->path);
	serve();
	expect(fds[1], NULL);
	put_call(fds[0], "{\"method\":\"t.Echo\"}");
	expect(fds[0], "{\"parameters\":{}}");
	put_call(fds[NAT_CONTROL_CLIENTS_MAX], "{\"method\":\"t.Echo\"}");
	expect(fds[NAT_CONTROL_CLIENTS_MAX], "{\"parameters\":{}}");
	for (int i = 0; i <= NAT_CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
}

/* Out of descriptors: no spinning, and the connection is served when there are some again. */
static void
out_of_descriptors(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path), next = dup(fd);
	struct rlimit limit, none;
	guint rounds = 0;

	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	close(next);
	none = (struct rlimit){(rlim_t)next, limit.rlim_max};
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	while (g_main_context_iteration(NULL, FALSE))
		g_assert_cmpuint(++rounds, <, 10);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	put_call(fd, "{\"method\":\"t.Echo\"}");
	expect(fd, "{\"parameters\":{}}");
	close(fd);
}

/* --- the socket's file --- */

static void
permissions(Fixture *f, gconstpointer unused)
{
	g_autofree char *dir = g_path_get_dirname(f->path);
	struct stat st;

	g_assert_cmpint(stat(f->path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0660);
	g_assert_true(S_ISSOCK(st.st_mode));
	g_assert_cmpint(stat(dir, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 022, ==, 0);
	g_clear_pointer(&f->control, nat_control_free);
	g_assert_cmpint(access(f->path, F_OK), ==, -1);
}

static void
any_umask(Fixture *f, gconstpointer unused)
{
	static const mode_t MASKS[] = {0, 022, 077, 0777};

	for (gsize i = 0; i < G_N_ELEMENTS(MASKS); i++) {
		mode_t before = umask(MASKS[i]);
		struct stat st;

		g_clear_pointer(&f->control, nat_control_free);
		f->control = nat_control_new(f->path, NULL, answer, f, NULL);
		umask(before);
		g_assert_nonnull(f->control);
		g_assert_cmpint(stat(f->path, &st), ==, 0);
		g_assert_cmpint(st.st_mode & 07777, ==, 0660);
	}
}

static void
living_refused(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(nat_control_new(f->path, NULL, answer, f, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
	g_assert_nonnull(strstr(error->message, f->path));
	g_assert_nonnull(strstr(error->message, "--control PATH"));
	g_assert_cmpint(access(f->path, F_OK), ==, 0);
}

/* What a killed agent leaves: a socket's file that nobody listens at. */
static void
stale_replaced(Fixture *f, gconstpointer unused)
{
	g_autofree char *kept = g_strconcat(f->path, ".kept", NULL);
	g_autoptr(GError) error = NULL;
	int fd;

	g_assert_cmpint(g_rename(f->path, kept), ==, 0);
	g_clear_pointer(&f->control, nat_control_free);
	g_assert_cmpint(g_rename(kept, f->path), ==, 0);
	f->control = nat_control_new(f->path, NULL, answer, f, &error);
	g_assert_no_error(error);
	fd = dial(f->path);
	put_call(fd, "{\"method\":\"t.Echo\"}");
	expect(fd, "{\"parameters\":{}}");
	close(fd);
}

/* Somebody else's socket at our path is not ours to remove. */
static void
not_ours_to_unlink(Fixture *f, gconstpointer unused)
{
	NatControl *first = g_steal_pointer(&f->control);

	g_assert_cmpint(g_unlink(f->path), ==, 0);
	f->control = nat_control_new(f->path, NULL, answer, f, NULL);
	nat_control_free(first);
	g_assert_cmpint(access(f->path, F_OK), ==, 0);
}

static void
refused(const char *path, const char *reason)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(nat_control_new(path, NULL, answer, NULL, &error));
	g_assert_nonnull(strstr(error->message, reason));
	g_assert_nonnull(strstr(error->message, "--control PATH"));
}

static void
bad_paths(Fixture *f, gconstpointer unused)
{
	g_autofree char *file = g_build_filename(f->dir, "file", NULL);
	g_autofree char *below = g_build_filename(file, "c.sock", NULL);
	g_autofree char *name = g_strnfill(200, 'x');
	g_autofree char *far = g_build_filename(f->dir, name, NULL);

	g_assert_true(g_file_set_contents(file, "x", 1, NULL));
	refused(file, "is not a socket");
	refused(below, "Not a directory");
	refused(far, "File name too long");
	g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
	g_unlink(file);
}

/* --- the client --- */

typedef struct {
	const char *path, *method;
	guint timeout_ms;
	JsonNode *reply;
	GError *error;
	gint done; /* atomic */
} Call;

static gpointer
call_thread(gpointer data)
{
	Call *call = data;

	call->reply =
		nat_control_call(call->path, call->method, NULL, call->timeout_ms, &call->error);
	g_atomic_int_set(&call->done, 1);
	g_main_context_wakeup(NULL);
	return NULL;
}

static void
call_and_serve(Call *call)
{
	GThread *thread = g_thread_new("call", call_thread, call);

	while (!g_atomic_int_get(&call->done))
		g_main_context_iteration(NULL, TRUE);
	g_thread_join(thread);
}

static void
client(Fixture *f, gconstpointer unused)
{
	Call echo = {f->path, "t.Echo", 10000}, big = {f->path, "t.Big", 10000},
	     none = {f->path, "t.None", 10000};

	call_and_serve(&echo);
	g_assert_no_error(echo.error);
	g_assert_cmpuint(json_object_get_size(json_node_get_object(echo.reply)), ==, 0);
	call_and_serve(&big);
	g_assert_no_error(big.error);
	call_and_serve(&none);
	g_assert_null(none.reply);
	g_assert_error(none.error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
	g_assert_nonnull(strstr(none.error->message, "t.None"));
	json_node_unref(echo.reply);
	json_node_unref(big.reply);
	g_error_free(none.error);
}

static void
client_alone(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) missing = NULL, stale = NULL, silent = NULL;
	g_autofree char *none = g_build_filename(f->dir, "none", NULL);
	g_autofree char *kept = g_strconcat(f->path, ".kept", NULL);

	/* nobody runs the server's sources: connected, and no answer */
	g_assert_null(nat_control_call(f->path, "t.Echo", NULL, 50, &silent));
	g_assert_error(silent, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	g_assert_null(nat_control_call(none, "t.Echo", NULL, 1000, &missing));
	g_assert_error(missing, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	g_assert_nonnull(strstr(missing->message, none));
	g_assert_nonnull(strstr(missing->message, "--control"));
	g_assert_cmpint(g_rename(f->path, kept), ==, 0);
	g_clear_pointer(&f->control, nat_control_free);
	g_assert_cmpint(g_rename(kept, f->path), ==, 0);
	g_assert_null(nat_control_call(f->path, "t.Echo", NULL, 1000, &stale));
	g_assert_error(stale, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

/* --- answers that come later, or more than once --- */

static JsonNode *
empty_node(void)
{
	return nat_json_node_take(json_object_new());
}

static void
later(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path), other = dial(f->path);

	put_call(fd, "{\"method\":\"t.Late\"}");
	put_call(fd, "{\"method\":\"t.Echo\",\"parameters\":{\"a\":1}}");
	serve();
	g_assert_nonnull(f->late);
	/* what is behind it waits; others do not */
	g_assert_cmpuint(f->calls, ==, 1);
	put_call(other, "{\"method\":\"t.Echo\"}");
	expect(other, "{\"parameters\":{}}");
	nat_call_reply(f->late, NULL);
	expect(fd, "{\"parameters\":{}}");
	expect(fd, "{\"parameters\":{\"a\":1}}");
	g_assert_cmpuint(f->gone, ==, 0);
	close(fd);
	close(other);
}

static void
later_error(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);

	put_call(fd, "{\"method\":\"t.Late\",\"oneway\":true}");
	put_call(fd, "{\"method\":\"t.Late\"}");
	serve();
	nat_call_fail(f->late, "t.Failed", "why", "so");
	serve();
	nat_call_fail(f->late, "t.Failed", "why", "so");
	expect(fd, "{\"error\":\"t.Failed\",\"parameters\":{\"why\":\"so\"}}");
	close(fd);
}

static void
more(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);

	put_call(fd, "{\"method\":\"t.Late\",\"more\":true}");
	serve();
	g_assert_true(nat_call_wants_more(f->late));
	for (int i = 0; i < 1000; i++) {
		JsonObject *obj = json_object_new();
		g_autofree char *expected =
			g_strdup_printf("{\"parameters\":{\"i\":%d},\"continues\":true}", i);

		json_object_set_int_member(obj, "i", i);
		nat_call_continue(f->late, nat_json_node_take(obj));
		expect(fd, expected);
	}
	nat_call_reply(f->late, NULL);
	expect(fd, "{\"parameters\":{}}");
	close(fd);
}

/* Whoever does not read what comes is known to be behind, and is not when he has read. */
static void
behind(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);
	guint sent = 0;

	put_call(fd, "{\"method\":\"t.Late\",\"more\":true}");
	serve();
	g_assert_false(nat_call_is_behind(f->late));
	while (!nat_call_is_behind(f->late)) {
		nat_call_continue(f->late, empty_node());
		serve();
		g_assert_cmpuint(++sent, <, 1000000);
	}
	for (guint i = 0; i < sent; i++)
		expect(fd, "{\"parameters\":{},\"continues\":true}");
	serve();
	g_assert_false(nat_call_is_behind(f->late));
	nat_call_reply(f->late, NULL);
	expect(fd, "{\"parameters\":{}}");
	close(fd);
}

static void
caller_gone(Fixture *f, gconstpointer unused)
{
	int fd = dial(f->path);

	put_call(fd, "{\"method\":\"t.Late\",\"more\":true}");
	serve();
	nat_call_continue(f->late, empty_node());
	close(fd);
	for (int i = 0; i < 1000 && f->late; i++)
		g_main_context_iteration(NULL, FALSE);
	g_assert_null(f->late);
	g_assert_cmpuint(f->gone, ==, 1);
	/* and at the end of the socket itself */
	fd = dial(f->path);
	put_call(fd, "{\"method\":\"t.Late\"}");
	serve();
	g_clear_pointer(&f->control, nat_control_free);
	g_assert_cmpuint(f->gone, ==, 2);
	close(fd);
}

#define ADD(name, func) g_test_add("/control/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("one-call", one_call);
	ADD("pipelined", pipelined);
	ADD("in-pieces", in_pieces);
	ADD("half-closed", half_closed);
	ADD("oneway", oneway);
	ADD("garbage", garbage);
	ADD("oversize", oversize);
	ADD("slow-reader", slow_reader);
	ADD("vanishing-client", vanishing_client);
	ADD("many-clients", many_clients);
	ADD("out-of-descriptors", out_of_descriptors);
	ADD("file/permissions", permissions);
	ADD("file/any-umask", any_umask);
	ADD("file/living-refused", living_refused);
	ADD("file/stale-replaced", stale_replaced);
	ADD("file/not-ours", not_ours_to_unlink);
	ADD("file/bad-paths", bad_paths);
	ADD("client/answers", client);
	ADD("client/alone", client_alone);
	ADD("later/answer", later);
	ADD("later/error", later_error);
	ADD("later/more", more);
	ADD("later/behind", behind);
	ADD("later/caller-gone", caller_gone);
	return g_test_run();
}
