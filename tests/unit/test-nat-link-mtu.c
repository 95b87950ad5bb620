/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-link-mtu.h"
#include "tests/unit/net-util.h"

#include <gio/gio.h>
#include <glib/gstdio.h>

typedef struct {
	char *dir;
	NatLinkMtu *link; /* NULL: no permission */
} Fixture;

static NatLinkMtu *
open_link(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	NatLinkMtu *link = nat_link_mtu_new("lm-a", f->dir, &error);

	g_assert_no_error(error);
	return link;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->dir = g_dir_make_tmp("nat-link-mtu-XXXXXX", NULL);
	if (!net_fresh())
		return;
	net_run("ip link add lm-a type veth peer name lm-b");
	net_run("ip link set lm-a addrgenmode none");
	net_run("ip link set lm-a mtu 1420 up");
	f->link = open_link(f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	g_autofree char *path = g_build_filename(f->dir, "mtu-lm-a.conf", NULL);

	nat_link_mtu_free(f->link);
	g_unlink(path);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
}

static guint
lower(Fixture *f, guint want)
{
	g_autoptr(GError) error = NULL;
	guint now = nat_link_mtu_lower(f->link, want, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(nat_link_mtu_get(f->link, NULL), ==, now);
	return now;
}

static void
reopen(Fixture *f)
{
	nat_link_mtu_free(f->link);
	f->link = open_link(f);
}

static void
test_lower_and_restore(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	if (!f->link)
		return;
	g_assert_cmpuint(nat_link_mtu_get(f->link, NULL), ==, 1420);
	g_assert_cmpuint(lower(f, 1300), ==, 1300);
	g_assert_cmpuint(lower(f, 1360), ==, 1360);
	g_assert_cmpuint(lower(f, 1500), ==, 1420); /* never above what the user had */
	g_assert_cmpuint(lower(f, 1220), ==, 1220);
	g_assert_cmpuint(lower(f, 10), ==, NAT_LINK_MTU_MIN);
	g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1420);
	g_assert_true(nat_link_mtu_restore(f->link, &error));
	g_assert_true(nat_link_mtu_restore(f->link, &error));
	g_assert_cmpuint(nat_link_mtu_get(f->link, NULL), ==, 1420);
}

/* Below 1280 the kernel takes the IPv6 addresses away for good: that is why we never go there. */
static void
test_ipv6_floor(Fixture *f, gconstpointer data)
{
	if (!f->link)
		return;
	net_run("ip addr add fd00::1/64 dev lm-a nodad");
	g_assert_cmpuint(lower(f, 1220), ==, NAT_LINK_MTU_MIN_IPV6);
	net_run("ip link set lm-a mtu 1279");
	net_run("ip link set lm-a mtu 1420");
	g_assert_cmpuint(lower(f, 1220), ==, 1220);
}

/* The link-local address that comes back by itself is no reason, or what was lowered once could not
 * be lowered again. */
static void
test_kernels_link_local(Fixture *f, gconstpointer data)
{
	if (!f->link)
		return;
	net_run("ip link set lm-b up");
	net_run("ip link set lm-a addrgenmode eui64");
	net_run("ip link set lm-a down");
	net_run("ip link set lm-a up");
	g_assert_cmpuint(lower(f, 1220), ==, 1220);
	g_assert_true(nat_link_mtu_restore(f->link, NULL));
	g_assert_cmpuint(lower(f, 1220), ==, 1220);
	g_assert_cmpuint(nat_link_mtu_allowed(f->link, 1220), ==, 1220);
	net_run("ip link set lm-a mtu 1420");
	net_run("ip addr add fe80::7/64 dev lm-a nodad");
	g_assert_cmpuint(nat_link_mtu_allowed(f->link, 1220), ==, 1280);
}

/* The user's own change counts from then on, lower or higher. */
static void
test_user_changes(Fixture *f, gconstpointer data)
{
	if (!f->link)
		return;
	lower(f, 1300);
	net_run("ip link set lm-a mtu 1380");
	g_assert_cmpuint(lower(f, 1500), ==, 1380);
	net_run("ip link set lm-a mtu 1500");
	g_assert_cmpuint(lower(f, 1400), ==, 1400);
	g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1500);
	reopen(f);
	g_assert_true(nat_link_mtu_restore(f->link, NULL));
	g_assert_cmpuint(nat_link_mtu_get(f->link, NULL), ==, 1500);
}

/* Killed while lowered: the next life knows what the user had. */
static void
test_after_crash(Fixture *f, gconstpointer data)
{
	if (!f->link)
		return;
	lower(f, 1300);
	reopen(f);
	g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1420);
	g_assert_true(nat_link_mtu_restore(f->link, NULL));
	g_assert_cmpuint(nat_link_mtu_get(f->link, NULL), ==, 1420);
	reopen(f);
	g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1420);
}

/* Killed between the note and the deed that it announces. */
static void
test_crash_before_change(Fixture *f, gconstpointer data)
{
	if (!f->link)
		return;
	lower(f, 1300);
	lower(f, 1360);
	net_run("ip link set lm-a mtu 1300"); /* the deed undone */
	reopen(f);
	g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1420);
	g_assert_true(nat_link_mtu_restore(f->link, NULL));
	g_assert_cmpuint(nat_link_mtu_get(f->link, NULL), ==, 1420);
}

/* Killed, then the interface made anew, or its MTU changed: the note is void. */
static void
test_stale_note(Fixture *f, gconstpointer data)
{
	if (!f->link)
		return;
	lower(f, 1300);
	net_run("ip link del lm-a");
	net_run("ip link add lm-a type veth peer name lm-b");
	net_run("ip link set lm-a mtu 1300");
	reopen(f);
	g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1300);
	lower(f, 1290);
	net_run("ip link set lm-a mtu 1400");
	reopen(f);
	g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1400);
}

static void
test_garbage_note(Fixture *f, gconstpointer data)
{
	static const char *const NOTES[] = {
		"",
		"\xff\xfe[mtu",
		"[mtu]\nindex=x\noriginal=99999999999\nset=-1\n",
		"[mtu]\nindex=1\noriginal=0\nset=1420\n",
	};
	g_autofree char *path = g_build_filename(f->dir, "mtu-lm-a.conf", NULL);

	if (!f->link)
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(NOTES); i++) {
		g_assert_true(g_file_set_contents(path, NOTES[i], -1, NULL));
		reopen(f);
		g_assert_cmpuint(nat_link_mtu_original(f->link), ==, 1420);
		g_assert_cmpuint(lower(f, 1300), ==, 1300);
		g_assert_true(nat_link_mtu_restore(f->link, NULL));
	}
}

static void
test_gone(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	if (!f->link)
		return;
	net_run("ip link del lm-a");
	g_assert_cmpuint(nat_link_mtu_lower(f->link, 1300, &error), ==, 0);
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_false(nat_link_mtu_restore(f->link, &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_null(nat_link_mtu_new("lm-a", NULL, &error));
	g_assert_nonnull(error);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/link-mtu/lower-and-restore", test_lower_and_restore);
	ADD("/link-mtu/ipv6-floor", test_ipv6_floor);
	ADD("/link-mtu/kernels-link-local", test_kernels_link_local);
	ADD("/link-mtu/user-changes", test_user_changes);
	ADD("/link-mtu/after-crash", test_after_crash);
	ADD("/link-mtu/crash-before-change", test_crash_before_change);
	ADD("/link-mtu/stale-note", test_stale_note);
	ADD("/link-mtu/garbage-note", test_garbage_note);
	ADD("/link-mtu/gone", test_gone);
	return g_test_run();
}
