/* SPDX-License-Identifier: MIT */
/*
 * delay: a link with latency, jitter, loss and a rate, where the kernel has no netem.
 *
 *     delay FILE IF_A IF_B NETNS_FD_B
 *
 * makes a TAP device IF_A in its own network namespace and IF_B in the namespace behind the file
 * descriptor, and carries frames from one to the other as FILE says, one line:
 *
 *     DELAY_MS JITTER_MS LOSS_PERCENT MBIT
 *
 * Each arrives DELAY_MS (plus up to JITTER_MS) later, no more than MBIT (0: any number) of a
 * million bits a second each way. SIGUSR1 reads FILE again, for the frames that come then. Order is
 * kept. Prints "ready". Both devices vanish with the process, which dies with its parent.
 *
 * A direction holds at most QUEUE frames, and RATE_QUEUE_NS of them waiting for the rate; what
 * comes on top is dropped, as on a real link.
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
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 4096
#define FRAME 2048
#define RATE_QUEUE_NS INT64_C(100000000)

struct frame {
	int64_t due_ns;
	size_t len;
	uint8_t data[FRAME];
};

struct direction {
	int from, to;
	unsigned int head, count;
	int64_t last_due_ns, free_ns; /* free: when the rate lets the next frame go */
	struct frame *ring;
};

struct link {
	int64_t delay_ns, jitter_ns;
	double loss;	/* 0…1 */
	double bit_ns;	/* how long a bit takes */
	int signals_fd; /* SIGUSR1 */
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

/* What cannot be read or makes no sense changes nothing. */
static bool
read_link(struct link *link, const char *path)
{
	double delay_ms, jitter_ms, loss, mbit;
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fscanf(f, "%lf %lf %lf %lf", &delay_ms, &jitter_ms, &loss, &mbit) == 4 &&
	     delay_ms >= 0 && jitter_ms >= 0 && mbit >= 0;
	fclose(f);
	if (!ok)
		return false;
	link->delay_ns = (int64_t)(delay_ms * 1e6);
	link->jitter_ns = (int64_t)(jitter_ms * 1e6);
	link->loss = loss / 100;
	link->bit_ns = mbit > 0 ? 1e3 / mbit : 0;
	return true;
}

/* When the last bit of a frame that comes now has left, or -1: the queue is full. */
static int64_t
leaves(struct direction *dir, const struct link *link, size_t len, int64_t now)
{
	int64_t start = dir->free_ns > now ? dir->free_ns : now;

	if (start - now > RATE_QUEUE_NS)
		return -1;
	dir->free_ns = start + (int64_t)((double)len * 8 * link->bit_ns);
	return dir->free_ns;
}

static void
take_in(struct direction *dir, const struct link *link)
{
	for (;;) {
		struct frame *f, spare;
		bool full = dir->count == QUEUE;
		int64_t left;
		ssize_t n;

		f = full ? &spare : &dir->ring[(dir->head + dir->count) % QUEUE];
		n = read(dir->from, f->data, FRAME);
		if (n <= 0)
			return;
		if (full || drand48() < link->loss)
			continue;
		left = leaves(dir, link, (size_t)n, now_ns());
		if (left < 0)
			continue;
		f->len = (size_t)n;
		f->due_ns = left + link->delay_ns + (int64_t)(drand48() * link->jitter_ns);
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
carry(struct direction dir[2], struct link *link, const char *path)
{
	struct pollfd fds[3] = {{.fd = dir[0].from, .events = POLLIN},
				{.fd = dir[1].from, .events = POLLIN},
				{.fd = link->signals_fd, .events = POLLIN}};
	struct signalfd_siginfo info;

	for (;;) {
		int64_t a = give_out(&dir[0]), b = give_out(&dir[1]);
		int64_t due = a < 0 || (b >= 0 && b < a) ? b : a;
		int64_t wait = due < 0 ? 0 : due - now_ns();
		struct timespec ts = {0, 0};

		if (wait > 0) {
			ts.tv_sec = wait / 1000000000;
			ts.tv_nsec = wait % 1000000000;
		}
		if (ppoll(fds, 3, due < 0 ? NULL : &ts, NULL) < 0 && errno != EINTR)
			die("poll");
		if ((fds[0].revents | fds[1].revents) & (POLLERR | POLLNVAL))
			return; /* a device is gone with its namespace */
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				take_in(&dir[i], link);
		if (fds[2].revents && read(link->signals_fd, &info, sizeof info) > 0 &&
		    !read_link(link, path))
			fprintf(stderr, "delay: %s makes no sense\n", path);
	}
}

static int
open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if ((fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		die("signalfd");
	return fd;
}

int
main(int argc, char **argv)
{
	struct direction dir[2] = {0};
	struct link link = {0};

	if (argc != 5) {
		fputs("usage: delay FILE IF_A IF_B NETNS_FD_B\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!read_link(&link, argv[1])) {
		fprintf(stderr, "delay: %s: DELAY_MS JITTER_MS LOSS_PERCENT MBIT\n", argv[1]);
		return 2;
	}
	link.signals_fd = open_signals();
	dir[0].from = dir[1].to = open_tap(argv[2]);
	if (setns(atoi(argv[4]), CLONE_NEWNET) < 0)
		die("setns");
	dir[0].to = dir[1].from = open_tap(argv[3]);
	for (int i = 0; i < 2; i++)
		if (!(dir[i].ring = calloc(QUEUE, sizeof(struct frame))))
			die("memory");
	puts("ready");
	fflush(stdout);
	carry(dir, &link, argv[1]);
}
