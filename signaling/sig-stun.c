/* SPDX-License-Identifier: MIT */
#include "signaling/sig-stun.h"

#include <string.h>
#include <stun/stunagent.h>
#include <stun/stunmessage.h>
#include <sys/socket.h>

#include "signaling/sig-gate.h"

#define REQUEST_MAX 548			      /* RFC 8489 §6.1: what fits any path */
#define RESPONSE_PORT ((StunAttribute)0x0027) /* RFC 5780 §7.5; libnice has no name for it */
#define BATCH 64			      /* then others have their turn */

/* A bare Binding request with the magic cookie: everything else costs no more than this. */
static gboolean
looks_right(const guint8 *p, gsize len)
{
	static const guint8 cookie[] = {0x21, 0x12, 0xa4, 0x42};

	return len >= STUN_MESSAGE_HEADER_LENGTH && len <= REQUEST_MAX && p[0] == 0x00 &&
	       p[1] == 0x01 && memcmp(p + 4, cookie, sizeof cookie) == 0;
}

/* Where the answer goes. FALSE: nowhere. */
static gboolean
read_destination(const StunMessage *request, const WgEndpoint *from, WgEndpoint *to)
{
	guint16 len = 0, port = 0;
	const guint8 *value = stun_message_find(request, RESPONSE_PORT, &len);

	*to = *from;
	if (!value)
		return TRUE;
	if (len == 2 || len == 4) /* with or without what is reserved */
		port = (guint16)(value[0] << 8 | value[1]);
	wg_endpoint_set_port(to, port);
	return port != 0;
}

gsize
sig_stun_answer(const guint8 *request, gsize len, const WgEndpoint *from, guint8 *out, gsize size,
		WgEndpoint *to)
{
	static const guint16 known[] = {STUN_ATTRIBUTE_USERNAME, STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
					STUN_ATTRIBUTE_PRIORITY, STUN_ATTRIBUTE_USE_CANDIDATE,
					RESPONSE_PORT,		 0};
	struct sockaddr_storage address = {0};
	StunMessage in, answer;
	StunAgent agent;

	if (!looks_right(request, len))
		return 0;
	stun_agent_init(&agent, known, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_IGNORE_CREDENTIALS);
	if (stun_agent_validate(&agent, &in, request, len, NULL, NULL) != STUN_VALIDATION_SUCCESS ||
	    !read_destination(&in, from, to))
		return 0;
	memcpy(&address, from, wg_endpoint_socklen(from));
	if (!stun_agent_init_response(&agent, &answer, out, size, &in) ||
	    stun_message_append_xor_addr(&answer, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &address,
					 wg_endpoint_socklen(from)) != STUN_MESSAGE_RETURN_SUCCESS)
		return 0;
	return stun_agent_finish_message(&agent, &answer, NULL, 0);
}

/* The answer must leave from the address that was asked (a socket bound to a wildcard would choose
 * by route); the interface is left to routing. */
static void
pin_source(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

			info->ipi_spec_dst = info->ipi_addr;
			info->ipi_ifindex = 0;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

			if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
				info->ipi6_ifindex = 0;
		}
	}
}

static gboolean
serve_one(int fd, SigRateLimit *limit, gint64 now)
{
	guint8 request[REQUEST_MAX + 1], answer[SIG_STUN_ANSWER_MAX];
	union {
		struct cmsghdr align;
		guint8 bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
	struct sockaddr_storage source;
	struct iovec iov = {request, sizeof request};
	struct msghdr msg = {.msg_name = &source,
			     .msg_namelen = sizeof source,
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof control};
	ssize_t len = recvmsg(fd, &msg, MSG_DONTWAIT);
	const guint8 *prefix;
	WgEndpoint from, to;
	gsize prefix_len;

	if (len < 0)
		return FALSE;
	if (!wg_endpoint_from_sockaddr(&from, &source, msg.msg_namelen))
		return TRUE;
	prefix = sig_gate_prefix(&from, &prefix_len);
	if (!looks_right(request, len) || !sig_rate_limit_take(limit, prefix, prefix_len, 1, now))
		return TRUE;
	iov.iov_base = answer;
	iov.iov_len = sig_stun_answer(request, len, &from, answer, sizeof answer, &to);
	if (iov.iov_len == 0)
		return TRUE;
	pin_source(&msg);
	/* the address as it came, scope and all */
	((struct sockaddr_in *)&source)->sin_port = htons(wg_endpoint_port(&to));
	(void)sendmsg(fd, &msg, MSG_DONTWAIT); /* a lost answer is asked for again */
	return TRUE;
}

void
sig_stun_serve(int fd, SigRateLimit *limit, gint64 now)
{
	for (guint i = 0; i < BATCH && serve_one(fd, limit, now); i++)
		;
}
