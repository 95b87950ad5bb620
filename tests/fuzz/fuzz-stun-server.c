/* SPDX-License-Identifier: MIT */
/*
 * The STUN responder: any packet at any kind of place, answered or not. An answer repeats the
 * transaction, goes to who asked, leaves from where there is a socket, is no larger than the
 * request but for the least one, and is itself never answered. The first byte chooses the place and
 * the source; the request is in a block of its own size, so that reading beyond it is seen.
 */
#include "signaling/sig-stun.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(gboolean true_thing)
{
	if (!true_thing)
		abort();
}

static WgEndpoint
ep(const char *text)
{
	WgEndpoint out;

	must(wg_endpoint_parse(text, &out));
	return out;
}

static SigStunPlace
place(uint8_t how)
{
	gboolean v6 = how & 1;
	SigStunPlace out = {.asked_port = 3478, .other_port = how & 2 ? 3479 : 0};

	if (how & 4)
		out.asked.local = out.asked.seen = ep(v6 ? "[2001:db8::4]:0" : "192.0.2.4:0");
	if ((how & 4) && (how & 8))
		out.other.local = out.other.seen = ep(v6 ? "[2001:db8::5]:0" : "192.0.2.5:0");
	if (how & 16)
		out.asked.seen = ep(v6 ? "[2001:db8:1::4]:0" : "203.0.113.4:0");
	return out;
}

static WgEndpoint
source(uint8_t how)
{
	static const char *const texts[][2] = {
		{"198.51.100.7:50000", "[2001:db8:7::7]:50000"},
		{"198.51.100.7:7", "[2001:db8:7::7]:7"},
		{"192.0.2.4:3478", "[2001:db8::4]:3478"},
		{"192.0.2.5:40000", "[2001:db8::5]:40000"},
	};

	return ep(texts[how >> 5 & 3][how & 1]);
}

static void
check(const uint8_t *request, size_t size, const WgEndpoint *from, const SigStunPlace *where,
      const SigStunAnswer *answer)
{
	gsize least = wg_endpoint_family(from) == AF_INET ? 32 : 44;
	SigStunAnswer again;

	must(size >= 20 && answer->len >= (answer->error ? 28 : least));
	must(answer->len <= (answer->error ? size : MAX(size, least)));
	must(answer->len <= SIG_STUN_ANSWER_MAX && answer->len % 4 == 0);
	must(memcmp(answer->out + 4, request + 4, 16) == 0);
	must(answer->out[0] == 1 && answer->out[1] == (answer->error ? 0x11 : 0x01));
	must((gsize)(answer->out[2] << 8 | answer->out[3]) == answer->len - 20);
	must(wg_endpoint_same_address(&answer->to, from) && wg_endpoint_port(&answer->to) != 0);
	must(!answer->error || wg_endpoint_equal(&answer->to, from));
	must(wg_endpoint_port(&answer->to) >= 1024 || wg_endpoint_equal(&answer->to, from));
	must(!answer->other_port || where->other_port != 0);
	must(!answer->other_address || wg_endpoint_is_set(&where->other.local));
	must(!sig_stun_answer(answer->out, answer->len, from, where, &again));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SigStunPlace where;
	SigStunAnswer answer;
	WgEndpoint from;
	uint8_t *request;

	if (size == 0)
		return 0;
	where = place(data[0]);
	from = source(data[0]);
	request = g_memdup2(data + 1, --size);
	if (sig_stun_answer(request, size, &from, &where, &answer))
		check(request, size, &from, &where, &answer);
	g_free(request);
	return 0;
}
