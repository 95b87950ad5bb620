/* SPDX-License-Identifier: MIT */
#include "agent/session/nat-session.h"

#include <string.h>

void
nat_session_init(NatSession *session, guint64 sid)
{
	memset(session, 0, sizeof *session);
	session->local = sid;
}

void
nat_session_renew(NatSession *session, guint64 sid)
{
	session->local = sid;
	session->seq = 0;
}

static gboolean
is_retired(const NatSession *session, guint64 sid)
{
	for (guint i = 0; i < NAT_SESSION_RETIRED; i++)
		if (session->retired[i] == sid)
			return TRUE;
	return FALSE;
}

static void
follow(NatSession *session, const NatMsg *msg)
{
	if (session->remote != 0) {
		memmove(session->retired + 1, session->retired,
			sizeof session->retired - sizeof session->retired[0]);
		session->retired[0] = session->remote;
	}
	session->remote = msg->sid;
	session->remote_seq = msg->seq;
	session->seen = msg->sid;
}

NatSessionVerdict
nat_session_receive(NatSession *session, const NatMsg *msg, gboolean live, gboolean *behind)
{
	*behind = FALSE;
	if (is_retired(session, msg->sid))
		return NAT_SESSION_DROP;
	if (msg->sid == session->remote) {
		if (msg->seq <= session->remote_seq)
			return NAT_SESSION_DROP;
		session->remote_seq = msg->seq;
		session->seen = msg->sid;
		*behind = msg->echo != session->local;
		return NAT_SESSION_UPDATE;
	}
	*behind = msg->echo != session->local;
	if (*behind && live) {
		/* Perhaps a restart, perhaps a replay: only an echo of our id can tell. */
		session->seen = msg->sid;
		return NAT_SESSION_ANSWER;
	}
	follow(session, msg);
	return NAT_SESSION_NEW;
}

void
nat_session_stamp(NatSession *session, NatMsg *msg)
{
	msg->sid = session->local;
	msg->echo = session->seen;
	msg->seq = ++session->seq;
}
