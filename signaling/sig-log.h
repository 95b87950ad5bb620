/* SPDX-License-Identifier: MIT */
/*
 * Where nat-signald's log goes: the journal when stderr is one, else one plain line each on stderr,
 * without control characters. Debug lines appear with G_MESSAGES_DEBUG=all.
 */
#pragma once

#include <glib.h>

void sig_log_init(void);
/* Why the start failed, in one line on stderr. */
void sig_log_error(const GError *error);
