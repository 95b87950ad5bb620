/* SPDX-License-Identifier: MIT */
/*
 * NatHttpAsk: what somebody wants who speaks HTTP/1 to a server with two pages. Pure; nothing is
 * kept, and nothing of the request is ever repeated to anybody.
 */
#pragma once

#include <glib.h>

#define NAT_HTTP_ASK_MAX 4096 /* bytes of a request; Prometheus sends some 200 */

typedef enum {
	NAT_HTTP_ASK_MORE, /* it is not complete */
	NAT_HTTP_ASK_METRICS,
	NAT_HTTP_ASK_HEALTH,
	NAT_HTTP_ASK_MALFORMED,
	NAT_HTTP_ASK_TOO_LONG,
	NAT_HTTP_ASK_NO_SUCH_PAGE,
	NAT_HTTP_ASK_NO_SUCH_METHOD,
} NatHttpAsk;

/* data: all that came so far, as far as it is kept. Once the answer is another than MORE, further
 * bytes do not change it. Header fields mean nothing; a body is not awaited. */
NatHttpAsk nat_http_ask_parse(const char *data, gsize len);
/* All that is sent (transfer full); the connection ends with it. NULL for MORE. metrics: the page,
 * for METRICS; else unused. */
GBytes *nat_http_ask_answer(NatHttpAsk ask, const char *metrics);
