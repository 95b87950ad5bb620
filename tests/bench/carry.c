/* SPDX-License-Identifier: MIT */
/*
 * carry: what a relay carries. Sends packets into one side of it, counts them at the other.
 *
 *     carry turn OWN SERVER DIRECTION RATE SECONDS PID
 *         the relay is a TURN server without authentication at SERVER: a client with a channel,
 *         and its peer, both at the address OWN
 *     carry bridge OWN SERVER DIRECTION RATE SECONDS PID PORT
 *         the relay is `bridge` on SERVER, in the namespace of descriptor 9: a TURN server at OWN,
 *         and WireGuard's port on the bridge's loopback; PORT is the bridge's there
 *
 * DIRECTION: out (to the TURN server or the client's peer) or in. RATE: packets/s, 0: all it can.
 * Prints packets sent, packets received, the nanoseconds of CPU that the process PID took
 * meanwhile, and its share of a core in percent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/proc.h"

#define DATA 1400
#define HEADER 4
#define CHANNEL 0x4000
#define BATCH 64
#define TICK_NS 500000
#define TURN_PORT 3478
#define BRIDGE_PORT 40000
#define WG_PORT 51820
#define NETNS_FD 9
#define MAGIC 0x2112a442u

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* One end of the relay: a socket, and whether its packets have ChannelData's header. */
struct end {
	int fd;
	int framed;
};

struct sink {
	struct end end;
	_Atomic int stop;
	_Atomic uint64_t packets;
};

static void
die(const char *what)
{
	fprintf(stderr, "carry: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- sockets ---- */

static struct sockaddr_in
address(const char *text, int port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, text, &sa.sin_addr) != 1)
		die(text);
	return sa;
}

static int
open_udp(struct sockaddr_in own)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 16 << 20, on = 1;
	struct timeval timeout = {.tv_usec = 50000};

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
	return fd;
}

static void
connect_to(int fd, struct sockaddr_in to)
{
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
}

/* ---- a TURN client, as small as it gets: RFC 8656 §7.1, §12.1 ---- */

static void
put_header(uint8_t *msg, uint16_t type, uint16_t len)
{
	static uint8_t id;
	uint32_t magic = htonl(MAGIC);

	memset(msg, ++id, 20);
	memcpy(msg, (uint16_t[]){htons(type), htons(len)}, 4);
	memcpy(msg + 4, &magic, sizeof magic);
}

static ssize_t
ask(int fd, const uint8_t *msg, size_t len, uint8_t *answer, size_t size)
{
	for (int i = 0; i < 100; i++) {
		ssize_t n;

		send(fd, msg, len, 0);
		n = recv(fd, answer, size, 0);
		if (n >= 20 && answer[0] == 1 && answer[1] == msg[1])
			return n;
		if (n >= 20)
			break;
	}
	fprintf(stderr, "carry: the TURN server refused\n");
	exit(1);
}

static struct sockaddr_in
allocate(int fd)
{
	uint8_t msg[28], answer[1500];
	struct sockaddr_in relayed = {.sin_family = AF_INET};
	ssize_t n;

	put_header(msg, 0x0003, 8);
	memcpy(msg + 20, (uint8_t[]){0, 0x19, 0, 4, IPPROTO_UDP, 0, 0, 0}, 8);
	n = ask(fd, msg, sizeof msg, answer, sizeof answer);
	for (ssize_t at = 20; at + 12 <= n;
	     at += 4 + ((answer[at + 2] << 8 | answer[at + 3]) + 3) / 4 * 4) {
		if (answer[at] != 0 || answer[at + 1] != 0x16)
			continue;
		memcpy(&relayed.sin_port, answer + at + 6, 2);
		memcpy(&relayed.sin_addr, answer + at + 8, 4);
		relayed.sin_port ^= htons(MAGIC >> 16);
		relayed.sin_addr.s_addr ^= htonl(MAGIC);
	}
	return relayed;
}

static void
bind_channel(int fd, struct sockaddr_in peer)
{
	uint8_t msg[40], answer[1500];

	put_header(msg, 0x0009, 20);
	memcpy(msg + 20, (uint8_t[]){0, 0x0c, 0, 4, CHANNEL >> 8, CHANNEL & 0xff, 0, 0}, 8);
	memcpy(msg + 28, (uint8_t[]){0, 0x12, 0, 8, 0, 1}, 6);
	peer.sin_port ^= htons(MAGIC >> 16);
	peer.sin_addr.s_addr ^= htonl(MAGIC);
	memcpy(msg + 34, &peer.sin_port, 2);
	memcpy(msg + 36, &peer.sin_addr, 4);
	ask(fd, msg, sizeof msg, answer, sizeof answer);
}

/* ---- the two ends ---- */

static void
open_turn(const char *own, const char *server, struct end *near, struct end *far)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;

	*near = (struct end){open_udp(address(own, 0)), 1};
	*far = (struct end){open_udp(address(own, 0)), 0};
	connect_to(near->fd, address(server, TURN_PORT));
	getsockname(far->fd, (struct sockaddr *)&peer, &len);
	connect_to(far->fd, allocate(near->fd));
	bind_channel(near->fd, peer);
}

static void
open_bridge(const char *own, const char *server, int port, struct end *near, struct end *far)
{
	*far = (struct end){open_udp(address(own, TURN_PORT)), 1};
	connect_to(far->fd, address(server, BRIDGE_PORT));
	if (setns(NETNS_FD, CLONE_NEWNET) < 0)
		die("setns");
	*near = (struct end){open_udp(address("127.0.0.1", WG_PORT)), 0};
	connect_to(near->fd, address("127.0.0.1", port));
}

/* ---- carrying ---- */

/* Reads lengths only: the last packet of what came together may be shorter than the others. */
static void *
receive(void *data)
{
	struct sink *sink = data;
	size_t size = sink->end.framed ? DATA + HEADER : DATA;
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov;
	uint8_t byte;

	iov = (struct iovec){&byte, 1};
	for (int i = 0; i < BATCH; i++)
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	while (!sink->stop) {
		int n = recvmmsg(sink->end.fd, msgs, BATCH, MSG_WAITFORONE | MSG_TRUNC, NULL);

		for (int i = 0; i < n; i++)
			sink->packets += (msgs[i].msg_len + size - 1) / size;
	}
	return NULL;
}

static void
fill(const struct end *end, uint8_t *packet)
{
	if (end->framed) {
		memcpy(packet, (uint8_t[]){CHANNEL >> 8, CHANNEL & 0xff, DATA >> 8, DATA & 0xff},
		       HEADER);
		packet += HEADER;
	}
	memset(packet, 0x5a, DATA);
	memcpy(packet, (uint8_t[]){4, 0, 0, 0}, 4); /* WireGuard's transport data */
}

static uint64_t
send_some(const struct end *end, uint64_t most)
{
	static uint8_t packet[HEADER + DATA];
	struct iovec iov = {packet, end->framed ? HEADER + DATA : DATA};
	struct mmsghdr msgs[BATCH] = {0};
	uint64_t sent = 0;

	fill(end, packet);
	for (int i = 0; i < BATCH; i++)
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	while (sent < most) {
		int n = sendmmsg(end->fd, msgs,
				 (unsigned)(most - sent < BATCH ? most - sent : BATCH), 0);

		if (n <= 0)
			break;
		sent += (unsigned)n;
	}
	return sent;
}

static uint64_t
blast(const struct end *end, double rate, int64_t ns)
{
	int64_t start = now_ns(), now = start;
	uint64_t sent = 0;

	for (; now - start < ns; now = now_ns()) {
		int64_t next = (now - start) / TICK_NS * TICK_NS + TICK_NS + start;
		struct timespec until = {next / 1000000000, next % 1000000000};
		double due = rate * (double)(now - start) / 1e9;

		if (rate == 0) {
			sent += send_some(end, BATCH * 16);
			continue;
		}
		if (due > (double)sent)
			sent += send_some(end, (uint64_t)(due - (double)sent));
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	return sent;
}

/* Under SCHED_RR the counter would else wait for the sender's slice to end, and lose packets. */
static void
prefer(pthread_t thread)
{
	struct sched_param param;
	int policy;

	if (pthread_getschedparam(thread, &policy, &param) == 0 && policy == SCHED_RR) {
		param.sched_priority++;
		pthread_setschedparam(thread, policy, &param);
	}
}

int
main(int argc, char **argv)
{
	struct end near = {0}, far = {0};
	struct sink sink = {0};
	pthread_t thread;
	uint64_t sent;
	int64_t start, cpu, ns;
	int out, pid;

	if (argc < 8)
		return 2;
	pid = atoi(argv[7]);
	out = strcmp(argv[4], "out") == 0;
	if (strcmp(argv[1], "bridge") == 0 && argc == 9)
		open_bridge(argv[2], argv[3], atoi(argv[8]), &near, &far);
	else
		open_turn(argv[2], argv[3], &near, &far);
	sink.end = out ? far : near;
	pthread_create(&thread, NULL, receive, &sink);
	prefer(thread);
	cpu = proc_cpu_ns(pid);
	start = now_ns();
	sent = blast(out ? &near : &far, atof(argv[5]), atoll(argv[6]) * INT64_C(1000000000));
	ns = now_ns() - start;
	usleep(300000); /* what is on its way */
	sink.stop = 1;
	pthread_join(thread, NULL);
	cpu = proc_cpu_ns(pid) - cpu;
	printf("%llu %llu %lld %.0f\n", (unsigned long long)sent, (unsigned long long)sink.packets,
	       (long long)cpu, 100.0 * (double)cpu / (double)ns);
	return 0;
}
