/* SPDX-License-Identifier: MIT */
/* The built nat-signald as its operator meets it: TLS and its renewal, lists of keys that change,
 * metrics, a restart without a gap. */
#include "tests/unit/net-own.h"
#include "tests/unit/sig-client.h"

#include <unistd.h>

#define PAIRS 8

/* ---- certificates ---- */

typedef struct {
	char *dir, *cert, *key;
} Files;

static void
run(const char *const *argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocess) process = g_subprocess_newv(
		argv, G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
		&error);

	g_assert_no_error(error);
	g_assert_true(g_subprocess_wait_check(process, NULL, &error));
	g_assert_no_error(error);
}

typedef enum {
	KEY_EC,
	KEY_RSA,
} KeyType;

/* A certificate of its own making for 127.0.0.1 and *.signal.example; replaces what is there. */
static void
make_certificate(const Files *files, KeyType type)
{
	g_autofree char *key = g_strconcat(files->key, ".new", NULL);
	g_autofree char *cert = g_strconcat(files->cert, ".new", NULL);
	const char *const argv[] = {
		"openssl",
		"req",
		"-x509",
		"-newkey",
		type == KEY_EC ? "ec" : "rsa",
		"-pkeyopt",
		type == KEY_EC ? "ec_paramgen_curve:P-256" : "rsa_keygen_bits:2048",
		"-nodes",
		"-keyout",
		key,
		"-out",
		cert,
		"-days",
		"2",
		"-subj",
		"/CN=not.a.name.example",
		"-addext",
		"subjectAltName=IP:127.0.0.1,DNS:*.signal.example",
		NULL,
	};

	run(argv);
	g_assert_cmpint(g_rename(key, files->key), ==, 0);
	g_assert_cmpint(g_rename(cert, files->cert), ==, 0);
}

static void
files_open_with(Files *files, KeyType type)
{
	g_autoptr(GError) error = NULL;

	files->dir = g_dir_make_tmp("signald-tls-XXXXXX", &error);
	g_assert_no_error(error);
	files->cert = g_build_filename(files->dir, "cert.pem", NULL);
	files->key = g_build_filename(files->dir, "key.pem", NULL);
	make_certificate(files, type);
}

static void
files_open(Files *files)
{
	files_open_with(files, KEY_EC);
}

static void
files_close(Files *files)
{
	g_unlink(files->cert);
	g_unlink(files->key);
	g_assert_cmpint(g_rmdir(files->dir), ==, 0);
	g_free(files->dir);
	g_free(files->cert);
	g_free(files->key);
}

static GTlsDatabase *
trust(const Files *files)
{
	g_autoptr(GError) error = NULL;
	GTlsDatabase *database = g_tls_file_database_new(files->cert, &error);

	g_assert_no_error(error);
	return database;
}

static void
tls_start(Server *server, const Files *files)
{
	g_autofree char *cert = g_strdup_printf("--tls-cert=%s", files->cert);
	g_autofree char *key = g_strdup_printf("--tls-key=%s", files->key);
	const char *const args[] = {cert, key, NULL};

	server_start(server, args);
}

static Client *
tls_dial(const Server *server, const Files *files)
{
	g_autoptr(GTlsDatabase) database = trust(files);
	g_autofree char *url = g_strdup_printf("wss://127.0.0.1:%u/", server->port);

	return client_dial_url(url, SIG_WIRE_SUBPROTOCOL, NULL, database);
}

/* Reads the log up to a line with this text. */
static void
expect_log(Server *server, const char *text)
{
	for (;;) {
		g_autofree char *line = read_line(server);

		g_assert_nonnull(line);
		if (strstr(line, text))
			return;
	}
}

static void
reload(Server *server, const char *until)
{
	g_subprocess_send_signal(server->process, SIGHUP);
	expect_log(server, until);
}

static void
meet(Client *a, Client *b)
{
	send_interest(a, &b->key, NULL);
	send_interest(b, &a->key, NULL);
	expect_presence(a, &b->key, TRUE);
	expect_presence(b, &a->key, TRUE);
}

/* The server's names are those of the certificate. */
static void
test_tls(void)
{
	Files files;
	Server server = {0};
	Client *a, *b, *plain, *foreign;

	files_open(&files);
	tls_start(&server, &files);
	a = tls_dial(&server, &files);
	b = tls_dial(&server, &files);
	client_log_in(a);
	g_free(b->authority);
	b->authority = g_strdup("eu.signal.example:8443");
	client_log_in(b);
	meet(a, b);
	send_message(a, &b->key, "over TLS");
	expect_message(b, &a->key, "over TLS");
	foreign = tls_dial(&server, &files);
	g_free(foreign->authority);
	foreign->authority = g_strdup("not.a.name.example:443"); /* the common name is none */
	send_text_take(foreign, make_login(foreign, NULL));
	client_expect_error(foreign, "wrong-authority", SIG_CLOSE_WRONG_AUTHORITY);
	plain = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	g_assert_true(plain->failed);
	client_free(plain);
	client_free(foreign);
	client_free(a);
	client_free(b);
	server_stop(&server);
	files_close(&files);
}

/* Whether a client that takes signatures of this type alone is shown a certificate it trusts. */
static gboolean
shown(const Server *server, const char *trusted, KeyType type)
{
	g_autofree char *to = g_strdup_printf("127.0.0.1:%u", server->port);
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocess) process = g_subprocess_new(
		G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error,
		"openssl", "s_client", "-connect", to, "-CAfile", trusted, "-verify_return_error",
		"-sigalgs", type == KEY_EC ? "ECDSA+SHA256" : "RSA-PSS+SHA256", NULL);

	g_assert_no_error(error);
	return g_subprocess_wait_check(process, NULL, NULL);
}

/* The new certificate serves, and only that, whatever the types of both; who was there stays. */
static void
test_tls_renewed(gconstpointer types)
{
	const KeyType *type = types;
	Files files;
	Server server = {0};
	Client *a, *b, *late;
	g_autoptr(GTlsDatabase) before = NULL;
	g_autofree char *url = NULL, *old = NULL, *text = NULL;

	files_open_with(&files, type[0]);
	tls_start(&server, &files);
	/* of a copy: GnuTLS reads the file each time */
	old = g_build_filename(files.dir, "old.pem", NULL);
	g_assert_true(g_file_get_contents(files.cert, &text, NULL, NULL));
	g_assert_true(g_file_set_contents(old, text, -1, NULL));
	before = g_tls_file_database_new(old, NULL);
	a = tls_dial(&server, &files);
	client_log_in(a);
	g_assert_true(shown(&server, old, type[0]));
	make_certificate(&files, type[1]);
	reload(&server, "read anew");
	g_assert_true(shown(&server, files.cert, type[1]));
	g_assert_false(shown(&server, old, KEY_EC));
	g_assert_false(shown(&server, old, KEY_RSA));
	url = g_strdup_printf("wss://127.0.0.1:%u/", server.port);
	late = client_dial_url(url, SIG_WIRE_SUBPROTOCOL, NULL, before);
	g_assert_true(late->failed);
	client_free(late);
	b = tls_dial(&server, &files);
	client_log_in(b);
	meet(a, b);
	/* files that don't belong together lose nothing */
	g_assert_true(g_file_set_contents(files.cert, "no certificate", -1, NULL));
	reload(&server, "stays in use");
	send_message(b, &a->key, "still there");
	expect_message(a, &b->key, "still there");
	client_free(a);
	client_free(b);
	server_stop(&server);
	g_unlink(old);
	files_close(&files);
}

/* ---- a start that can't be ---- */

/* Runs it to its end; its only line must hold all of the words. */
static void
refuses(int status, const char *words, const char *arg1, const char *arg2)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *err = NULL;
	g_auto(GStrv) each = g_strsplit(words, "|", -1);
	g_autoptr(GSubprocess) process = g_subprocess_new(
		G_SUBPROCESS_FLAGS_STDERR_PIPE, &error, server_program(), "--listen=127.0.0.1:0",
		"--stun=none", "--metrics=none", arg1, arg2, NULL);

	g_assert_no_error(error);
	g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, NULL, &err, &error));
	g_test_message("%s", err);
	for (guint i = 0; each[i]; i++)
		g_assert_nonnull(strstr(err, each[i]));
	g_assert_cmpint(g_subprocess_get_exit_status(process), ==, status);
	g_assert_cmpint(strlen(strchr(err, '\n')), ==, 1);
}

static void
test_bad_start(void)
{
	Files files, other;
	g_autofree char *cert = NULL, *key = NULL, *wrong_key = NULL, *locked = NULL, *lock = NULL;
	g_autofree char *missing = NULL, *swapped = NULL, *allow = NULL, *list = NULL;

	files_open(&files);
	files_open(&other);
	cert = g_strdup_printf("--tls-cert=%s", files.cert);
	key = g_strdup_printf("--tls-key=%s", files.key);
	wrong_key = g_strdup_printf("--tls-key=%s", other.key);
	swapped = g_strdup_printf("--tls-key=%s", files.cert);
	missing = g_strdup_printf("--tls-cert=%s/none", files.dir);
	lock = g_build_filename(files.dir, "locked.pem", NULL);
	run((const char *const[]){"openssl", "pkey", "-in", files.key, "-out", lock, "-aes128",
				  "-passout", "pass:x", NULL});
	locked = g_strdup_printf("--tls-key=%s", lock);
	refuses(2, "TLS needs both", cert, NULL);
	refuses(2, "TLS needs both", key, NULL);
	refuses(1, "none: |No such file", missing, key);
	refuses(1, "is not the key of the first certificate", cert, wrong_key);
	refuses(1, "holds no private key", cert, swapped);
	refuses(1, "is encrypted|without a passphrase", cert, locked);
	g_unlink(lock);

	list = write_config("[a]\nnonsense\n");
	allow = g_strdup_printf("--allow-file=%s", list);
	refuses(1, ":2: |public key", allow, NULL);
	refuses(2, "choose one", allow, "--allow-wg=wg0");
	g_unlink(list);
	refuses(1, "No such file", allow, NULL);
	refuses(2, "--metrics loopback", "--metrics=loopback", NULL);
	files_close(&files);
	files_close(&other);
}

/* ---- who may in ---- */

static char *
list_line(const char *before, const WgKey *private)
{
	char text[WG_KEY_STRLEN];
	WgKey public;

	wg_key_public_from_private(private, &public);
	return g_strdup_printf("%s%s a host\n", before, wg_key_format(&public, text));
}

/* By a file that is moved into place, as editors and tools do it. */
static void
replace_list(const char *file, const char *text)
{
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
}

static Client *
dial_as(const Server *server, const WgKey *private)
{
	g_autofree char *url = g_strdup_printf("ws://127.0.0.1:%u/", server->port);

	return client_dial_url(url, SIG_WIRE_SUBPROTOCOL, private, NULL);
}

static void
test_allow_file(void)
{
	g_autofree char *file = write_config("# nobody yet\n");
	g_autofree char *arg = g_strdup_printf("--allow-file=%s", file);
	const char *const args[] = {arg, NULL};
	g_autofree char *one = NULL, *two = NULL, *both = NULL, *apart = NULL;
	Server server = {0};
	Client *a, *b;
	WgKey key_a, key_b;

	wg_key_generate_private(&key_a);
	wg_key_generate_private(&key_b);
	one = list_line("[x]\n", &key_a);
	two = list_line("", &key_b);
	both = g_strconcat(one, two, NULL);
	apart = g_strconcat(one, "[y]\n", two, NULL);
	server_start(&server, args);
	a = dial_as(&server, &key_a);
	send_text_take(a, make_login(a, NULL));
	client_expect_error(a, "not-allowed", SIG_CLOSE_NOT_ALLOWED);
	client_free(a);

	/* let in without a signal */
	replace_list(file, both);
	expect_log(&server, "2 keys in");
	a = dial_as(&server, &key_a);
	b = dial_as(&server, &key_b);
	client_log_in(a);
	client_log_in(b);
	meet(a, b);
	/* a list that can't be read throws nobody out */
	replace_list(file, "oops\n");
	expect_log(&server, "stays in force");
	send_message(a, &b->key, "x");
	expect_message(b, &a->key, "x");
	/* revoked: at once, and the other one hears that it is gone */
	replace_list(file, one);
	client_expect_error(b, "not-allowed", SIG_CLOSE_NOT_ALLOWED);
	expect_presence(a, &b->key, FALSE);
	client_free(b);
	/* another network: nobody there */
	replace_list(file, apart);
	expect_log(&server, "2 keys in");
	b = dial_as(&server, &key_b);
	client_log_in(b);
	send_interest(b, &a->key, NULL);
	send_message(b, &a->key, "y");
	{
		g_auto(SigFrame) frame = {0};

		client_expect(b, SIG_FRAME_UNAVAILABLE, &frame);
	}
	g_assert_null(strchr(b->order->str, 'p'));
	client_free(a);
	client_free(b);
	server_stop(&server);
	g_unlink(file);
}

/* A file written in place is read when it is closed, and by SIGHUP through a link. */
static void
test_allow_file_linked(void)
{
	g_autofree char *file = write_config("");
	g_autofree char *link = g_strconcat(file, ".link", NULL);
	g_autofree char *arg = g_strdup_printf("--allow-file=%s", link);
	const char *const args[] = {arg, NULL};
	g_autofree char *one = NULL;
	Server server = {0};
	Client *a;
	WgKey key;
	FILE *out;

	wg_key_generate_private(&key);
	one = list_line("", &key);
	g_assert_cmpint(symlink(file, link), ==, 0);
	server_start(&server, args);
	out = fopen(file, "w");
	g_assert_cmpint(fputs(one, out), >=, 0);
	fclose(out);
	expect_log(&server, "1 keys in"); /* by inotify or by its time stamp */
	a = dial_as(&server, &key);
	client_log_in(a);
	replace_list(file, "");
	g_subprocess_send_signal(server.process, SIGHUP);
	client_expect_error(a, "not-allowed", SIG_CLOSE_NOT_ALLOWED);
	client_free(a);
	server_stop(&server);
	g_unlink(link);
	g_unlink(file);
}

typedef struct {
	Server server;
	char *file, *next, *one; /* the list; what is to come in its place; one key's list */
	Client *revoked;	 /* of the other key */
} Listed;

/* Both keys are in the list, and who is to be revoked has come. */
static void
listed_open(Listed *listed)
{
	g_autofree char *config = write_config("[limits]\nlogin-timeout=3\n");
	g_autofree char *config_arg = g_strdup_printf("--config=%s", config);
	g_autofree char *arg = NULL, *other = NULL, *both = NULL;
	const char *args[] = {config_arg, NULL, NULL};
	WgKey keys[2];

	for (guint i = 0; i < 2; i++)
		wg_key_generate_private(&keys[i]);
	listed->one = list_line("", &keys[0]);
	other = list_line("", &keys[1]);
	both = g_strconcat(listed->one, other, NULL);
	listed->file = write_config(both);
	listed->next = g_strconcat(listed->file, ".next", NULL);
	args[1] = arg = g_strdup_printf("--allow-file=%s", listed->file);
	server_start(&listed->server, args);
	g_unlink(config);
	listed->revoked = dial_as(&listed->server, &keys[1]);
	client_log_in(listed->revoked);
}

/* Some seconds of the server's own: one that never logs in is closed after three. */
static void
let_ticks_pass(const Server *server)
{
	Client *silent = client_dial(server, SIG_WIRE_SUBPROTOCOL);

	client_expect_error(silent, "login-timeout", SIG_CLOSE_LOGIN_TIMEOUT);
	client_free(silent);
}

/* It was said once that the list can't be read, and is said that it was. */
static void
listed_close(Listed *listed)
{
	client_expect_error(listed->revoked, "not-allowed", SIG_CLOSE_NOT_ALLOWED);
	client_free(listed->revoked);
	for (gboolean read = FALSE; !read;) {
		g_autofree char *line = read_line(&listed->server);

		g_assert_nonnull(line);
		g_assert_null(strstr(line, "stays in force"));
		read = strstr(line, "1 keys in") != NULL;
	}
	server_stop(&listed->server);
	g_unlink(listed->file);
	g_free(listed->file);
	g_free(listed->next);
	g_free(listed->one);
}

/* Moved into place first, made readable then, which its time stamp does not show. */
static void
test_allow_file_unreadable(void)
{
	Listed listed = {.server.obeys_modes = TRUE};

	listed_open(&listed);
	g_assert_true(g_file_set_contents(listed.next, listed.one, -1, NULL));
	g_assert_cmpint(g_chmod(listed.next, 0), ==, 0);
	g_assert_cmpint(g_rename(listed.next, listed.file), ==, 0);
	expect_log(&listed.server, "stays in force");
	let_ticks_pass(&listed.server);
	g_assert_cmpint(g_chmod(listed.file, 0644), ==, 0);
	listed_close(&listed);
}

/* What hinders the server itself leaves no trace in the file at all. */
static void
test_allow_file_no_descriptor(void)
{
	Listed listed = {0};

	listed_open(&listed);
	set_files(&listed.server, 3);
	replace_list(listed.file, listed.one);
	expect_log(&listed.server, "stays in force");
	set_files(&listed.server, 4096);
	listed_close(&listed);
}

/* ---- the operator's pages ---- */

static GSocketConnection *
connect_to(guint16 port)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GError) error = NULL;
	GSocketConnection *conn =
		g_socket_client_connect_to_host(client, "127.0.0.1", port, NULL, &error);

	g_assert_no_error(error);
	g_socket_set_timeout(g_socket_connection_get_socket(conn), 20);
	return conn;
}

/* Up to its end. (transfer full) with the head */
static char *
ask(GSocketConnection *conn, const char *request)
{
	g_autoptr(GError) error = NULL;
	GString *answer = g_string_new(NULL);
	char buf[4096];
	gssize n;

	g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(conn)), request,
				  strlen(request), NULL, NULL, NULL);
	while ((n = g_input_stream_read(g_io_stream_get_input_stream(G_IO_STREAM(conn)), buf,
					sizeof buf, NULL, &error)) > 0)
		g_string_append_len(answer, buf, n);
	return g_string_free(answer, FALSE);
}

static char *
get(guint16 port, const char *request)
{
	g_autoptr(GSocketConnection) conn = connect_to(port);

	return ask(conn, request);
}

#define GET(path, host) "GET " path " HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n\r\n"

static void
assert_answers(guint16 port, const char *request, const char *status, const char *part)
{
	g_autofree char *answer = get(port, request);

	g_assert_true(g_str_has_prefix(answer, status));
	g_assert_nonnull(strstr(answer, part));
}

static void
test_metrics(void)
{
	Server server = {0};
	Client *a;

	server_start(&server, NULL);
	a = client_new(&server);
	assert_answers(server.metrics, GET("/metrics", "x"), "HTTP/1.1 200",
		       "\nnat_signald_connections{state=\"logged_in\"} 1\n");
	assert_answers(server.metrics, GET("/metrics", "x"), "HTTP/1.1 200",
		       "\nnat_signald_logins_total 1\n");
	assert_answers(server.metrics, GET("/healthz", "x"), "HTTP/1.1 200", "\r\n\r\nok\n");
	assert_answers(server.metrics, GET("/", "x"), "HTTP/1.1 404", "");
	assert_answers(server.metrics, GET("/metrics/../../etc/passwd", "x"), "HTTP/1.1 404", "");
	/* whatever name it is asked by, agents' port has no pages, and the other no WebSocket */
	assert_answers(server.port, GET("/metrics", "pages"), "HTTP/1.1 404", "WebSocket only");
	assert_answers(server.metrics, GET("/healthz", "agents"), "HTTP/1.1 200", "ok\n");
	{
		Server other = {.port = server.metrics};
		Client *wrong = client_dial(&other, SIG_WIRE_SUBPROTOCOL);

		g_assert_true(wrong->failed);
		client_free(wrong);
	}
	client_free(a);
	assert_answers(server.metrics, GET("/metrics", "x"), "HTTP/1.1 200",
		       "nat_signald_closed_total{code=\"bad-frame\"} 0\n");
	server_stop(&server);
}

/* ---- a restart without a gap ---- */

/* The process that took over is not our child: it is gone when its port refuses. */
static void
stop_successor(int pid, guint16 port)
{
	gint64 until = g_get_monotonic_time() + 2 * DEADLINE;

	g_assert_cmpint(kill(pid, SIGTERM), ==, 0);
	while (kill(pid, 0) == 0) {
		g_assert_cmpint(g_get_monotonic_time(), <, until);
		g_usleep(10000);
	}
}

static int
hand_over(Server *server)
{
	int pid = 0;

	g_subprocess_send_signal(server->process, SIGUSR2);
	while (pid == 0) {
		g_autofree char *line = read_line(server);
		const char *at = line ? strstr(line, "process ") : NULL;

		g_assert_nonnull(line);
		if (at && strstr(at, " serves now"))
			pid = atoi(at + strlen("process "));
	}
	return pid;
}

static void
test_handover(void)
{
	Server server = {0};
	Client *clients[2 * PAIRS], *again[2 * PAIRS];
	guint16 port, metrics;
	int pid;

	server_start(&server, NULL);
	port = server.port;
	metrics = server.metrics;
	for (guint i = 0; i < 2 * PAIRS; i++)
		clients[i] = client_new(&server);
	for (guint i = 0; i < PAIRS; i++)
		meet(clients[2 * i], clients[2 * i + 1]);
	pid = hand_over(&server);
	/* from then on every connection is taken, by the new one */
	for (guint i = 0; i < 2 * PAIRS; i++) {
		g_auto(SigFrame) frame = {0};

		again[i] = dial_as(&server, &clients[i]->private);
		g_assert_nonnull(again[i]->ws);
		client_log_in(again[i]);
		client_expect(clients[i], SIG_FRAME_DRAIN, &frame);
		g_assert_cmpuint(frame.drain.within_s, >=, 1);
	}
	for (guint i = 0; i < PAIRS; i++)
		meet(again[2 * i], again[2 * i + 1]);
	for (guint i = 0; i < 2 * PAIRS; i++) {
		WAIT(clients[i]->closed);
		g_assert_cmpuint(soup_websocket_connection_get_close_code(clients[i]->ws), ==,
				 SIG_CLOSE_RESTART);
		client_free(clients[i]);
	}
	g_assert_true(g_subprocess_wait(server.process, NULL, NULL));
	g_assert_cmpint(g_subprocess_get_exit_status(server.process), ==, 0);
	assert_answers(metrics, GET("/metrics", "x"), "HTTP/1.1 200",
		       "\nnat_signald_connections{state=\"logged_in\"} 16\n");
	for (guint i = 0; i < PAIRS; i++) {
		send_message(again[2 * i], &again[2 * i + 1]->key, "on the new one");
		expect_message(again[2 * i + 1], &again[2 * i]->key, "on the new one");
	}
	for (guint i = 0; i < 2 * PAIRS; i++)
		client_free(again[i]);
	stop_successor(pid, port);
	g_object_unref(server.log);
	g_object_unref(server.process);
}

/* Until the server has accepted it, and says nothing. */
static GSocketConnection *
connect_silently(const Server *server, guint16 port)
{
	guint before = server_files(server);
	GSocketConnection *conn = connect_to(port);

	WAIT(server_files(server) > before);
	return conn;
}

/* Once the new one serves, its pages are what is asked for, though the old one still waits for a
 * client; whom that one has let in it answers, and does not say that the service ends. */
static void
test_handover_pages(gconstpointer with_client)
{
	g_autoptr(GSocketConnection) client = NULL, page = NULL;
	g_autofree char *answer = NULL;
	Server server = {0};
	guint16 metrics;
	gint64 since;
	int pid;

	server_start(&server, NULL);
	metrics = server.metrics;
	if (with_client)
		client = connect_silently(&server, server.port);
	since = g_get_monotonic_time();
	page = connect_silently(&server, metrics);
	pid = hand_over(&server);
	answer = ask(page, GET("/healthz", "x"));
	/* a slow machine may need longer than a page is waited for */
	g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 200") ||
		      (!*answer && g_get_monotonic_time() - since > 3 * G_USEC_PER_SEC));
	for (guint i = 0; i < 50; i++)
		assert_answers(metrics, GET("/healthz", "x"), "HTTP/1.1 200", "ok\n");
	for (guint i = 0; i < 50; i++)
		assert_answers(metrics, GET("/metrics", "x"), "HTTP/1.1 200",
			       "\nnat_signald_draining 0\n");
	g_clear_object(&client);
	g_assert_true(g_subprocess_wait(server.process, NULL, NULL));
	g_assert_cmpint(g_subprocess_get_exit_status(server.process), ==, 0);
	stop_successor(pid, server.port);
	g_object_unref(server.log);
	g_object_unref(server.process);
}

/* A new one that does not start changes nothing. */
static void
test_handover_fails(void)
{
	g_autofree char *file = write_config("[signald]\n");
	g_autofree char *arg = g_strdup_printf("--config=%s", file);
	const char *const args[] = {arg, NULL};
	Server server = {0};
	Client *a, *b;

	server_start(&server, args);
	a = client_new(&server);
	g_assert_true(g_file_set_contents(file, "[signald]\nno-such-key=1\n", -1, NULL));
	for (guint i = 0; i < 2; i++) { /* and it can be tried again */
		g_subprocess_send_signal(server.process, SIGUSR2);
		expect_log(&server, "no such key");
		expect_log(&server, "this one goes on");
	}
	b = client_new(&server);
	meet(a, b);
	client_free(a);
	client_free(b);
	server_stop(&server);
	g_unlink(file);
}

/* ---- STUN at two addresses ---- */

/* Change-IP and change-port: the answer leaves from the other address, and names it as
 * --stun-external says. */
static void
ask_pair(const Server *server)
{
	static const guint8 request[68] = {0, 1, 0, 48, 0x21, 0x12, 0xa4, 0x42, 1,  2, 3,
					   4, 5, 6, 7,	8,    9,    10,	  11,	12, 0, 3,
					   0, 4, 0, 0,	0,    6,    0,	  0x26, 0,  36};
	g_autoptr(GSocket) socket = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM,
						 G_SOCKET_PROTOCOL_UDP, NULL);
	g_autoptr(GSocketAddress) from = NULL;
	g_autoptr(GSocketAddress) to =
		g_inet_socket_address_new_from_string("127.0.0.1", server->stun[0]);
	g_autofree char *address = NULL;
	guint8 answer[128];
	gssize n = 0;

	g_socket_set_timeout(socket, 3);
	for (int i = 0; i < 10 && n <= 0; i++) { /* the kernel may lose one */
		g_assert_cmpint(g_socket_send_to(socket, to, (const char *)request, sizeof request,
						 NULL, NULL),
				==, sizeof request);
		n = g_socket_receive_from(socket, &from, (char *)answer, sizeof answer, NULL, NULL);
	}
	g_assert_cmpint(n, ==, 68);
	address = g_inet_address_to_string(
		g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(from)));
	g_assert_cmpstr(address, ==, "127.0.0.2");
	g_assert_cmpuint(g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(from)), ==,
			 server->stun[1]);
	g_assert_cmpuint(answer[32] << 8 | answer[33], ==, 0x802c); /* OTHER-ADDRESS */
	g_assert_cmpmem(answer + 40, 4, ((const guint8[]){203, 0, 113, 2}), 4);
	g_assert_cmpuint(answer[44] << 8 | answer[45], ==, 0x802b); /* RESPONSE-ORIGIN */
	g_assert_cmpmem(answer + 52, 4, ((const guint8[]){203, 0, 113, 2}), 4);
}

static void
assert_answered(const Server *server, guint64 least)
{
	static const char NAME[] = "\nnat_signald_stun_requests_total{result=\"answered\"} ";
	g_autofree char *page = get(server->metrics, GET("/metrics", "x"));
	const char *at = strstr(page, NAME);

	g_assert_true(g_str_has_prefix(page, "HTTP/1.1 200"));
	g_assert_nonnull(at);
	g_assert_cmpuint(g_ascii_strtoull(at + strlen(NAME), NULL, 10), >=, least);
}

/* Two --stun are one server of RFC 5780, also after it was handed over; it counts. */
static void
test_stun_pair(void)
{
	static const char *const args[] = {"--stun=127.0.0.2:0",
					   "--stun-external=127.0.0.1=203.0.113.1",
					   "--stun-external=127.0.0.2=203.0.113.2", NULL};
	Server server = {0};
	int pid;

	server_start(&server, args);
	g_assert_cmpuint(server.stun[1], ==, server.stun[0] + 1);
	ask_pair(&server);
	ask_pair(&server);
	assert_answered(&server, 2);
	pid = hand_over(&server);
	g_assert_true(g_subprocess_wait(server.process, NULL, NULL));
	ask_pair(&server);
	assert_answered(&server, 1);
	stop_successor(pid, server.port);
	g_object_unref(server.log);
	g_object_unref(server.process);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/operation/tls", test_tls);
	g_test_add_data_func("/sig/operation/tls-renewed", (KeyType[]){KEY_EC, KEY_EC},
			     test_tls_renewed);
	g_test_add_data_func("/sig/operation/tls-renewed-by-rsa", (KeyType[]){KEY_EC, KEY_RSA},
			     test_tls_renewed);
	g_test_add_data_func("/sig/operation/tls-renewed-by-ecdsa", (KeyType[]){KEY_RSA, KEY_EC},
			     test_tls_renewed);
	g_test_add_func("/sig/operation/bad-start", test_bad_start);
	g_test_add_func("/sig/operation/allow-file", test_allow_file);
	g_test_add_func("/sig/operation/allow-file-linked", test_allow_file_linked);
	g_test_add_func("/sig/operation/allow-file-unreadable", test_allow_file_unreadable);
	g_test_add_func("/sig/operation/allow-file-no-descriptor", test_allow_file_no_descriptor);
	g_test_add_func("/sig/operation/metrics", test_metrics);
	g_test_add_func("/sig/operation/handover", test_handover);
	g_test_add_data_func("/sig/operation/handover-pages", NULL, test_handover_pages);
	g_test_add_data_func("/sig/operation/handover-pages-and-client", "", test_handover_pages);
	g_test_add_func("/sig/operation/handover-fails", test_handover_fails);
	g_test_add_func("/sig/operation/stun-pair", test_stun_pair);
	return g_test_run();
}
