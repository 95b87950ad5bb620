/* SPDX-License-Identifier: MIT */
#include "signaling/sig-stun-site.h"

#include <sys/socket.h>
#include <unistd.h>

#include "signaling/sig-gate.h"
#include "signaling/sig-socket.h"
#include "signaling/sig-stun.h"

#define BATCH 64	/* then others have their turn */
#define PORT_0_TRIES 16 /* for a free port whose neighbours are free as well */

struct SigStunSite {
	WgEndpoint address[2]; /* as bound, with port P; the second may be unset */
	guint16 port[2];       /* of the first address; the second 0 when not there */
	int fd[SIG_STUN_SITE_SOCKETS];
	gboolean pair;
	const GArray *externals;
};

/* ---- opening ---- */

static void
close_all(SigStunSite *site)
{
	for (guint i = 0; i < SIG_STUN_SITE_SOCKETS; i++) {
		if (site->fd[i] >= 0)
			close(site->fd[i]);
		site->fd[i] = -1;
	}
}

static void
open_next(SigStunSite *site, guint address)
{
	WgEndpoint next = site->address[address];

	wg_endpoint_set_port(&next, wg_endpoint_port(&next) + 1);
	if (wg_endpoint_port(&next) != 0)
		site->fd[2 * address + 1] = sig_socket_udp(&next, NULL);
}

/* FALSE: an address cannot be had at all. */
static gboolean
open_all(SigStunSite *site, const SigStunPair *pair, GError **error)
{
	gboolean two = wg_endpoint_is_set(&pair->second);

	site->fd[0] = sig_socket_udp(&pair->first, error);
	if (site->fd[0] < 0)
		return FALSE;
	sig_socket_address(site->fd[0], &site->address[0]);
	site->port[0] = wg_endpoint_port(&site->address[0]);
	open_next(site, 0);
	site->port[1] = site->fd[1] >= 0 ? site->port[0] + 1 : 0;
	if (!two)
		return TRUE;
	site->address[1] = pair->second;
	wg_endpoint_set_port(&site->address[1], site->port[0]);
	site->fd[2] = sig_socket_udp(&site->address[1], error);
	if (site->fd[2] < 0)
		return FALSE;
	open_next(site, 1);
	site->pair = site->fd[1] >= 0 && site->fd[3] >= 0;
	return TRUE;
}

static gboolean
is_complete(const SigStunSite *site, const SigStunPair *pair)
{
	return wg_endpoint_is_set(&pair->second) ? site->pair : site->fd[1] >= 0;
}

SigStunSite *
sig_stun_site_new(const SigStunPair *pair, const GArray *externals, GError **error)
{
	g_autoptr(SigStunSite) site = g_new0(SigStunSite, 1);
	guint tries = wg_endpoint_port(&pair->first) == 0 ? PORT_0_TRIES : 1;

	site->externals = externals;
	for (guint i = 0; i < SIG_STUN_SITE_SOCKETS; i++)
		site->fd[i] = -1;
	for (guint i = 1; i < tries; i++) {
		if (open_all(site, pair, NULL) && is_complete(site, pair))
			return g_steal_pointer(&site);
		close_all(site);
	}
	return open_all(site, pair, error) ? g_steal_pointer(&site) : NULL;
}

void
sig_stun_site_free(SigStunSite *site)
{
	close_all(site);
	g_free(site);
}

int
sig_stun_site_fd(const SigStunSite *site, guint index)
{
	return site->fd[index];
}

gboolean
sig_stun_site_is_pair(const SigStunSite *site)
{
	return site->pair;
}

guint16
sig_stun_site_port(const SigStunSite *site, guint16 *next)
{
	*next = site->port[1];
	return site->port[0];
}

/* ---- serving ---- */

typedef union {
	struct cmsghdr align;
	guint8 bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
} Control;

/* The address that was asked; unset when the kernel does not say. The answer must leave from it (a
 * socket bound to a wildcard would choose by route), so what came as control data is turned into
 * what goes; the interface is left to routing. */
static WgEndpoint
pin_source(struct msghdr *msg)
{
	WgEndpoint asked = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

			wg_endpoint_from_bytes(&asked, &info->ipi_addr, 4, 0);
			info->ipi_spec_dst = info->ipi_addr;
			info->ipi_ifindex = 0;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

			wg_endpoint_from_bytes(&asked, &info->ipi6_addr, 16, 0);
			if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
				info->ipi6_ifindex = 0;
		}
	}
	return asked;
}

static SigStunPlace
place_of(const SigStunSite *site, guint index, const WgEndpoint *asked)
{
	guint address = index / 2, port = index % 2;
	const WgEndpoint *bound = &site->address[address];
	SigStunPlace place = {.asked.local = wg_endpoint_is_wildcard(bound) ? *asked : *bound};

	place.asked.seen = sig_stun_external_of(site->externals, &place.asked.local);
	if (site->pair) {
		place.other.local = site->address[!address];
		place.other.seen = sig_stun_external_of(site->externals, &place.other.local);
	}
	/* P is bound wherever P + 1 is */
	place.asked_port = (guint16)(site->port[0] + port);
	if (site->fd[2 * address + !port] >= 0)
		place.other_port = (guint16)(site->port[0] + !port);
	return place;
}

static gboolean
send_answer(const SigStunSite *site, guint index, const SigStunAnswer *answer, struct msghdr *msg)
{
	struct iovec iov = {(gpointer)answer->out, answer->len};

	msg->msg_iov = &iov;
	/* the address as it came, scope and all */
	((struct sockaddr_in *)msg->msg_name)->sin_port = htons(wg_endpoint_port(&answer->to));
	if (answer->other_address) {
		index ^= 2;
		msg->msg_control = NULL; /* that socket has its address */
		msg->msg_controllen = 0;
	}
	if (answer->other_port)
		index ^= 1;
	return sendmsg(site->fd[index], msg, MSG_DONTWAIT) == (ssize_t)answer->len;
}

/* Which count the packet falls into. */
static guint64 *
serve(const SigStunSite *site, guint index, const guint8 *request, gsize len, struct msghdr *msg,
      SigRateLimit *limit, SigStunCounts *counts, gint64 now)
{
	SigStunAnswer answer;
	SigStunPlace place;
	WgEndpoint from, asked;
	const guint8 *prefix;
	gsize prefix_len;

	if (!sig_stun_is_request(request, len) ||
	    !wg_endpoint_from_sockaddr(&from, msg->msg_name, msg->msg_namelen))
		return &counts->malformed;
	prefix = sig_gate_prefix(&from, &prefix_len);
	if (!sig_rate_limit_take(limit, prefix, prefix_len, 1, now))
		return &counts->rate_limited;
	asked = pin_source(msg);
	place = place_of(site, index, &asked);
	if (!sig_stun_answer(request, len, &from, &place, &answer))
		return &counts->malformed;
	if (!send_answer(site, index, &answer, msg)) /* it is asked for again */
		return &counts->unsent;
	return answer.error ? &counts->refused : &counts->answered;
}

static gboolean
serve_one(const SigStunSite *site, guint index, SigRateLimit *limit, SigStunCounts *counts,
	  gint64 now)
{
	guint8 request[SIG_STUN_REQUEST_MAX + 1]; /* one more: too long is seen */
	Control control;
	struct sockaddr_storage source;
	struct iovec iov = {request, sizeof request};
	struct msghdr msg = {.msg_name = &source,
			     .msg_namelen = sizeof source,
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof control};
	ssize_t len = recvmsg(site->fd[index], &msg, MSG_DONTWAIT);

	if (len < 0)
		return FALSE;
	counts->requests++;
	++*serve(site, index, request, (gsize)len, &msg, limit, counts, now);
	return TRUE;
}

void
sig_stun_site_serve(SigStunSite *site, guint index, SigRateLimit *limit, SigStunCounts *counts,
		    gint64 now)
{
	for (guint i = 0; i < BATCH && serve_one(site, index, limit, counts, now); i++)
		;
}
