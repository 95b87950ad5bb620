/* SPDX-License-Identifier: MIT */
/* Lists of keys: no crash; who is found shares with itself, is equal to itself in a list of the
 * same text, and an error is one line without anything of the input. */
#include <stdlib.h>
#include <string.h>

#include "signaling/sig-members.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

/* Keys are looked for at every line's begin, as the list has them. */
static void
check_line(const SigMembers *members, const SigMembers *again, const char *line)
{
	g_autofree char *word = g_strndup(line, strcspn(line, " \t\r\n#"));
	const SigScope *scope, *other;
	WgKey key;

	if (!wg_key_parse(word, &key) || wg_key_is_zero(&key))
		return;
	scope = sig_members_find(members, &key);
	other = sig_members_find(again, &key);
	if (!scope || !other || !sig_scope_share(scope, scope) || !sig_scope_equal(scope, other) ||
	    !sig_scope_share(scope, other) || sig_scope_share(scope, NULL))
		abort();
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	const char *text = (const char *)data;
	g_autofree char *copy = g_strndup(text, size);
	GError *error = NULL;
	SigMembers *members, *again;

	if (strlen(copy) != size)
		return -1;
	members = sig_members_parse(text, size, "list", &error);
	if ((members == NULL) != (error != NULL) || (error && strpbrk(error->message, "\n\r\033")))
		abort();
	g_clear_error(&error);
	if (!members)
		return 0;
	again = sig_members_parse(text, size, "list", NULL);
	for (const char *line = copy; line; line = strchr(line, '\n')) {
		line += strspn(line, "\n \t\r\v\f");
		check_line(members, again, line);
	}
	sig_members_free(members);
	sig_members_free(again);
	return 0;
}
