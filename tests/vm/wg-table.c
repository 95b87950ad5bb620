/* SPDX-License-Identifier: MIT */
/*
 * The table of DESIGN §3, measured once more with the kernel at hand and our own netlink code.
 *
 * Each row is a process of its own with a pair of namespaces of its own, so that all rows take
 * their time at once. WireGuard sends at most one initiation per 5 s and peer (REKEY_TIMEOUT): a
 * row is either quick, or shows that the slot was burned, or nothing happens at all. The bounds
 * are as wide as that allows, because the machine may be slow.
 */
#include "tests/vm/wg-pair.h"

#include <arpa/inet.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Below it nothing has waited for a timer, above it something has, 5 s. Where an initiation was
 * burned before, seconds count from that, so that no delay of ours makes them fewer. */
#define SLOT 4.5
#define PATIENCE 60.0  /* seconds until a row that should end counts as hung */
#define WATCHED 8.0    /* seconds in which nothing happens: more than REKEY_TIMEOUT and jitter */
#define NEVER INFINITY /* the result of such a row */

typedef struct {
	const char *situation, *design;
	double at_least, at_most; /* seconds */
	double (*measure)(WgPair *pair);
} Row;

static double
now(void)
{
	return g_get_monotonic_time() / 1e6;
}

static void
nap(void)
{
	g_usleep(20 * 1000);
}

static gint64
handshake_ns(const WgPeer *peer)
{
	return peer->last_handshake_s * G_GINT64_CONSTANT(1000000000) + peer->last_handshake_ns;
}

/* Seconds from `since` until A's handshake has completed. */
static double
until_handshake(WgPair *pair, double since)
{
	while (now() - since < PATIENCE) {
		g_autoptr(WgPeer) peer = wg_pair_read(pair, WG_PAIR_A);

		if (peer->last_handshake_s != 0)
			return now() - since;
		nap();
	}
	return NEVER;
}

/* Seconds from `since` until B has heard A from A's address on path 2. */
static double
until_path_2(WgPair *pair, double since)
{
	WgEndpoint want = wg_pair_endpoint(WG_PAIR_A, WG_PAIR_PATH_2);

	while (now() - since < PATIENCE) {
		g_autoptr(WgPeer) peer = wg_pair_read(pair, WG_PAIR_B);

		if (wg_endpoint_equal(&peer->endpoint, &want))
			return now() - since;
		nap();
	}
	return NEVER;
}

static double
both_in_one_call(WgPair *pair)
{
	double start = now();

	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE, WG_PAIR_PATH_1,
		       25);
	return until_handshake(pair, start);
}

static double
keepalive_before_endpoint(WgPair *pair)
{
	double start = now();

	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_KEEPALIVE, WG_PAIR_PATH_1, 25);
	g_usleep(G_USEC_PER_SEC);
	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_ENDPOINT, WG_PAIR_PATH_1, 0);
	return until_handshake(pair, start);
}

static double
after_wrong_endpoint(WgPair *pair, WgChangeFlags replace)
{
	WgChangeFlags flags = WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE;
	double start = now();

	wg_pair_change(pair, WG_PAIR_A, flags, WG_PAIR_PATH_NOWHERE, 25);
	g_usleep(G_USEC_PER_SEC);
	wg_pair_change(pair, WG_PAIR_A, flags | replace, WG_PAIR_PATH_1, 25);
	return until_handshake(pair, start);
}

static double
wrong_endpoint_before(WgPair *pair)
{
	return after_wrong_endpoint(pair, 0);
}

static double
peer_replaced(WgPair *pair)
{
	return after_wrong_endpoint(pair, WG_CHANGE_REPLACE);
}

static double
endpoint_alone(WgPair *pair)
{
	double start = now();

	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_ENDPOINT, WG_PAIR_PATH_1, 0);
	while (now() - start < WATCHED) {
		g_autoptr(WgPeer) peer = wg_pair_read(pair, WG_PAIR_A);

		if (peer->last_handshake_s != 0 || peer->tx_bytes != 0)
			return now() - start;
		nap();
	}
	return NEVER;
}

/* A session on path 1 whose packets have all arrived: counters that stand still for a second.
 * Returns A's peer. */
static WgPeer *
idle_session(WgPair *pair)
{
	g_autoptr(WgPeer) last = NULL;
	double since = now();

	both_in_one_call(pair);
	last = wg_pair_read(pair, WG_PAIR_A);
	while (now() - since < 1.0) {
		g_autoptr(WgPeer) peer = wg_pair_read(pair, WG_PAIR_A);

		if (peer->tx_bytes != last->tx_bytes || peer->rx_bytes != last->rx_bytes)
			since = now();
		wg_peer_free(last);
		last = g_steal_pointer(&peer);
		nap();
	}
	return g_steal_pointer(&last);
}

/* Sends a datagram through the tunnel every 20 ms until killed. */
static pid_t
start_traffic(WgPair *pair)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		wg_pair_die("cannot fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	wg_pair_enter(pair, WG_PAIR_A);
	inet_pton(AF_INET, "10.72.0.2", &to.sin_addr);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (;;) {
		/* Refusals by the other end (port 9) show up as errors here: they don't matter. */
		(void)!sendto(fd, "traffic", 7, 0, (struct sockaddr *)&to, sizeof to);
		nap();
	}
}

static void
stop_traffic(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static double
moved_under_traffic(WgPair *pair)
{
	g_autoptr(WgPeer) before = idle_session(pair);
	g_autoptr(WgPeer) after = NULL;
	pid_t traffic = start_traffic(pair);
	double start, took;

	g_usleep(G_USEC_PER_SEC / 2);
	start = now();
	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_ENDPOINT, WG_PAIR_PATH_2, 0);
	took = until_path_2(pair, start);
	stop_traffic(traffic);
	after = wg_pair_read(pair, WG_PAIR_A);
	if (handshake_ns(before) != handshake_ns(after))
		wg_pair_die("there was a new handshake");
	return took;
}

static double
moved_while_idle(WgPair *pair)
{
	g_autoptr(WgPeer) before = idle_session(pair);
	double start = now();

	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE, WG_PAIR_PATH_2,
		       25);
	while (now() - start < WATCHED) {
		g_autoptr(WgPeer) peer = wg_pair_read(pair, WG_PAIR_A);

		if (peer->tx_bytes != before->tx_bytes || peer->rx_bytes != before->rx_bytes)
			return now() - start;
		nap();
	}
	return NEVER;
}

static double
moved_and_rearmed(WgPair *pair)
{
	g_autoptr(WgPeer) before = idle_session(pair);
	g_autoptr(WgPeer) after = NULL;
	double start = now(), took;

	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_ENDPOINT | WG_CHANGE_REARM, WG_PAIR_PATH_2, 25);
	took = until_path_2(pair, start);
	after = wg_pair_read(pair, WG_PAIR_A);
	if (handshake_ns(before) != handshake_ns(after))
		wg_pair_die("there was a new handshake");
	if (after->tx_bytes <= before->tx_bytes)
		wg_pair_die("nothing was sent");
	return took;
}

static const Row rows[] = {
	{"endpoint and keepalive in one call on a fresh peer", "0.17 s", 0, SLOT, both_in_one_call},
	{"keepalive on without endpoint, endpoint 1 s later", "14.5 s + 1", SLOT, PATIENCE,
	 keepalive_before_endpoint},
	{"wrong endpoint tried 1 s ago, right one written", "8.9 s + 1", SLOT, PATIENCE,
	 wrong_endpoint_before},
	{"same, but the peer replaced in one message", "0.16-0.45 +1", 0, SLOT, peer_replaced},
	{"endpoint only, no keepalive, no traffic", "never", NEVER, NEVER, endpoint_alone},
	{"live, traffic, endpoint moved: no new handshake", "at once", 0, SLOT,
	 moved_under_traffic},
	{"live, idle, endpoint moved, keepalive 25 again", "nothing sent", NEVER, NEVER,
	 moved_while_idle},
	{"same, with keepalive 0 then 25 in one message", "at once", 0, SLOT, moved_and_rearmed},
};

typedef struct {
	pid_t pid;
	int fd; /* the child writes its seconds here, or nothing when it failed */
} Child;

static Child
start_row(const Row *row)
{
	int fds[2];
	Child child;

	if (pipe(fds) < 0 || (child.pid = fork()) < 0)
		wg_pair_die("cannot fork");
	if (child.pid == 0) {
		g_autoptr(WgPair) pair = wg_pair_new();
		double result = row->measure(pair);

		exit(write(fds[1], &result, sizeof result) != sizeof result);
	}
	close(fds[1]);
	child.fd = fds[0];
	return child;
}

/* Waits for the row's process and prints its line; whether the kernel behaved as DESIGN says. */
static gboolean
finish_row(const Row *row, Child child)
{
	double result = NAN;
	gboolean good = read(child.fd, &result, sizeof result) == sizeof result;
	char here[32] = "no result";

	close(child.fd);
	waitpid(child.pid, NULL, 0);
	if (good && isinf(result))
		g_strlcpy(here, "nothing", sizeof here);
	else if (good)
		g_snprintf(here, sizeof here, "%.2f s", result);
	good = good && result >= row->at_least && result <= row->at_most;
	printf("%s | %-50s | %-12s | %s\n", good ? "ok    " : "FAILED", row->situation, row->design,
	       here);
	return good;
}

/* One message instead of eight where the kernel has no WireGuard. */
static gboolean
can_set_up(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		wg_pair_die("cannot fork");
	if (pid == 0) {
		wg_pair_free(wg_pair_new());
		exit(EXIT_SUCCESS);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

int
main(void)
{
	Child children[G_N_ELEMENTS(rows)];
	gboolean good = TRUE;

	if (!can_set_up())
		return EXIT_FAILURE;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		children[i] = start_row(&rows[i]);
	printf("       | %-50s | %-12s | here\n", "situation", "DESIGN");
	fflush(stdout);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		good = finish_row(&rows[i], children[i]) && good;
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
