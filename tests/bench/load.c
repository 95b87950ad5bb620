/* SPDX-License-Identifier: MIT */
/*
 * load: what clients in pairs cost a server, nat-signald or an MQTT broker, over TCP or TLS.
 *
 *     load signal|mqtt plain|tls PORT PID traffic N SECONDS
 *         connects N clients, measures them idle, then closed loop, then open loop. Prints
 *             N, s to connect, the server's CPU-us for each client's connecting
 *             kB of the server's RssAnon and Pss before, after connecting, after the traffic
 *             closed loop: messages/s, CPU-us of the server each, percent of its core, and of ours
 *             open loop: messages/s, CPU-us each, percent, p50 and p99 of their time in us
 *     load signal plain PORT PID storm N SIGNAL
 *         connects N clients, sends SIGNAL to the server, which the caller starts again when it has
 *         ended. Prints s from the signal until all connections were lost, until the first and
 *         until the last pair had presence of each other again, the drain's s that were told, and
 *         how many connections were begun for it. The clients back off as PROTOCOL.md says.
 *
 * The server is PID, at 127.0.0.1. N is even: each client's peer is its neighbour. Messages have
 * 600 bytes. Closed loop: WINDOW messages are on their way at any time, from senders that take
 * turns in random order. Open loop: RATE messages a second at equal distances, whose time counts
 * from when they were due.
 */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/proc.h"
#include "tests/signal/client.h"

#define BODY 600
#define WINDOW 64
#define RATE 2000
#define BATCH 256
#define CONNECTING 128 /* at a time, so that the measure is not of our own queue */
#define ADDRESSES 250
#define PATIENCE_NS (INT64_C(20) * 1000000000)
#define STORM_NS (INT64_C(300) * 1000000000)
#define MINUTE_NS (INT64_C(60) * 1000000000)

typedef struct Load Load;

typedef struct {
	Client client; /* first: it is what epoll gives back */
	Load *load;
	gboolean counted; /* as one that is up: ready, and its peer is known to be online */
	gboolean heard;	  /* of its peer's presence */
	/* storm */
	gint64 due, ready_at; /* ns */
	guint failures, drain_s;
} One;

typedef enum { CONNECT, CLOSED, OPEN, STORM } Phase;

struct Load {
	gboolean signal;
	StreamTls *tls;
	struct sockaddr_in to;
	int pid, epoll;
	guint n, seconds;
	One *all;
	guint *order; /* senders take turns */
	guint turn;
	Phase phase;
	guint connecting, up, down; /* clients */
	guint64 begun, received, missed;
	gint64 signalled_at, down_at, first_at, last_at; /* ns */
	guint drain_s;
	gint64 *times; /* ns, of messages of the open loop */
	guint64 n_times;
	guint8 body[BODY];
};

static gint64
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

static One *
peer_of(One *one)
{
	Load *load = one->load;

	return &load->all[(guint)(one - load->all) ^ 1];
}

/* ---- messages ---- */

static void
send_next(Load *load, gint64 due)
{
	One *one = &load->all[load->order[load->turn]];

	load->turn = (load->turn + 1) % load->n;
	memcpy(load->body, &due, sizeof due);
	client_send(&one->client, &peer_of(one)->client.public_key, load->body, BODY);
}

static void
on_message(Client *client, const WgKey *from, const guint8 *body, gsize len)
{
	Load *load = ((One *)client)->load;
	gint64 due;

	if (len != BODY)
		die("a message of another length");
	load->received++;
	if (load->phase == CLOSED) {
		send_next(load, 0);
	} else if (load->phase == OPEN) {
		memcpy(&due, body, sizeof due);
		load->times[load->n_times++] = now_ns() - due;
	}
}

static void
on_unavailable(Client *client, const WgKey *key)
{
	((One *)client)->load->missed++;
}

/* ---- connections ---- */

static void
count(One *one)
{
	Load *load = one->load;

	if (one->counted || !one->client.ready || (load->signal && !one->heard))
		return;
	one->counted = TRUE;
	load->up++;
	if (load->phase == STORM && load->first_at == 0)
		load->first_at = now_ns();
	if (load->up == load->n)
		load->last_at = now_ns();
}

static void
on_login_sent(Client *client)
{
	One *one = (One *)client;

	if (one->load->signal)
		sig_client_interest(client, &peer_of(one)->client.public_key, 1, NULL, 0);
}

static void
on_ready(Client *client)
{
	One *one = (One *)client;

	one->load->connecting--;
	one->ready_at = now_ns();
	count(one);
}

static void
on_presence(Client *client, const WgKey *key, gboolean online)
{
	One *one = (One *)client;

	one->heard = online;
	if (!online && one->counted) {
		one->counted = FALSE;
		one->load->up--;
	}
	count(one);
}

static void
on_drain(Client *client, guint within_s)
{
	One *one = (One *)client;

	one->drain_s = within_s;
	one->load->drain_s = MAX(one->load->drain_s, within_s);
}

static double
uniform(double from, double to)
{
	return from + (to - from) * drand48();
}

/* PROTOCOL.md: drain, "Backing off" */
static void
back_off(One *one)
{
	gint64 now = now_ns();
	double wait;

	if (one->ready_at > 0 && now - one->ready_at >= MINUTE_NS)
		one->failures = 0;
	wait = uniform(0.2, MIN(30, 0.5 * (1u << MIN(one->failures, 10))));
	one->failures++;
	one->due = now + (gint64)(1e9 * MAX(wait, uniform(0, one->drain_s)));
	one->drain_s = 0;
}

static void
on_ended(Client *client)
{
	One *one = (One *)client;
	Load *load = one->load;

	if (load->phase != STORM)
		die(client->close_code ? "the server closed a connection"
				       : "a connection broke, or was refused");
	if (one->ready_at == 0)
		load->connecting--;
	else if (++load->down == load->n)
		load->down_at = now_ns();
	if (one->counted)
		load->up--;
	back_off(one);
	one->counted = one->heard = FALSE;
	one->ready_at = 0;
}

static const ClientFuncs funcs = {
	.login_sent = on_login_sent,
	.ready = on_ready,
	.message = on_message,
	.presence = on_presence,
	.unavailable = on_unavailable,
	.drain = on_drain,
	.ended = on_ended,
};

static void
begin(One *one)
{
	Load *load = one->load;
	guint index = (guint)(one - load->all);
	struct sockaddr_in from = {.sin_family = AF_INET};

	from.sin_addr.s_addr = htonl(0x7f000101 + index % ADDRESSES);
	load->begun++;
	load->connecting++;
	if (!client_start(&one->client, load->epoll, &from, &load->to, load->tls))
		die(g_strerror(errno));
}

/* Waits for events until `until` at most. */
static void
serve(Load *load, gint64 until)
{
	struct epoll_event events[BATCH];
	gint64 wait = MAX(until - now_ns(), 0);
	struct timespec timeout = {wait / 1000000000, wait % 1000000000};
	int n = epoll_pwait2(load->epoll, events, BATCH, &timeout, NULL);

	for (int i = 0; i < n; i++)
		client_event(events[i].data.ptr);
}

static void
connect_all(Load *load)
{
	gint64 progress = now_ns();
	guint begun = 0, up = 0;

	while (load->up < load->n) {
		while (begun < load->n && load->connecting < CONNECTING)
			begin(&load->all[begun++]);
		serve(load, now_ns() + 1000000000);
		if (load->up > up)
			progress = now_ns();
		up = load->up;
		if (now_ns() - progress > PATIENCE_NS)
			die("connecting does not go on");
	}
}

/* ---- figures ---- */

typedef struct {
	gint64 at, cpu, user, own;
	guint64 received;
} Mark;

static gint64
own_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static Mark
mark(const Load *load)
{
	return (Mark){now_ns(), proc_cpu_ns(load->pid), proc_user_ns(load->pid), own_cpu_ns(),
		      load->received};
}

/* Returns the server's share in user space, in µs a message. */
static double
print_rate(const Load *load, const Mark *from)
{
	Mark to = mark(load);
	double seconds = (double)(to.at - from->at) / 1e9;
	double messages = (double)(to.received - from->received);

	if (messages == 0 || load->missed > 0)
		die("messages did not arrive");
	printf(" %.0f %.2f %.0f %.0f", messages / seconds,
	       (double)(to.cpu - from->cpu) / messages / 1000,
	       (double)(to.cpu - from->cpu) / seconds / 1e7,
	       (double)(to.own - from->own) / seconds / 1e7);
	return (double)(to.user - from->user) / messages / 1000;
}

static void
print_memory(const Load *load)
{
	printf(" %lu %lu", proc_kb(load->pid, "status", "RssAnon:"),
	       proc_kb(load->pid, "smaps_rollup", "Pss:"));
}

/* ---- traffic ---- */

static void
run_until(Load *load, gint64 end)
{
	for (gint64 now = now_ns(); now < end; now = now_ns())
		serve(load, end);
}

static double
closed_loop(Load *load)
{
	Mark from;
	double user;

	load->phase = CLOSED;
	for (guint i = 0; i < WINDOW; i++)
		send_next(load, 0);
	run_until(load, now_ns() + 1000000000); /* it has found its pace */
	from = mark(load);
	run_until(load, from.at + load->seconds * INT64_C(1000000000));
	user = print_rate(load, &from);
	load->phase = CONNECT; /* no more are sent */
	run_until(load, now_ns() + 500000000);
	return user;
}

static int
by_time(const void *a, const void *b)
{
	gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

	return (x > y) - (x < y);
}

static void
open_loop(Load *load)
{
	guint64 total = (guint64)RATE * load->seconds;
	gint64 start, end;
	Mark from;

	load->times = g_new(gint64, total);
	load->phase = OPEN;
	from = mark(load);
	start = from.at;
	for (guint64 i = 0; i < total; i++) {
		gint64 due = start + (gint64)i * (1000000000 / RATE);

		while (now_ns() < due)
			serve(load, due);
		send_next(load, due);
	}
	end = now_ns() + PATIENCE_NS;
	while (load->n_times < total && now_ns() < end)
		serve(load, end);
	if (load->n_times < total)
		die("messages did not arrive");
	print_rate(load, &from);
	qsort(load->times, total, sizeof *load->times, by_time);
	printf(" %.0f %.0f", (double)load->times[total / 2] / 1e3,
	       (double)load->times[total * 99 / 100] / 1e3);
}

static void
traffic(Load *load)
{
	Mark from = mark(load), to;
	double user;
	unsigned long rss = proc_kb(load->pid, "status", "RssAnon:");
	unsigned long pss = proc_kb(load->pid, "smaps_rollup", "Pss:");

	connect_all(load);
	to = mark(load);
	printf("%u %.2f %.1f %lu %lu", load->n, (double)(to.at - from.at) / 1e9,
	       (double)(to.cpu - from.cpu) / load->n / 1000, rss, pss);
	run_until(load, now_ns() + 1000000000); /* what connecting left behind is done */
	print_memory(load);
	user = closed_loop(load);
	open_loop(load);
	print_memory(load);
	printf(" %.2f\n", user);
}

/* ---- storm ---- */

static void
storm(Load *load, int number)
{
	gint64 deadline;
	guint64 begun;

	connect_all(load);
	/* nobody's back-off begins with what came before */
	load->phase = STORM;
	begun = load->begun;
	load->first_at = 0;
	load->signalled_at = now_ns();
	kill(load->pid, number);
	for (deadline = now_ns() + STORM_NS; now_ns() < deadline;) {
		gint64 now = now_ns();

		for (guint i = 0; i < load->n; i++)
			if (!client_is_open(&load->all[i].client) && load->all[i].due <= now)
				begin(&load->all[i]);
		serve(load, now + 2000000);
		if (load->down >= load->n && load->up == load->n)
			break;
	}
	if (load->up < load->n) {
		fprintf(stderr, "load: %u of %u have no presence of their peer\n",
			load->n - load->up, load->n);
		exit(1);
	}
	printf("%.2f %.2f %.2f %u %" G_GUINT64_FORMAT "\n",
	       (double)(load->down_at - load->signalled_at) / 1e9,
	       (double)(load->first_at - load->signalled_at) / 1e9,
	       (double)(load->last_at - load->signalled_at) / 1e9, load->drain_s,
	       load->begun - begun);
}

/* ---- the command line ---- */

static void
shuffle(Load *load)
{
	load->order = g_new(guint, load->n);
	for (guint i = 0; i < load->n; i++) {
		guint j = (guint)(drand48() * (i + 1));

		load->order[i] = load->order[j];
		load->order[j] = i;
	}
}

static void
raise_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(int argc, char **argv)
{
	Load load = {0};

	if (argc != 8 || sodium_init() < 0)
		return 2;
	raise_files();
	load.signal = strcmp(argv[1], "signal") == 0;
	load.tls = strcmp(argv[2], "tls") == 0 ? stream_tls_new() : NULL;
	load.to = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_port = htons((guint16)atoi(argv[3])),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	load.pid = atoi(argv[4]);
	load.n = (guint)atoi(argv[6]) & ~1u;
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.all = g_new0(One, load.n);
	shuffle(&load);
	for (guint i = 0; i < load.n; i++) {
		load.all[i].load = &load;
		client_init(&load.all[i].client, load.signal ? &sig_protocol : &mqtt_protocol,
			    &funcs);
	}
	if (strcmp(argv[5], "storm") == 0) {
		storm(&load, atoi(argv[7]));
	} else {
		load.seconds = (guint)atoi(argv[7]);
		traffic(&load);
	}
	return 0;
}
