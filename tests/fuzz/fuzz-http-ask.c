/* SPDX-License-Identifier: MIT */
/* What comes to the metrics' port, as it comes: in pieces, of any length. */
#include <stdlib.h>
#include <string.h>

#include "agent/status/nat-http-ask.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	NatHttpAsk decided = NAT_HTTP_ASK_MORE;

	for (gsize len = 0; len <= size; len += size < 512 ? 1 : 97) {
		/* a copy of just that many bytes: what lies behind them is not read */
		g_autofree char *piece = g_memdup2(data, len);
		NatHttpAsk ask = nat_http_ask_parse(piece, len);
		g_autoptr(GBytes) answer = nat_http_ask_answer(ask, "a 1\n");

		if ((ask == NAT_HTTP_ASK_MORE) != (answer == NULL) ||
		    (ask == NAT_HTTP_ASK_MORE && len >= NAT_HTTP_ASK_MAX) ||
		    (decided != NAT_HTTP_ASK_MORE && ask != decided))
			abort();
		decided = ask;
	}
	return 0;
}
