/* SPDX-License-Identifier: MIT */
/* What `nat-agent status` makes of an answer: JSON to a status, to text, to JSON again. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-text.h"
#include "agent/peer/nat-why.h"
#include "agent/status/nat-status.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static void
check_text(const char *text, guint width)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	if (!g_utf8_validate(text, -1, NULL) || strpbrk(text, "\033\r\t"))
		abort();
	for (guint i = 0; lines[i]; i++)
		if (nat_text_width(lines[i]) > width)
			abort();
}

/* How old an event is changes while we look. */
static void
drop_events(NatStatus *status)
{
	for (guint i = 0; i < status->interfaces->len; i++) {
		NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		for (guint j = 0; j < iface->peers->len; j++) {
			NatStatusPeer *peer = g_ptr_array_index(iface->peers, j);

			if (peer->detail)
				g_ptr_array_set_size(peer->detail->events, 0);
		}
	}
}

static void
check_again(const NatStatus *status)
{
	g_autoptr(JsonNode) first = nat_status_to_json(status), second = NULL;
	g_autofree char *text = nat_json_print(first, FALSE), *again = NULL;
	g_autoptr(NatStatus) read = NULL;

	second = nat_json_parse(text, strlen(text), NULL);
	read = second ? nat_status_from_json(second, NULL) : NULL;
	if (!read)
		abort();
	g_clear_pointer(&second, json_node_unref);
	second = nat_status_to_json(read);
	again = nat_json_print(second, FALSE);
	if (strcmp(text, again) != 0)
		abort();
}

/* A reason that is known is that one; of a newer agent any word may come. */
static void
check_reasons(const NatStatus *status)
{
	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		for (guint j = 0; j < iface->peers->len; j++) {
			const NatStatusPeer *peer = g_ptr_array_index(iface->peers, j);
			NatReason reason;

			if (nat_reason_from_string(peer->reason, &reason) &&
			    strcmp(nat_reason_to_string(reason), peer->reason) != 0)
				abort();
		}
	}
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	guint width = 40 + (size > 0 ? data[size - 1] % 100 : 0);
	g_autoptr(JsonNode) node =
		size <= 65536 ? nat_json_parse((const char *)data, size, NULL) : NULL;
	g_autoptr(NatStatus) status = node ? nat_status_from_json(node, NULL) : NULL;
	g_autofree char *all = NULL, *one = NULL;

	if (!status)
		return 0;
	all = nat_status_to_text(status, NULL, NULL, FALSE, width);
	one = nat_status_to_text(status, NULL, "A", FALSE, width);
	check_text(all, width);
	check_text(one, width);
	drop_events(status);
	check_again(status);
	check_reasons(status);
	nat_status_exit_code(status);
	nat_status_filter(status, size % 2 ? "wg0" : NULL, size % 3 ? "A" : NULL, NULL);
	return 0;
}
