/* SPDX-License-Identifier: MIT */
/* The file of a Db: JSON, 0600, replaced by rename. */
#pragma once

#include "db.h"

Db *db_load(const char *path, GError **error);
gboolean db_save(const Db *db, GError **error);
