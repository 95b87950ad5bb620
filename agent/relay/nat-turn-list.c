/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-list.h"

#define MAX_SERVERS 16

struct NatTurnList {
	GPtrArray *configured; /* of NatTurnUri */
	GPtrArray *offered;    /* the same, with credentials */
	GPtrArray *usable;
};

static GPtrArray *
uri_array(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)nat_turn_uri_free);
}

static void
add_parsed(GPtrArray *array, const char *const *uris)
{
	for (gsize i = 0; uris != NULL && uris[i] != NULL && array->len < MAX_SERVERS; i++) {
		NatTurnUri *uri = nat_turn_uri_parse(uris[i], NULL);

		if (uri != NULL)
			g_ptr_array_add(array, uri);
	}
}

static void
set_credentials(NatTurnUri *uri, const char *username, const char *password)
{
	g_free(uri->username);
	g_free(uri->password);
	uri->username = g_strdup(username);
	uri->password = g_strdup(password);
}

static void
collect(NatTurnList *list)
{
	const NatTurnUri *lender =
		list->offered->len > 0 ? g_ptr_array_index(list->offered, 0) : NULL;

	g_ptr_array_set_size(list->usable, 0);
	for (guint i = 0; i < list->configured->len; i++) {
		NatTurnUri *uri = nat_turn_uri_copy(g_ptr_array_index(list->configured, i));

		if (uri->username == NULL && lender != NULL)
			set_credentials(uri, lender->username, lender->password);
		if (uri->username != NULL)
			g_ptr_array_add(list->usable, uri);
		else
			nat_turn_uri_free(uri);
	}
	for (guint i = 0; i < list->offered->len; i++)
		g_ptr_array_add(list->usable,
				nat_turn_uri_copy(g_ptr_array_index(list->offered, i)));
}

NatTurnList *
nat_turn_list_new(const char *const *configured)
{
	NatTurnList *list = g_new0(NatTurnList, 1);

	list->configured = uri_array();
	list->offered = uri_array();
	list->usable = uri_array();
	add_parsed(list->configured, configured);
	collect(list);
	return list;
}

void
nat_turn_list_free(NatTurnList *list)
{
	if (list == NULL)
		return;
	g_ptr_array_unref(list->configured);
	g_ptr_array_unref(list->offered);
	g_ptr_array_unref(list->usable);
	g_free(list);
}

void
nat_turn_list_offer(NatTurnList *list, const char *const *uris, const char *username,
		    const char *password)
{
	g_ptr_array_set_size(list->offered, 0);
	/* A server without credentials serves nobody. */
	if (username != NULL && password != NULL)
		add_parsed(list->offered, uris);
	for (guint i = 0; i < list->offered->len; i++) {
		NatTurnUri *uri = g_ptr_array_index(list->offered, i);

		set_credentials(uri, username, password);
		uri->offered = TRUE;
	}
	collect(list);
}

GPtrArray *
nat_turn_list_uris(NatTurnList *list)
{
	return list->usable;
}
