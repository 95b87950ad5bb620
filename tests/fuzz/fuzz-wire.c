/* SPDX-License-Identifier: MIT */
/* Frames as they come from the network, text and binary; what decodes must encode again. */
#include "signaling/sig-wire.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
encode_again(const SigFrame *frame)
{
	g_autofree char *text = NULL;
	g_auto(SigFrame) again = {0};

	if (frame->type == SIG_FRAME_INTEREST)
		text = sig_wire_encode_interest(frame->interest.add.keys, frame->interest.add.n,
						frame->interest.remove.keys,
						frame->interest.remove.n);
	else if (frame->type == SIG_FRAME_LOGIN)
		text = sig_wire_encode_login(&frame->login);
	else if (frame->type == SIG_FRAME_HELLO)
		text = sig_wire_encode_hello(&frame->hello);
	else if (frame->type == SIG_FRAME_ERROR)
		text = sig_wire_encode_error(frame->error.code, frame->error.text);
	else if (frame->type == SIG_FRAME_TURN)
		text = sig_wire_encode_turn((const char *const *)frame->turn.uris,
					    frame->turn.username, frame->turn.password,
					    frame->turn.ttl_s);
	if (text &&
	    (!sig_wire_decode(text, strlen(text), &again, NULL) || again.type != frame->type))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_auto(SigFrame) frame = {0};
	const guint8 *body;
	gsize len;
	WgKey key;

	if (sig_wire_decode((const char *)data, size, &frame, NULL))
		encode_again(&frame);
	if (sig_wire_decode_binary(data, size, &key, &body, &len, NULL) &&
	    body + len != data + size)
		abort();
	return 0;
}
