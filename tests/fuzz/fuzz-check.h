/* SPDX-License-Identifier: MIT */
/* What every parser with a GError promises. */
#pragma once

#include <glib.h>
#include <stdlib.h>
#include <string.h>

/* An error is there exactly when the result is not, and is one line. Frees it. */
static inline void
check(gboolean ok, GError *error)
{
	if (ok != (error == NULL) ||
	    (error && (strpbrk(error->message, "\n\r\033") || !*error->message)))
		abort();
	g_clear_error(&error);
}
