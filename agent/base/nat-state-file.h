/* SPDX-License-Identifier: MIT */
/*
 * NatStateFile: a key file in the state directory, for what the agent must find again after a crash
 * or a restart. Written whole and by rename, mode 0600; a file that is no longer needed (no groups)
 * is removed. What can't be read is as if it were not there. What can't be written is said once, in
 * one line with what that costs, and lives in memory until a later save succeeds, which is said as
 * well. Any thread, one at a time.
 */
#pragma once

#include "wgctl/wg-key.h"

typedef struct NatStateFile NatStateFile;

/* state_dir (made when missing) NULL: memory only. cost: what the user loses without the file, as
 * in "the MTU is not put back after a crash". Reads what is there. */
NatStateFile *nat_state_file_new(const char *state_dir, const char *name, const char *cost);
/* The same with the name "<kind>-<16 hex digits of the key>.conf". */
NatStateFile *nat_state_file_new_for_key(const char *state_dir, const char *kind,
					 const WgKey *own_public, const char *cost);
void nat_state_file_free(NatStateFile *file);
/* What was read, to be changed in place. (transfer none) */
GKeyFile *nat_state_file_keys(NatStateFile *file);
/* Why the file that is there could not be read; NULL: it was, or there is none. (transfer none) */
const char *nat_state_file_damage(const NatStateFile *file);
/* Forgets what was not saved; for files that others of this process write as well. What a save
 * could not write is written now instead, or kept: of two that failed, the later one's stays. */
void nat_state_file_reload(NatStateFile *file);
/* Writes all of it, also what an earlier save could not. */
void nat_state_file_save(NatStateFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatStateFile, nat_state_file_free)
