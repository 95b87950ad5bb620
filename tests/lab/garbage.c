/* SPDX-License-Identifier: MIT */
/*
 * garbage: a relay server that has gone mad.
 *
 *     garbage ADDRESS PORT
 *
 * listens for UDP and TCP. Whatever arrives is answered with things that are almost STUN: success
 * and error responses to the very transaction with attributes that overrun, lie about their length,
 * are empty or come a hundred times; ChannelData of channels that nobody bound, with lengths beyond
 * their end; and noise. The same seed each time. Prints "ready"; dies with its parent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 16
#define KINDS 8

struct msg {
	size_t len;
	uint8_t data[1400];
};

static void
die(const char *what)
{
	fprintf(stderr, "garbage: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void
noise(struct msg *msg, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		msg->data[i] = (uint8_t)random();
	msg->len = to;
}

/* The header of a response (RFC 8489 §5) to what was asked; class 0x100: success, 0x110: error. */
static void
begin(struct msg *msg, const uint8_t *asked, size_t len, unsigned int class)
{
	memset(msg, 0, sizeof *msg);
	msg->len = 20;
	if (len >= 20)
		memcpy(msg->data, asked, 20);
	else
		noise(msg, 0, 20);
	msg->data[0] = (uint8_t)((msg->data[0] & 0x3e) | class >> 8);
	msg->data[1] = (uint8_t)((msg->data[1] & 0xef) | (class & 0x10));
}

/* An attribute that says it has `says` bytes and has `has`. */
static void
attribute(struct msg *msg, unsigned int type, size_t says, size_t has)
{
	if (msg->len + 4 + has > sizeof msg->data)
		return;
	put16(&msg->data[msg->len], type);
	put16(&msg->data[msg->len + 2], says);
	noise(msg, msg->len + 4, msg->len + 4 + has);
}

static void
finish(struct msg *msg, int lie)
{
	put16(&msg->data[2], msg->len - 20 + (size_t)lie);
}

static void
make(struct msg *msg, int kind, const uint8_t *asked, size_t len)
{
	begin(msg, asked, len, kind % 2 ? 0x110 : 0x100);
	switch (kind) {
	case 0: /* allocated, by an address of an unknown family, for ever */
		attribute(msg, 0x0016, 8, 8);
		attribute(msg, 0x000d, 4, 4);
		finish(msg, 0);
		break;
	case 1: /* an error without a number; a realm and a nonce without end */
		attribute(msg, 0x0009, 1, 4);
		attribute(msg, 0x0014, 0xffff, 800);
		attribute(msg, 0x0015, 0xffff, 400);
		finish(msg, 0);
		break;
	case 2: /* the same attribute, empty, again and again */
		for (int i = 0; i < 300; i++)
			attribute(msg, 0x0016, 0, 0);
		finish(msg, 0);
		break;
	case 3: /* 401 with all it takes, of noise */
		attribute(msg, 0x0009, 4, 4);
		memcpy(&msg->data[24], "\0\0\4\1", 4);
		attribute(msg, 0x0014, 16, 16);
		attribute(msg, 0x0015, 64, 64);
		finish(msg, 0);
		break;
	case 4: /* longer than it is */
		attribute(msg, 0x0016, 8, 8);
		finish(msg, 1200);
		break;
	case 5: /* 300: try another server, which is at a broadcast address */
		attribute(msg, 0x0009, 4, 4);
		memcpy(&msg->data[24], "\0\0\3\0", 4);
		attribute(msg, 0x8023, 8, 8);
		memcpy(&msg->data[msg->len - 8], "\0\1\x0d\x96\xff\xff\xff\xff", 8);
		finish(msg, 0);
		break;
	case 6: /* ChannelData that ends before its end */
		noise(msg, 0, 100);
		put16(msg->data, 0x4000 + (size_t)(random() % 4));
		put16(&msg->data[2], 0xffff);
		break;
	default:
		noise(msg, 0, 1 + (size_t)random() % sizeof msg->data);
	}
}

static void
answer_datagram(int fd)
{
	uint8_t asked[2048];
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	ssize_t n = recvfrom(fd, asked, sizeof asked, 0, (struct sockaddr *)&from, &size);
	struct msg msg;

	for (int kind = 0; n >= 0 && kind < KINDS; kind++) {
		make(&msg, kind, asked, (size_t)n);
		sendto(fd, msg.data, msg.len, MSG_DONTWAIT, (struct sockaddr *)&from, size);
	}
}

/* FALSE: it has gone. */
static int
answer_stream(int fd)
{
	uint8_t asked[2048];
	ssize_t n = read(fd, asked, sizeof asked);
	struct msg msg;

	for (int kind = 0; n > 0 && kind < KINDS; kind++) {
		make(&msg, kind, asked, (size_t)n);
		send(fd, msg.data, msg.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return n > 0;
}

static int
open_socket(int type, const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, CLIENTS) < 0)
		die("listen");
	return fd;
}

static void
accept_one(struct pollfd *fds, int listener)
{
	int fd = accept(listener, NULL, NULL);

	for (int i = 2; fd >= 0 && i < 2 + CLIENTS; i++) {
		if (fds[i].fd >= 0)
			continue;
		fds[i].fd = fd;
		return;
	}
	close(fd);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	struct pollfd fds[2 + CLIENTS];

	if (argc != 3 || inet_pton(AF_INET, argv[1], &addr.sin_addr) != 1) {
		fputs("usage: garbage ADDRESS PORT\n", stderr);
		return 2;
	}
	addr.sin_port = htons((uint16_t)atoi(argv[2]));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 2 + CLIENTS; i++)
		fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	fds[0].fd = open_socket(SOCK_DGRAM, &addr);
	fds[1].fd = open_socket(SOCK_STREAM, &addr);
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(fds, 2 + CLIENTS, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents)
			answer_datagram(fds[0].fd);
		if (fds[1].revents)
			accept_one(fds, fds[1].fd);
		for (int i = 2; i < 2 + CLIENTS; i++) {
			if (fds[i].fd < 0 || !fds[i].revents || answer_stream(fds[i].fd))
				continue;
			close(fds[i].fd);
			fds[i].fd = -1;
		}
	}
}
