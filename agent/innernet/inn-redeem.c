/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-redeem.h"

#define LOST_MAX 3
/* A server whose device changed keys a moment too late is met by the second try. */
#define MISSES_MAX 3

#define HTTP_OK 200
#define HTTP_NO_CONTENT 204
#define HTTP_UNAUTHORIZED 401
#define HTTP_GONE 410

static void
connect_by(InnRedeem *redeem, gboolean own)
{
	redeem->own = own;
	redeem->step = INN_REDEEM_CONNECT;
}

static void
fail(InnRedeem *redeem, InnRedeemFailure why, guint status)
{
	redeem->step = INN_REDEEM_FAILED;
	redeem->why = why;
	redeem->status = status;
}

/* Once the server knows our key there is no way back to the invitation's. */
static void
enter(InnRedeem *redeem)
{
	redeem->maybe = TRUE;
	redeem->entered = TRUE;
	redeem->lost = 0;
	redeem->misses = 0;
}

static void
lose_answer(InnRedeem *redeem)
{
	if (++redeem->lost >= LOST_MAX)
		fail(redeem, INN_REDEEM_SILENT, 0);
	else
		connect_by(redeem, redeem->entered);
}

void
inn_redeem_start(InnRedeem *redeem, InnRedeemStart start)
{
	*redeem = (InnRedeem){.maybe = start != INN_REDEEM_FRESH,
			      .entered = start == INN_REDEEM_ENTERED};
	/* An attempt that was broken off will mostly not have come to its redemption. */
	connect_by(redeem, redeem->entered);
}

void
inn_redeem_connected(InnRedeem *redeem, gboolean handshake)
{
	if (handshake) {
		redeem->misses = 0;
		redeem->step = redeem->own ? INN_REDEEM_ASK : INN_REDEEM_SEND;
		return;
	}
	redeem->misses++;
	if (redeem->entered && redeem->misses < MISSES_MAX)
		connect_by(redeem, TRUE);
	else if (!redeem->entered && redeem->maybe && redeem->misses < MISSES_MAX)
		connect_by(redeem, !redeem->own);
	else
		fail(redeem, INN_REDEEM_UNREACHABLE, 0);
}

void
inn_redeem_sent(InnRedeem *redeem, guint status)
{
	switch (status) {
	case HTTP_OK:
	case HTTP_NO_CONTENT:
		enter(redeem);
		redeem->step = INN_REDEEM_WAIT;
		break;
	case HTTP_UNAUTHORIZED:
	case HTTP_GONE:
		redeem->step = INN_REDEEM_ASK;
		break;
	case 0:
		redeem->maybe = TRUE;
		lose_answer(redeem);
		break;
	default:
		/* also a server that failed after it had entered the key */
		redeem->maybe = TRUE;
		fail(redeem, INN_REDEEM_STRANGE, status);
		break;
	}
}

/* By the invitation's key, after the server refused to redeem it. */
static void
asked_as_invited(InnRedeem *redeem, InnRedeemRecord record)
{
	switch (record) {
	case INN_REDEEM_OUR_KEY:
		enter(redeem);
		redeem->step = INN_REDEEM_WAIT;
		break;
	case INN_REDEEM_OTHER_KEY:
		redeem->maybe = FALSE;
		fail(redeem, INN_REDEEM_TAKEN, HTTP_OK);
		break;
	case INN_REDEEM_UNNAMED:
		fail(redeem, INN_REDEEM_STRANGE, HTTP_OK);
		break;
	}
}

void
inn_redeem_asked(InnRedeem *redeem, guint status, InnRedeemRecord record)
{
	if (status == 0) {
		lose_answer(redeem);
	} else if (status == HTTP_UNAUTHORIZED) {
		fail(redeem, redeem->own ? INN_REDEEM_DISABLED : INN_REDEEM_EXPIRED, status);
	} else if (status != HTTP_OK) {
		fail(redeem, INN_REDEEM_STRANGE, status);
	} else if (!redeem->own) {
		asked_as_invited(redeem, record);
	} else if (record == INN_REDEEM_OUR_KEY) {
		enter(redeem);
		redeem->step = INN_REDEEM_DONE;
	} else {
		fail(redeem, INN_REDEEM_STRANGE, status);
	}
}

void
inn_redeem_waited(InnRedeem *redeem)
{
	connect_by(redeem, TRUE);
}
