/* SPDX-License-Identifier: MIT */
/*
 * soak: many agents of random behaviour at one nat-signald, which is ended and killed meanwhile;
 * check.h says what must hold. See usage() for how it is called.
 *
 * It goes by rounds: chaos, in which the server is told to end, or is killed, or neither; then
 * calm, in which all come back, every account is settled, presence is compared with the interests
 * and messages have to arrive. The last round is the server's memory: all leave, all come, chaos,
 * all leave; it must then have as many files open as when it began, and little more memory than the
 * first time.
 *
 * The seed decides what agents do; when exactly is the machine's.
 */
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/signal/agents.h"

#define ROUND_S 10
#define ROUNDS_MAX 12

typedef struct {
	guint n, seconds, deadline_s, memory_kb;
	guint32 seed;
	const char *dir;
	Fault fault;
	gboolean tls;
	char **command;
} Options;

typedef struct {
	const Options *options;
	Check *check;
	Server *server;
	Agents *agents;
	guint terminated, killed;
	gint64 term_at; /* µs */
	guint files;	/* open ones of a server that nobody is connected to */
} Soak;

static const char *const fault_names[] = {
	[FAULT_NONE] = "none", [FAULT_LOSE] = "lose",	[FAULT_TWICE] = "twice",
	[FAULT_SWAP] = "swap", [FAULT_STRAY] = "stray", [FAULT_UNTOLD] = "untold",
	[FAULT_DEAF] = "deaf",
};

/* ---- the loop ---- */

/* A server that has ended begins anew at once. */
static void
tend_server(Soak *soak)
{
	g_autofree char *why = NULL;

	if (server_reap(soak->server, &why)) {
		if (why)
			check_fail(soak->check, "%s", why);
		server_start(soak->server);
	} else if (soak->term_at > 0 && server_is_ending(soak->server) &&
		   g_get_monotonic_time() - soak->term_at >
			   soak->options->deadline_s * G_USEC_PER_SEC) {
		check_fail(soak->check, "the server does not end");
	}
}

static gboolean
step(Soak *soak, gboolean acting)
{
	tend_server(soak);
	agents_step(soak->agents, acting);
	return !check_verdict(soak->check);
}

typedef gboolean (*Condition)(const Soak *soak);

/* FALSE when something is wrong. */
static gboolean
wait_for(Soak *soak, Condition condition, const char *what)
{
	gint64 deadline = g_get_monotonic_time() + soak->options->deadline_s * G_USEC_PER_SEC;

	while (step(soak, FALSE)) {
		if (condition(soak))
			return TRUE;
		if (g_get_monotonic_time() > deadline)
			check_fail(soak->check, "after %u s still not: %s",
				   soak->options->deadline_s, what);
	}
	return FALSE;
}

static gboolean
are_up(const Soak *soak)
{
	return agents_are_up(soak->agents);
}

static gboolean
have_answers(const Soak *soak)
{
	return agents_have_answers(soak->agents);
}

static gboolean
are_gone(const Soak *soak)
{
	return agents_are_gone(soak->agents);
}

/* ---- rounds ---- */

static gboolean
chaos(Soak *soak, double seconds, int number)
{
	gint64 start = g_get_monotonic_time(), end = start + (gint64)(seconds * G_USEC_PER_SEC);
	gint64 kill_at = start + (end - start) * (20 + agents_random(soak->agents, 60)) / 100;

	while (g_get_monotonic_time() < end) {
		if (number != 0 && g_get_monotonic_time() >= kill_at) {
			soak->term_at = number == SIGTERM ? g_get_monotonic_time() : 0;
			*(number == SIGTERM ? &soak->terminated : &soak->killed) += 1;
			server_kill(soak->server, number);
			number = 0;
		}
		if (!step(soak, TRUE))
			return FALSE;
	}
	return TRUE;
}

static gboolean
fence(Soak *soak)
{
	agents_send_fences(soak->agents);
	return wait_for(soak, have_answers, "each agent's fence is answered");
}

static gboolean
calm(Soak *soak)
{
	agents_gather(soak->agents);
	if (!wait_for(soak, are_up, "all agents are logged in") || !fence(soak) || !fence(soak))
		return FALSE;
	check_calm_presence(soak->check);
	check_calm(soak->check, TRUE);
	agents_talk(soak->agents);
	if (!fence(soak) || !fence(soak))
		return FALSE;
	check_calm(soak->check, FALSE);
	agents_forgive(soak->agents);
	if (!check_all_settled(soak->check))
		check_fail(soak->check, "two fences later not everything is settled");
	return !check_verdict(soak->check);
}

static gboolean
files_are_closed(const Soak *soak)
{
	return server_files(soak->server) == soak->files;
}

/* kB of the server that nobody is connected to; 0: something is wrong. */
static guint
memory_alone(Soak *soak)
{
	agents_leave(soak->agents);
	if (!wait_for(soak, are_gone, "all connections are closed") ||
	    !wait_for(soak, files_are_closed, "the server has closed what it had opened"))
		return 0;
	return server_memory(soak->server);
}

static gboolean
memory_round(Soak *soak, double seconds)
{
	const Options *options = soak->options;
	guint before, after;

	before = calm(soak) ? memory_alone(soak) : 0;
	after = before > 0 && calm(soak) && chaos(soak, seconds, 0) && calm(soak)
			? memory_alone(soak)
			: 0;
	if (after == 0)
		return FALSE;
	printf("server memory: %u kB, then %u kB\n", before, after);
	if (options->memory_kb > 0 && after > before + options->memory_kb)
		check_fail(soak->check, "the server keeps %u kB, from %u kB; allowed are %u more",
			   after, before, options->memory_kb);
	return !check_verdict(soak->check);
}

/* The first rounds have one of each. */
static int
choose_signal(Soak *soak, guint round)
{
	const int numbers[] = {SIGTERM, SIGKILL, 0};

	return numbers[round < 2 ? round : agents_random(soak->agents, G_N_ELEMENTS(numbers))];
}

static gboolean
serves(const Soak *soak)
{
	return server_serves(soak->server);
}

static gboolean
has_ended(const Soak *soak)
{
	return !server_is_ending(soak->server);
}

/* What sanitizers and valgrind have to say they say at the end, by the exit status. */
static gboolean
last_end(Soak *soak)
{
	soak->term_at = g_get_monotonic_time();
	server_kill(soak->server, SIGTERM);
	return wait_for(soak, has_ended, "the server has ended");
}

static gboolean
play(Soak *soak)
{
	guint rounds = CLAMP(soak->options->seconds / ROUND_S, 3, ROUNDS_MAX);
	double each = (double)soak->options->seconds / rounds;

	server_start(soak->server);
	if (!wait_for(soak, serves, "the server serves"))
		return FALSE;
	soak->files = server_files(soak->server);
	agents_gather(soak->agents);
	for (guint i = 0; i + 1 < rounds; i++)
		if (!chaos(soak, each, choose_signal(soak, i)) || !calm(soak))
			return FALSE;
	return memory_round(soak, each) && last_end(soak);
}

static void
print_counts(const Soak *soak)
{
	const CheckCounts *c = check_counts(soak->check);
	const AgentsCounts *a = agents_counts(soak->agents);

	printf("messages: %" G_GUINT64_FORMAT " sent, %" G_GUINT64_FORMAT
	       " received, %" G_GUINT64_FORMAT " unavailable; accounts: %" G_GUINT64_FORMAT
	       " right, %" G_GUINT64_FORMAT " void\n",
	       c->sent, c->received, c->unavailable, c->settled, c->excused);
	printf("agents: %" G_GUINT64_FORMAT " logins, %" G_GUINT64_FORMAT
	       " presences, %" G_GUINT64_FORMAT " fences, %" G_GUINT64_FORMAT
	       " pauses, %" G_GUINT64_FORMAT " bursts\n",
	       a->logins, c->presences, c->fences, a->pauses, a->bursts);
	printf("ends: %" G_GUINT64_FORMAT " resets, %" G_GUINT64_FORMAT
	       " closes, %" G_GUINT64_FORMAT " takeovers, %" G_GUINT64_FORMAT
	       " drained, %" G_GUINT64_FORMAT " lost, %" G_GUINT64_FORMAT
	       " overloaded, %" G_GUINT64_FORMAT " turned away\n",
	       a->resets, a->closes, a->takeovers, a->drained, a->lost, a->overloaded,
	       a->turned_away);
	printf("server: %u times SIGTERM, %u times SIGKILL\n", soak->terminated, soak->killed);
}

static int
run(const Options *options)
{
	StreamTls *tls = options->tls ? stream_tls_new() : NULL;
	Soak soak = {.options = options};
	const char *verdict;

	printf("seed %u: %u agents, %u s\n", options->seed, options->n, options->seconds);
	fflush(stdout);
	soak.check = check_new(options->n);
	soak.server = server_new(options->dir, options->command);
	soak.agents =
		agents_new(options->n, options->seed, soak.check, soak.server, tls, options->fault);
	play(&soak);
	print_counts(&soak);
	verdict = check_verdict(soak.check);
	if (verdict)
		printf("WRONG: %s (seed %u)\n", verdict, options->seed);
	agents_free(soak.agents);
	server_free(soak.server);
	check_free(soak.check);
	if (tls)
		stream_tls_free(tls);
	return verdict ? 1 : 0;
}

/* ---- the command line ---- */

static int
usage(void)
{
	fputs("usage: soak [-n AGENTS] [-t SECONDS] [-s SEED] [-d DEADLINE] [-m KB] [-f FAULT] "
	      "[-T] "
	      "-w DIR\n"
	      "            SERVER...\n"
	      "SERVER is the command of the server, with what it runs under; its log is in DIR.\n"
	      "-d: seconds in which a calm has to come; -m: kB that the server may keep, 0: any;\n"
	      "-f: lose, twice, swap, stray, untold or deaf: what is told wrongly to the checker;\n"
	      "-T: the server is dialled by TLS\n",
	      stderr);
	return 2;
}

static gboolean
parse_fault(const char *name, Fault *fault)
{
	for (guint i = 0; i < G_N_ELEMENTS(fault_names); i++)
		if (strcmp(fault_names[i], name) == 0) {
			*fault = (Fault)i;
			return TRUE;
		}
	return FALSE;
}

static gboolean
parse_option(Options *options, int option, const char *text)
{
	guint number = (guint)strtoul(text, NULL, 10);

	switch (option) {
	case 'n':
		options->n = number;
		return number >= 3 && number <= 10000;
	case 't':
		options->seconds = number;
		return number > 0;
	case 's':
		options->seed = number;
		return TRUE;
	case 'd':
		options->deadline_s = number;
		return number > 0;
	case 'm':
		options->memory_kb = number;
		return TRUE;
	case 'f':
		return parse_fault(text, &options->fault);
	case 'T':
		options->tls = TRUE;
		return TRUE;
	case 'w':
		options->dir = text;
		return TRUE;
	default:
		return FALSE;
	}
}

int
main(int argc, char **argv)
{
	Options options = {.n = 200, .seconds = 60, .deadline_s = 90, .memory_kb = 2048};
	int option;

	if (sodium_init() < 0)
		return 2;
	options.seed = randombytes_uniform(1000000);
	while ((option = getopt(argc, argv, "+n:t:s:d:m:f:Tw:")) != -1)
		if (!parse_option(&options, option, optarg ? optarg : ""))
			return usage();
	options.command = argv + optind;
	if (!options.dir || !options.command[0])
		return usage();
	return run(&options);
}
