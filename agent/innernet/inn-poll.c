/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-poll.h"

void
inn_poll_event(InnPoll *poll, gint64 now_us)
{
	poll->event_us = now_us;
}

static guint
grown(guint ms)
{
	return CLAMP(ms + ms / 2, INN_POLL_FAST_MS, INN_POLL_REST_MS);
}

guint
inn_poll_next(InnPoll *poll, const InnPollFacts *facts, gint64 now_us)
{
	gboolean keen = poll->event_us != 0 && now_us - poll->event_us < INN_POLL_KEEN_US;
	guint most = INN_POLL_REST_MS;

	poll->failures = facts->failed ? poll->failures + 1 : 0;
	if (facts->in_use)
		most = INN_POLL_USED_MS;
	if (keen && (facts->failed || facts->unconnected))
		poll->ms = INN_POLL_FAST_MS;
	else if (facts->failed)
		poll->ms = poll->failures == 1 ? INN_POLL_FAST_MS : grown(poll->ms);
	else if (facts->unconnected)
		poll->ms = MIN(grown(poll->ms), most);
	else
		poll->ms = most;
	return poll->ms;
}
