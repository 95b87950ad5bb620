/* SPDX-License-Identifier: MIT */
#include "agent/ice/nat-checks.h"

#include <stdio.h>

void
nat_checks_init(NatChecks *checks)
{
	checks->list = g_array_new(FALSE, TRUE, sizeof(NatCheck));
}

void
nat_checks_clear(NatChecks *checks)
{
	g_clear_pointer(&checks->list, g_array_unref);
}

NatCheck *
nat_checks_of(NatChecks *checks, const WgEndpoint *local, const WgEndpoint *remote)
{
	NatCheck fresh = {.local = *local, .remote = *remote};

	for (guint i = 0; i < checks->list->len; i++) {
		NatCheck *check = &g_array_index(checks->list, NatCheck, i);

		if (wg_endpoint_equal(&check->remote, remote) &&
		    wg_endpoint_equal(&check->local, local))
			return check;
	}
	if (checks->list->len >= NAT_CHECKS_MAX)
		return NULL;
	g_array_append_val(checks->list, fresh);
	return &g_array_index(checks->list, NatCheck, checks->list->len - 1);
}

void
nat_check_set_error(NatCheck *check, const char *format, ...)
{
	const char *end;
	va_list args;

	va_start(args, format);
	vsnprintf(check->error, sizeof check->error, format, args);
	va_end(args);
	/* cut, perhaps within a character */
	if (!g_utf8_validate(check->error, -1, &end))
		check->error[end - check->error] = '\0';
}
