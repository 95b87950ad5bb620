/* SPDX-License-Identifier: MIT */
/*
 * A stage for hostile clients: a server, and on it two innocent clients that pass a message to and
 * fro all the time, in a thread of their own. None may be lost, late or answered by anything else;
 * whatever else came to the server must leave nothing behind.
 */
#pragma once

#include "tests/unit/raw-ws.h"

/* A slow machine shares its cores with much else: what is later than this was held up by the
 * hostile. */
#define LATE_MS 5000
/* What the heap may have grown by: the table of the keys' rates is 512 kB, touched as keys come. */
#define LEAK_KB 1024

typedef struct {
	Server server;
	Raw *a, *b;
	GThread *thread;
	gint stop;	     /* atomic */
	guint passed;	     /* messages, both ways; the thread's, until it has ended */
	gint64 slowest;	     /* µs for one to and fro */
	guint files, memory; /* of the server with nobody but the innocent */
} Stage;

static inline void
innocent_pass(Raw *from, Raw *to, guint number)
{
	g_assert_true(raw_send_message(from, &to->key, &number, sizeof number));
	g_assert_true(raw_next(to));
	g_assert_cmpuint(to->op, ==, RAW_BINARY);
	g_assert_cmpuint(to->payload->len, ==, SIG_WIRE_BINARY_HEADER + sizeof number);
	g_assert_cmpmem(to->payload->data + SIG_WIRE_BINARY_HEADER, sizeof number, &number,
			sizeof number);
}

static inline gpointer
innocent_thread(gpointer p)
{
	Stage *stage = p;

	/* once at least, however late a busy machine begins this thread */
	do {
		const gint64 begin = g_get_monotonic_time();

		innocent_pass(stage->a, stage->b, stage->passed++);
		innocent_pass(stage->b, stage->a, stage->passed++);
		stage->slowest = MAX(stage->slowest, g_get_monotonic_time() - begin);
		g_usleep(20000); /* so that they stay below their own rate */
	} while (!g_atomic_int_get(&stage->stop));
	return NULL;
}

/* Measures what the server uses, from now on. */
static inline void
stage_measure(Stage *stage)
{
	stage->files = server_files(&stage->server);
	stage->memory = server_memory(&stage->server);
}

/* stage: zero, but for what is set of the server. config: "[limits]…", or NULL. */
static inline void
stage_open(Stage *stage, const char *config)
{
	g_auto(SigFrame) frame = {0};

	server_start_with(&stage->server, config ? config : "");
	stage->a = raw_new(&stage->server);
	stage->b = raw_new(&stage->server);
	raw_name(stage->a, stage->b);
	raw_name(stage->b, stage->a);
	raw_expect(stage->a, SIG_FRAME_PRESENCE, &frame);
	raw_expect(stage->b, SIG_FRAME_PRESENCE, &frame);
	stage->thread = g_thread_new("innocent", innocent_thread, stage);
	stage_measure(stage);
}

/* Nothing is left of anybody but the innocent. Memory is looked at only in a build of our own: a
 * sanitizer keeps what was freed, and finds leaks by itself. */
static inline void
stage_clean(Stage *stage)
{
	const gint64 until = g_get_monotonic_time() + RAW_DEADLINE_S * G_USEC_PER_SEC;

	while (server_files(&stage->server) != stage->files) {
		g_assert_cmpint(g_get_monotonic_time(), <, until);
		g_usleep(10000);
	}
	g_test_message("memory was %u kB, is %u kB", stage->memory, server_memory(&stage->server));
	if (!g_getenv("NAT_SIGNALD"))
		g_assert_cmpuint(server_memory(&stage->server), <=, stage->memory + LEAK_KB);
}

/* The end; what the server counted is left to the test. */
static inline void
stage_close(Stage *stage, Ended *ended)
{
	stage_clean(stage);
	g_atomic_int_set(&stage->stop, 1);
	g_thread_join(stage->thread);
	g_test_message("%u messages of the innocent, the slowest pair took %d ms", stage->passed,
		       (int)(stage->slowest / 1000));
	g_assert_cmpuint(stage->passed, >, 0);
	g_assert_cmpint(stage->slowest / 1000, <, LATE_MS);
	raw_free(stage->a);
	raw_free(stage->b);
	server_stop_counted(&stage->server, ended);
	g_assert_cmpuint(ended->routed, >=, stage->passed);
}
