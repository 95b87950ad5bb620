/* SPDX-License-Identifier: MIT */
/* What a TURN server sends: messages (made to answer an open transaction, else nothing would get
 * past its id) and the stream they come on. */
#include "agent/relay/nat-turn-frame.h"
#include "agent/relay/nat-turn-msg.h"

#include <stdlib.h>
#include <string.h>

#define ID_OFFSET 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(gboolean ok)
{
	if (!ok)
		abort();
}

static void
check(const NatTurnMsg *msg, const guint8 *bytes, gsize len)
{
	must(strnlen(msg->reason, sizeof msg->reason) < sizeof msg->reason);
	must(g_utf8_validate(msg->reason, -1, NULL));
	if (msg->kind != NAT_TURN_MSG_DATA)
		return;
	must(wg_endpoint_is_set(&msg->peer));
	must(msg->data >= bytes + 20 && msg->data + msg->len <= bytes + len);
}

/* The same bytes as the answer to each kind of request, the second time after a challenge. */
static void
answer(const uint8_t *data, size_t size)
{
	g_autoptr(NatTurnCodec) codec = nat_turn_codec_new("user", "secret");
	guint8 request[NAT_TURN_MSG_MAX], id[NAT_TURN_ID_LEN];
	g_autofree guint8 *bytes = g_memdup2(data, size);
	NatTurnMsg msg;

	for (guint i = 0; i < 8; i++) {
		NatTurnAsk ask = {.method = (NatTurnMethod)(i % 4), .channel = 0x4000};

		must(wg_endpoint_parse("192.0.2.1:1", &ask.peer));
		must(nat_turn_codec_request(codec, &ask, request, id) > 0);
		if (size >= ID_OFFSET + sizeof id)
			memcpy(bytes + ID_OFFSET, id, sizeof id);
		if (nat_turn_codec_parse(codec, bytes, size, &msg))
			check(&msg, bytes, size);
		nat_turn_codec_forget(codec, id);
	}
}

static void
stream(const uint8_t *data, size_t size)
{
	NatTurnFrame frame;
	size_t at = 0;

	while (nat_turn_frame_next(data + at, size - at, &frame) == NAT_TURN_FRAME_COMPLETE) {
		must(frame.len >= 4 && frame.len <= frame.whole && frame.whole % 4 == 0);
		must(frame.whole <= NAT_TURN_FRAME_MAX && frame.whole <= size - at);
		at += frame.whole;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	answer(data, size);
	stream(data, size);
	return 0;
}
