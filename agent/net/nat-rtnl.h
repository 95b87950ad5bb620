/* SPDX-License-Identifier: MIT */
/*
 * NatRtnl: one blocking rtnetlink request and its answer. The socket belongs to the network
 * namespace of the thread that opened it, whoever uses it later. One user at a time.
 */
#pragma once

#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

typedef struct NatRtnl NatRtnl;

NatRtnl *nat_rtnl_new(GError **error);
void nat_rtnl_free(NatRtnl *rtnl);
/* Starts a request in the socket's own buffer (1 kB; transfer none, until the next one).
 * NLM_F_REQUEST is implied, and NLM_F_ACK unless it is a dump. */
struct nlmsghdr *nat_rtnl_begin(NatRtnl *rtnl, guint16 type, guint16 flags);
/* Sends it and calls cb (may be NULL) for each message of the answer. 0 or an errno: the kernel's
 * refusal, or EINTR where a dump changed under the reader, who then forgets what he saw and
 * asks again. */
int nat_rtnl_talk(NatRtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t cb, gpointer data);
/* nat_rtnl_talk for a dump of `type` (header: family and zeroes), asked again after EINTR; reset is
 * called before each attempt. */
int nat_rtnl_dump(NatRtnl *rtnl, guint16 type, gsize header_len, mnl_cb_t cb,
		  void (*reset)(gpointer data), gpointer data);
/* Attributes into tb[0..max], the later of two wins; those past max are ignored. Lengths are
 * checked against the message; types are the reader's to check with mnl_attr_validate. */
void nat_rtnl_attrs(const struct nlmsghdr *nlh, gsize header_len, const struct nlattr **tb,
		    guint16 max);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatRtnl, nat_rtnl_free)
