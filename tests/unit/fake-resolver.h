/* SPDX-License-Identifier: MIT */
/*
 * A GResolver that answers as the test says, so that no test asks a real one. Install it with
 * fake_resolver_install() before anything resolves.
 */
#pragma once

#include <gio/gio.h>

#define FAKE_TYPE_RESOLVER (fake_resolver_get_type())
G_DECLARE_FINAL_TYPE(FakeResolver, fake_resolver, FAKE, RESOLVER, GResolver)

struct _FakeResolver {
	GResolver parent;
	char **answer;	/* numeric addresses; NULL: no such name */
	gboolean hangs; /* answers wait for fake_resolver_release() */
	GQueue waiting; /* of GTask */
	guint asked;
	guint unknown; /* this one that is asked finds no such name; the first is 1 */
};

G_DEFINE_FINAL_TYPE(FakeResolver, fake_resolver, G_TYPE_RESOLVER)

static void
addresses_free(gpointer list)
{
	g_resolver_free_addresses(list);
}

static void
fake_resolver_reply(FakeResolver *fake, GTask *task)
{
	gboolean known = fake->answer && (fake->unknown == 0 || fake->asked != fake->unknown);
	GList *list = NULL;

	for (gsize i = 0; known && fake->answer[i]; i++)
		list = g_list_append(list, g_inet_address_new_from_string(fake->answer[i]));
	if (list)
		g_task_return_pointer(task, list, addresses_free);
	else
		g_task_return_new_error(task, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND,
					"Error resolving: Name or service not known");
}

static void
fake_resolver_lookup(GResolver *resolver, const char *name, GResolverNameLookupFlags flags,
		     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
	FakeResolver *fake = FAKE_RESOLVER(resolver);
	g_autoptr(GTask) task = g_task_new(resolver, cancellable, callback, user_data);

	fake->asked++;
	if (fake->hangs)
		g_queue_push_tail(&fake->waiting, g_steal_pointer(&task));
	else
		fake_resolver_reply(fake, task);
}

/* GLib comes this way when no flags are asked for. */
static void
fake_resolver_lookup_plain(GResolver *resolver, const char *name, GCancellable *cancellable,
			   GAsyncReadyCallback callback, gpointer user_data)
{
	fake_resolver_lookup(resolver, name, G_RESOLVER_NAME_LOOKUP_FLAGS_DEFAULT, cancellable,
			     callback, user_data);
}

static GList *
fake_resolver_finish(GResolver *resolver, GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
}

static void
fake_resolver_class_init(FakeResolverClass *klass)
{
	GResolverClass *resolver = G_RESOLVER_CLASS(klass);

	resolver->lookup_by_name_async = fake_resolver_lookup_plain;
	resolver->lookup_by_name_finish = fake_resolver_finish;
	resolver->lookup_by_name_with_flags_async = fake_resolver_lookup;
	resolver->lookup_by_name_with_flags_finish = fake_resolver_finish;
}

static void
fake_resolver_init(FakeResolver *fake)
{
	g_queue_init(&fake->waiting);
}

/* answer: "192.0.2.1 2001:db8::1", or NULL: no such name. */
static void
fake_resolver_set(FakeResolver *fake, const char *answer)
{
	g_strfreev(fake->answer);
	fake->answer = answer ? g_strsplit(answer, " ", -1) : NULL;
}

static void
fake_resolver_release(FakeResolver *fake)
{
	GTask *task;

	fake->hangs = FALSE;
	while ((task = g_queue_pop_head(&fake->waiting))) {
		fake_resolver_reply(fake, task);
		g_object_unref(task);
	}
}

static FakeResolver *
fake_resolver_install(void)
{
	FakeResolver *fake = g_object_new(FAKE_TYPE_RESOLVER, NULL);

	g_resolver_set_default(G_RESOLVER(fake));
	return fake;
}

static void
fake_resolver_free(FakeResolver *fake)
{
	fake_resolver_release(fake);
	fake_resolver_set(fake, NULL);
	g_object_unref(fake);
}
