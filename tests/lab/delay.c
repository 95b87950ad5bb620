/* SPDX-License-Identifier: MIT */
/*
 * delay: a link with latency, jitter and loss, where the kernel has no netem.
 *
 *     delay DELAY_MS JITTER_MS LOSS_PERCENT IF_A IF_B NETNS_FD_B
 *
 * makes a TAP device IF_A in its own network namespace and IF_B in the namespace behind the file
 * descriptor, and carries frames from one to the other, each DELAY_MS (plus up to JITTER_MS) later.
 * Order is kept. Prints "ready". Both devices vanish with the process, which dies with its parent.
 *
 * A direction holds at most QUEUE frames; what comes on top is dropped, as on a real link.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 4096
#define FRAME 2048

struct frame {
	int64_t due_ns;
	size_t len;
	uint8_t data[FRAME];
};

struct direction {
	int from, to;
	unsigned int head, count;
	int64_t last_due_ns;
	struct frame *ring;
};

struct link {
	int64_t delay_ns, jitter_ns;
	double loss; /* 0…1 */
};

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
die(const char *what)
{
	fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int
open_tap(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		die("/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		die(name);
	return fd;
}

static void
take_in(struct direction *dir, const struct link *link)
{
	for (;;) {
		struct frame *f, spare;
		bool full = dir->count == QUEUE;
		ssize_t n;

		f = full ? &spare : &dir->ring[(dir->head + dir->count) % QUEUE];
		n = read(dir->from, f->data, FRAME);
		if (n <= 0)
			return;
		if (full || drand48() < link->loss)
			continue;
		f->len = (size_t)n;
		f->due_ns = now_ns() + link->delay_ns + (int64_t)(drand48() * link->jitter_ns);
		if (f->due_ns < dir->last_due_ns)
			f->due_ns = dir->last_due_ns;
		dir->last_due_ns = f->due_ns;
		dir->count++;
	}
}

/* Returns when the next frame is due, or -1. */
static int64_t
give_out(struct direction *dir)
{
	int64_t now = now_ns();

	while (dir->count > 0) {
		struct frame *f = &dir->ring[dir->head];

		if (f->due_ns > now)
			return f->due_ns;
		/* A device that is down takes nothing: the frame is lost. */
		if (write(dir->to, f->data, f->len) < 0 && errno == EAGAIN)
			return now + 1000000;
		dir->head = (dir->head + 1) % QUEUE;
		dir->count--;
	}
	return -1;
}

static void
carry(struct direction dir[2], const struct link *link)
{
	struct pollfd fds[2] = {{.fd = dir[0].from, .events = POLLIN},
				{.fd = dir[1].from, .events = POLLIN}};

	for (;;) {
		int64_t a = give_out(&dir[0]), b = give_out(&dir[1]);
		int64_t due = a < 0 || (b >= 0 && b < a) ? b : a;
		int64_t wait = due < 0 ? 0 : due - now_ns();
		struct timespec ts = {0, 0};

		if (wait > 0) {
			ts.tv_sec = wait / 1000000000;
			ts.tv_nsec = wait % 1000000000;
		}
		if (ppoll(fds, 2, due < 0 ? NULL : &ts, NULL) < 0 && errno != EINTR)
			die("poll");
		if ((fds[0].revents | fds[1].revents) & (POLLERR | POLLNVAL))
			return; /* a device is gone with its namespace */
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				take_in(&dir[i], link);
	}
}

int
main(int argc, char **argv)
{
	struct direction dir[2] = {0};
	struct link link;

	if (argc != 7) {
		fputs("usage: delay DELAY_MS JITTER_MS LOSS_PERCENT IF_A IF_B NETNS_FD_B\n",
		      stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	link.delay_ns = (int64_t)(atof(argv[1]) * 1e6);
	link.jitter_ns = (int64_t)(atof(argv[2]) * 1e6);
	link.loss = atof(argv[3]) / 100;
	dir[0].from = dir[1].to = open_tap(argv[4]);
	if (setns(atoi(argv[6]), CLONE_NEWNET) < 0)
		die("setns");
	dir[0].to = dir[1].from = open_tap(argv[5]);
	for (int i = 0; i < 2; i++)
		if (!(dir[i].ring = calloc(QUEUE, sizeof(struct frame))))
			die("memory");
	puts("ready");
	fflush(stdout);
	carry(dir, &link);
}
