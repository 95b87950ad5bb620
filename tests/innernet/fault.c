/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <gio/gio.h>
#include <string.h>

static const struct {
	const char *name;
	FaultKind kind;
	gboolean has_value;
} kinds[] = {
	{"status", FAULT_STATUS, TRUE}, {"garbage", FAULT_GARBAGE},
	{"body", FAULT_BODY, TRUE},	{"huge", FAULT_HUGE},
	{"endless", FAULT_ENDLESS},	{"cut", FAULT_CUT},
	{"drop", FAULT_DROP},		{"hang", FAULT_HANG},
	{"stale", FAULT_STALE},		{"without-caller", FAULT_WITHOUT_CALLER},
	{"no-http", FAULT_NO_HTTP},	{"redirect", FAULT_REDIRECT},
};

void
fault_free(gpointer data)
{
	Fault *fault = data;

	if (fault == NULL)
		return;
	g_free(fault->peer);
	g_free(fault->path);
	g_free(fault->file);
	g_clear_pointer(&fault->first, g_hash_table_unref);
	g_free(fault);
}

static gboolean
set_kind(Fault *fault, const char *name, const char *value)
{
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (strcmp(kinds[i].name, name) != 0 || kinds[i].has_value != (value != NULL))
			continue;
		fault->kind = kinds[i].kind;
		if (fault->kind == FAULT_STATUS)
			fault->status = (guint)g_ascii_strtoull(value, NULL, 10);
		if (fault->kind == FAULT_BODY)
			fault->file = g_strdup(value);
		return fault->kind != FAULT_STATUS ||
		       (fault->status >= 200 && fault->status <= 599);
	}
	return FALSE;
}

static gboolean
set_word(Fault *fault, const char *word)
{
	g_auto(GStrv) parts = g_strsplit(word, "=", 2);
	const char *name = parts[0], *value = name == NULL ? NULL : parts[1];

	if (fault->kind == FAULT_NONE)
		return name != NULL && set_kind(fault, name, value);
	if (value == NULL)
		return FALSE;
	if (strcmp(name, "peer") == 0)
		fault->peer = g_strdup(value);
	else if (strcmp(name, "path") == 0)
		fault->path = g_strdup(value);
	else if (strcmp(name, "count") == 0)
		fault->left = (guint)g_ascii_strtoull(value, NULL, 10);
	else
		return FALSE;
	return TRUE;
}

Fault *
fault_parse(const char *const *words, GError **error)
{
	Fault *fault = g_new0(Fault, 1);

	fault->first = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (guint i = 0; words[i] != NULL; i++) {
		if (set_word(fault, words[i]))
			continue;
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "no fault: '%s'",
			    words[i]);
		fault_free(fault);
		return NULL;
	}
	if (fault->kind != FAULT_NONE)
		return fault;
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "which fault?");
	fault_free(fault);
	return NULL;
}

Fault *
fault_take(GPtrArray *faults, const char *peer, const char *path, Fault **last)
{
	*last = NULL;
	for (guint i = 0; i < faults->len; i++) {
		Fault *fault = faults->pdata[i];

		if ((fault->peer != NULL && g_strcmp0(fault->peer, peer) != 0) ||
		    (fault->path != NULL && !g_str_has_prefix(path, fault->path)))
			continue;
		if (fault->left != 0 && --fault->left == 0)
			*last = g_ptr_array_steal_index(faults, i);
		return fault;
	}
	return NULL;
}
