/* SPDX-License-Identifier: MIT */
/* The STUN responder: any packet, answered or not; an answer is small and repeats the transaction.
 */
#include "signaling/sig-stun.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	guint8 answer[SIG_STUN_ANSWER_MAX];
	WgEndpoint from, to;
	gsize len;

	wg_endpoint_parse(size & 1 ? "192.0.2.1:7" : "[2001:db8::1]:7", &from);
	len = sig_stun_answer(data, size, &from, answer, sizeof answer, &to);
	if (len > sizeof answer || (len > 0 && memcmp(answer + 4, data + 4, 16) != 0))
		abort();
	if (len > 0 && (!wg_endpoint_same_address(&to, &from) || wg_endpoint_port(&to) == 0))
		abort();
	return 0;
}
