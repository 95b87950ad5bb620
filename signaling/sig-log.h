/* SPDX-License-Identifier: MIT */
/*
 * Where nat-signald's log goes: the journal when stderr is one, else one plain line each on stderr.
 * Debug lines appear with G_MESSAGES_DEBUG=all.
 */
#pragma once

void sig_log_init(void);
