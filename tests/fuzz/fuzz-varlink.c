/* SPDX-License-Identifier: MIT */
/* Calls and replies of the control socket, split as its framing does. */
#include <stdlib.h>
#include <string.h>

#include "agent/nat-json.h"
#include "agent/nat-service.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static NatStatus *
no_status(gpointer user_data)
{
	return nat_status_new();
}

static char *
no_metrics(gpointer user_data)
{
	return g_strdup("");
}

static void
one_message(const char *text, gsize len)
{
	NatService service = {.status = no_status, .metrics = no_metrics};
	gboolean garbage;
	g_autofree char *reply =
		nat_varlink_answer(text, len, nat_service_call, &service, &garbage);
	g_autoptr(JsonNode) good = nat_varlink_parse_reply(text, len, NULL), ours = NULL;

	if (good && !JSON_NODE_HOLDS_OBJECT(good))
		abort();
	if (garbage && !reply)
		abort();
	if (reply)
		ours = nat_json_parse(reply, strlen(reply), NULL);
	if (reply && !ours)
		abort();
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	while (size > 0) {
		const guint8 *nul = memchr(data, '\0', size);
		gsize len = nul ? (gsize)(nul - data) : size;

		one_message((const char *)data, len);
		data += len + (nul ? 1 : 0);
		size -= len + (nul ? 1 : 0);
	}
	return 0;
}
