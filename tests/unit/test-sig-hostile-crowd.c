/* SPDX-License-Identifier: MIT */
/* Too many: connections, logins, frames of an address, messages for a key, more than there are
 * files. Two innocent clients, at another address, notice nothing. */
#include "tests/unit/net-own.h"
#include "tests/unit/sig-stage.h"

/* The innocent are at 127.0.0.1. */
#define CROWD "127.0.0.2"
#define OTHERS "127.0.0.3"

/* Upgraded and logged in, or NULL: turned away. */
static Raw *
try_login(const Server *server, const char *from)
{
	Raw *raw = raw_dial_from(server, from);
	g_auto(SigFrame) frame = {0};
	g_autofree char *answer = NULL;

	raw_send(raw, RAW_UPGRADE, strlen(RAW_UPGRADE));
	answer = raw_read_headers(raw);
	if (!answer) {
		g_assert_cmpuint(raw->in->len, ==, 0);
		raw_free(raw);
		return NULL;
	}
	raw_expect(raw, SIG_FRAME_HELLO, &frame);
	raw->hello = frame.hello;
	raw_log_in(raw);
	return raw;
}

/* Whether the server lets it be: it would be ended at once, before its request. */
static gboolean
stays(Raw *raw)
{
	g_autofree char *answer = NULL;

	raw_send(raw, RAW_UPGRADE, strlen(RAW_UPGRADE));
	answer = raw_read_headers(raw);
	return answer != NULL;
}

/* There is room again as soon as the server has seen that somebody has gone. */
static Raw *
login_in_the_end(const Server *server, const char *from)
{
	const gint64 until = g_get_monotonic_time() + RAW_DEADLINE_S * G_USEC_PER_SEC;
	Raw *raw;

	while (!(raw = try_login(server, from))) {
		g_assert_cmpint(g_get_monotonic_time(), <, until);
		g_usleep(10000);
	}
	return raw;
}

/* Logins without end, each with a key of its own, each gone at once. */
static void
test_login_flood(void)
{
	const gint64 begin = g_get_monotonic_time();
	guint ok = 0, away = 0, most;
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, "[limits]\nconnect-rate=5\nconnect-burst=40\n");
	while (away < 200) {
		Raw *raw = try_login(&stage.server, CROWD);

		if (raw)
			raw_free(raw);
		ok += raw != NULL;
		away += raw == NULL;
	}
	most = 40 + 1 + (guint)(5 * (g_get_monotonic_time() - begin) / G_USEC_PER_SEC);
	g_assert_cmpuint(ok, >=, 40);
	g_assert_cmpuint(ok, <=, most);
	raw_free(login_in_the_end(&stage.server, OTHERS)); /* at once */
	raw_free(login_in_the_end(&stage.server, CROWD));  /* a little later */
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.logins, ==, 2 + ok + 2);
	g_assert_cmpuint(ended.connect, >=, 200);
	g_assert_cmpuint(ended.turned_away, ==, ended.connect);
	g_assert_cmpuint(ended.accepted, ==, ended.logins);
}

/* Logged in and here to stay. */
static void
test_connections(void)
{
	Stage stage = {0};
	Ended ended;
	Raw *crowd[3], *others[2];

	stage_open(&stage, "[limits]\nconnections=7\nconnections-per-address=3\n");
	for (guint i = 0; i < 3; i++)
		g_assert_nonnull(crowd[i] = try_login(&stage.server, CROWD));
	g_assert_null(try_login(&stage.server, CROWD));
	for (guint i = 0; i < 2; i++)
		g_assert_nonnull(others[i] = try_login(&stage.server, OTHERS));
	g_assert_null(try_login(&stage.server, OTHERS)); /* its third, the eighth in all */
	raw_free(crowd[0]);
	crowd[0] = login_in_the_end(&stage.server, OTHERS);
	for (guint i = 0; i < 3; i++)
		raw_free(crowd[i]);
	for (guint i = 0; i < 2; i++)
		raw_free(others[i]);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.connect, ==, 1);
	g_assert_cmpuint(ended.turned_away, >=, 2);
}

static void
test_unauthenticated(void)
{
	Raw *crowd[4], *others[2], *more;
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, "[limits]\nunauthenticated=5\nunauthenticated-per-address=4\n");
	for (guint i = 0; i < 4; i++)
		g_assert_true(stays(crowd[i] = raw_dial_from(&stage.server, CROWD)));
	more = raw_dial_from(&stage.server, CROWD);
	g_assert_false(stays(more));
	raw_free(more);
	g_assert_true(stays(others[0] = raw_dial_from(&stage.server, OTHERS)));
	g_assert_false(stays(others[1] = raw_dial_from(&stage.server, OTHERS)));
	raw_free(others[1]);
	raw_free(others[0]);
	others[0] = login_in_the_end(&stage.server, OTHERS); /* which makes room */
	g_assert_nonnull(others[1] = try_login(&stage.server, OTHERS));
	for (guint i = 0; i < 4; i++)
		raw_free(crowd[i]);
	for (guint i = 0; i < 2; i++)
		raw_free(others[i]);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.turned_away, >=, 2);
	g_assert_cmpuint(ended.connect, ==, 0);
}

/* Two of the crowd who are friends. */
static void
befriended(const Server *server, Raw **from, Raw **to)
{
	g_auto(SigFrame) frame = {0};

	*from = try_login(server, CROWD);
	*to = try_login(server, OTHERS);
	raw_name(*from, *to);
	raw_name(*to, *from);
	raw_expect(*from, SIG_FRAME_PRESENCE, &frame);
}

/* How many of n messages arrive; the sender hears of each other one. */
static guint
flood(Raw *from, Raw *to, guint n)
{
	g_auto(SigFrame) frame = {0};
	guint lost = 0, got = 0;

	for (guint i = 0; i < n; i++)
		g_assert_true(raw_send_message(from, &to->key, NULL, 0));
	raw_send_message(from, &from->key, NULL, 0);
	for (gboolean last = FALSE; !last;) {
		raw_expect(from, SIG_FRAME_UNAVAILABLE, &frame);
		last = wg_key_equal(&frame.unavailable.to.keys[0], &from->key);
		lost += !last;
	}
	while (got + lost < n) {
		g_assert_true(raw_next(to));
		got += to->op == RAW_BINARY;
	}
	return got;
}

static void
test_rates(void)
{
	static const struct {
		const char *config;
		gsize counter;
	} rates[] = {
		{"[limits]\nrate=100\nburst=300\n", G_STRUCT_OFFSET(Ended, rate)},
		{"[limits]\naddress-rate=200\naddress-burst=170\n",
		 G_STRUCT_OFFSET(Ended, address)}, /* and 128 for the connection */
		{"[limits]\ndestination-rate=100\ndestination-burst=300\n",
		 G_STRUCT_OFFSET(Ended, destination)},
	};

	for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
		const gint64 begin = g_get_monotonic_time();
		guint arrived, counted;
		Stage stage = {0};
		Ended ended;
		Raw *from, *to;

		stage_open(&stage, rates[i].config);
		befriended(&stage.server, &from, &to);
		arrived = flood(from, to, 2000);
		g_test_message("%s: %u arrived", rates[i].config, arrived);
		g_assert_cmpuint(arrived, >=, 290); /* less what naming each other has cost */
		g_assert_cmpuint(
			arrived, <=,
			300 + 201 * (1 + (g_get_monotonic_time() - begin) / G_USEC_PER_SEC));
		raw_free(from);
		raw_free(to);
		stage_close(&stage, &ended);
		counted = *(guint *)((char *)&ended + rates[i].counter);
		g_assert_cmpuint(counted, >, 0);
		g_assert_cmpuint(counted, <=, 2001 - arrived);
		g_assert_cmpuint(ended.unavailable, ==, 2001 - arrived);
		g_assert_cmpuint(ended.refused, ==, 0);
	}
}

/* Started with hardly any files: as many connections as these allow, the others are turned away. */
static void
test_few_files(void)
{
	g_autoptr(GPtrArray) crowd = g_ptr_array_new_with_free_func((GDestroyNotify)raw_free);
	guint stay = 0;
	Stage stage = {0};
	Ended ended;

	stage.server.files = 64;
	stage_open(&stage, "[limits]\nunauthenticated-per-address=1000\n");
	for (guint i = 0; i < 100; i++) {
		Raw *raw = raw_dial_from(&stage.server, CROWD);

		stay += stays(raw);
		g_ptr_array_add(crowd, raw);
	}
	g_assert_cmpuint(stay, ==, 32 - 2);
	g_ptr_array_set_size(crowd, 0);
	for (guint i = 0; i < 100; i++)
		raw_free(login_in_the_end(&stage.server, CROWD));
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.logins, ==, 2 + 100);
	g_assert_cmpuint(ended.turned_away, >=, 70);
}

/* They run out while it serves. */
static void
test_files_run_out(void)
{
	g_autoptr(GPtrArray) crowd = g_ptr_array_new_with_free_func((GDestroyNotify)raw_free);
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, "[limits]\nunauthenticated-per-address=1000\n");
	set_files(&stage.server, files_in_use(&stage.server));
	for (guint i = 0; i < 100; i++) {
		Raw *raw = raw_dial_from(&stage.server, CROWD);

		g_ptr_array_add(crowd, raw);
		if (i > 16) /* a few numbers may be free below the largest */
			g_assert_false(stays(raw));
	}
	set_files(&stage.server, 3); /* not even the spare one helps: these wait */
	for (guint i = 0; i < 10; i++)
		g_ptr_array_add(crowd, raw_dial_from(&stage.server, CROWD));
	g_usleep(1500000); /* the innocent go on, over a second in which listening pauses */
	set_files(&stage.server, 4096);
	g_ptr_array_set_size(crowd, 0);
	for (guint i = 0; i < 20; i++)
		raw_free(login_in_the_end(&stage.server, CROWD));
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.logins, ==, 2 + 20);
	g_assert_cmpuint(ended.turned_away, >=, 83);
}

/* ---- STUN ---- */

/* How many of n requests are answered; the last answer is long there when the server has answered a
 * TCP client that came later. */
static guint
ask_stun(const Server *server, const char *from, guint n)
{
	static const guint8 request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	guint8 answer[128];
	guint answered = 0;

	inet_pton(AF_INET, from, &address.sin_addr);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(server->stun[0]);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	for (guint i = 0; i < n; i++)
		g_assert_cmpint(send(fd, request, sizeof request, 0), ==, sizeof request);
	for (guint i = 0; i < 2; i++) /* the second is served after what the first's turn left */
		raw_free(raw_open(server));
	while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
		answered++;
	close(fd);
	return answered;
}

static void
test_stun(void)
{
	const gint64 begin = g_get_monotonic_time();
	guint answered;
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, "[limits]\nstun-rate=1\nstun-burst=20\n");
	answered = ask_stun(&stage.server, CROWD, 60);
	g_assert_cmpuint(answered, >=, 15); /* the kernel may lose some */
	g_assert_cmpint(answered, <=, 21 + (g_get_monotonic_time() - begin) / G_USEC_PER_SEC);
	g_assert_cmpuint(ask_stun(&stage.server, OTHERS, 20), >=, 15);
	stage_close(&stage, &ended);
}

/* ---- the end ---- */

/* Over how many seconds a crowd of n is told to come back. */
static guint
drained(const char *config, guint n)
{
	g_autoptr(GPtrArray) crowd = g_ptr_array_new_with_free_func((GDestroyNotify)raw_free);
	g_auto(SigFrame) frame = {0};
	Server server = {0};

	server_start_with(&server, config);
	for (guint i = 0; i < n; i++)
		g_ptr_array_add(crowd, raw_open(&server));
	g_subprocess_send_signal(server.process, SIGTERM);
	raw_expect(crowd->pdata[0], SIG_FRAME_DRAIN, &frame);
	raw_expect_close(crowd->pdata[0], SIG_CLOSE_RESTART);
	g_ptr_array_set_size(crowd, 0);
	server_stop(&server);
	return frame.drain.within_s;
}

static void
test_drain(void)
{
	g_assert_cmpuint(drained("[limits]\nunauthenticated-per-address=1000\n", 499), ==, 1);
	g_assert_cmpuint(drained("[limits]\nunauthenticated-per-address=1000\n", 500), ==, 2);
	g_assert_cmpuint(drained("[limits]\nunauthenticated-per-address=1000\ndrain=1\n", 500), ==,
			 1);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/hostile/crowd/login-flood", test_login_flood);
	g_test_add_func("/sig/hostile/crowd/connections", test_connections);
	g_test_add_func("/sig/hostile/crowd/unauthenticated", test_unauthenticated);
	g_test_add_func("/sig/hostile/crowd/rates", test_rates);
	g_test_add_func("/sig/hostile/crowd/few-files", test_few_files);
	g_test_add_func("/sig/hostile/crowd/files-run-out", test_files_run_out);
	g_test_add_func("/sig/hostile/crowd/stun", test_stun);
	g_test_add_func("/sig/hostile/crowd/drain", test_drain);
	return g_test_run();
}
