/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-plan.h"

static const WgKey here = {{1}}, absent = {{2}};
static const WgKey psk = {{3}};

/* wg0 with one peer that has everything. */
static WgDevice *
make_device(void)
{
	WgDevice *dev = wg_device_new("wg0");
	WgPeer *peer = wg_peer_new();
	WgAllowedIp ip;

	peer->public_key = here;
	peer->preshared_key = psk;
	peer->keepalive = 25;
	g_assert_true(wg_endpoint_parse("192.0.2.1:1", &peer->endpoint));
	g_assert_true(wg_allowed_ip_parse("10.0.0.0/8", &ip));
	g_array_append_val(peer->allowed_ips, ip);
	g_ptr_array_add(dev->peers, peer);
	return dev;
}

static WgPlan *
make_plan(const WgDevice *dev, const WgPeerChange *changes, gsize n)
{
	g_autoptr(GError) error = NULL;
	WgPlan *plan = wg_plan_new_changes(dev, changes, n, &error);

	g_assert_no_error(error);
	return plan;
}

static const WgPlanEntry *
entry_at(const WgPlan *plan, guint i)
{
	g_assert_cmpuint(plan->entries->len, >, i);
	return &g_array_index(plan->entries, WgPlanEntry, i);
}

static void
test_endpoint_and_keepalive(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange change = {.public_key = here,
			       .flags = WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE,
			       .keepalive = 20};
	g_autoptr(WgPlan) plan = NULL;

	g_assert_true(wg_endpoint_parse("192.0.2.2:2", &change.endpoint));
	plan = make_plan(dev, &change, 1);
	g_assert_cmpuint(plan->entries->len, ==, 1);
	g_assert_cmpuint(entry_at(plan, 0)->flags, ==,
			 WG_ENTRY_UPDATE_ONLY | WG_ENTRY_ENDPOINT | WG_ENTRY_KEEPALIVE);
	g_assert_true(wg_endpoint_equal(&entry_at(plan, 0)->endpoint, &change.endpoint));
	g_assert_cmpuint(entry_at(plan, 0)->keepalive, ==, 20);
}

/* The packet has to leave on the new path: the endpoint is in the first entry. */
static void
test_rearm(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange change = {.public_key = here, .flags = WG_CHANGE_REARM | WG_CHANGE_ENDPOINT};
	g_autoptr(WgPlan) plan = NULL;

	g_assert_true(wg_endpoint_parse("192.0.2.2:2", &change.endpoint));
	plan = make_plan(dev, &change, 1);
	g_assert_cmpuint(plan->entries->len, ==, 2);
	g_assert_cmpuint(entry_at(plan, 0)->flags, ==,
			 WG_ENTRY_UPDATE_ONLY | WG_ENTRY_ENDPOINT | WG_ENTRY_KEEPALIVE |
				 WG_ENTRY_JOIN_NEXT);
	g_assert_cmpuint(entry_at(plan, 0)->keepalive, ==, 0);
	g_assert_cmpuint(entry_at(plan, 1)->flags, ==, WG_ENTRY_UPDATE_ONLY | WG_ENTRY_KEEPALIVE);
	g_assert_cmpuint(entry_at(plan, 1)->keepalive, ==, 25);
}

static void
test_rearm_with_keepalive(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange change = {.public_key = here, .flags = WG_CHANGE_REARM, .keepalive = 7};
	g_autoptr(WgPlan) plan = make_plan(dev, &change, 1);

	g_assert_cmpuint(entry_at(plan, 1)->keepalive, ==, 7);
}

static void
test_replace_keeps_the_rest(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange change = {.public_key = here, .flags = WG_CHANGE_REPLACE | WG_CHANGE_ENDPOINT};
	g_autoptr(WgPlan) plan = NULL;
	const WgPlanEntry *add;

	g_assert_true(wg_endpoint_parse("192.0.2.2:2", &change.endpoint));
	plan = make_plan(dev, &change, 1);
	g_assert_cmpuint(plan->entries->len, ==, 2);
	g_assert_cmpuint(entry_at(plan, 0)->flags, ==, WG_ENTRY_REMOVE | WG_ENTRY_JOIN_NEXT);
	add = entry_at(plan, 1);
	g_assert_cmpuint(add->flags, ==,
			 WG_ENTRY_ENDPOINT | WG_ENTRY_KEEPALIVE | WG_ENTRY_PSK |
				 WG_ENTRY_REPLACE_ALLOWED_IPS);
	g_assert_true(wg_endpoint_equal(&add->endpoint, &change.endpoint));
	g_assert_cmpuint(add->keepalive, ==, 25);
	g_assert_true(wg_key_equal(&add->preshared_key, &psk));
	g_assert_cmpuint(add->n_allowed_ips, ==, 1);
}

static void
test_replace_and_rearm_is_one_keepalive(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange change = {.public_key = here,
			       .flags = WG_CHANGE_REPLACE | WG_CHANGE_REARM | WG_CHANGE_KEEPALIVE,
			       .keepalive = 9};
	g_autoptr(WgPlan) plan = make_plan(dev, &change, 1);

	g_assert_cmpuint(plan->entries->len, ==, 2);
	g_assert_cmpuint(entry_at(plan, 1)->keepalive, ==, 9);
	g_assert_true(wg_endpoint_is_set(&entry_at(plan, 1)->endpoint));
}

static void
test_replace_can_clear_endpoint(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange change = {.public_key = here, .flags = WG_CHANGE_REPLACE | WG_CHANGE_ENDPOINT};
	g_autoptr(WgPlan) plan = make_plan(dev, &change, 1);

	g_assert_false(entry_at(plan, 1)->flags & WG_ENTRY_ENDPOINT);
}

static void
test_endpoint_cannot_be_cleared(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange change = {.public_key = here, .flags = WG_CHANGE_ENDPOINT};
	g_autoptr(GError) error = NULL;

	g_assert_null(wg_plan_new_changes(dev, &change, 1, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_FAILED);
}

static void
test_absent_peer(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange changes[] = {
		{.public_key = here, .flags = WG_CHANGE_KEEPALIVE},
		{.public_key = absent, .flags = WG_CHANGE_KEEPALIVE},
	};
	g_autoptr(GError) error = NULL;

	g_assert_null(wg_plan_new_changes(dev, changes, 2, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_NO_PEER);
}

static void
test_removed_by_an_earlier_change(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange changes[] = {
		{.public_key = here, .flags = WG_CHANGE_REMOVE},
		{.public_key = here, .flags = WG_CHANGE_KEEPALIVE},
	};
	g_autoptr(GError) error = NULL;

	g_assert_null(wg_plan_new_changes(dev, changes, 2, &error));
	g_assert_error(error, WG_ERROR, WG_ERROR_NO_PEER);
}

static void
test_created_by_an_earlier_change(void)
{
	g_autoptr(WgDevice) dev = make_device();
	WgPeerChange changes[] = {
		{.public_key = absent, .flags = WG_CHANGE_CREATE},
		{.public_key = absent, .flags = WG_CHANGE_REARM, .keepalive = 5},
	};
	g_autoptr(WgPlan) plan = make_plan(dev, changes, 2);

	g_assert_cmpuint(plan->entries->len, ==, 3);
	g_assert_false(entry_at(plan, 0)->flags & WG_ENTRY_UPDATE_ONLY);
	g_assert_true(entry_at(plan, 1)->flags & WG_ENTRY_UPDATE_ONLY);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wg/plan/endpoint-and-keepalive", test_endpoint_and_keepalive);
	g_test_add_func("/wg/plan/rearm", test_rearm);
	g_test_add_func("/wg/plan/rearm-with-keepalive", test_rearm_with_keepalive);
	g_test_add_func("/wg/plan/replace-keeps-the-rest", test_replace_keeps_the_rest);
	g_test_add_func("/wg/plan/replace-and-rearm", test_replace_and_rearm_is_one_keepalive);
	g_test_add_func("/wg/plan/replace-can-clear-endpoint", test_replace_can_clear_endpoint);
	g_test_add_func("/wg/plan/endpoint-cannot-be-cleared", test_endpoint_cannot_be_cleared);
	g_test_add_func("/wg/plan/absent-peer", test_absent_peer);
	g_test_add_func("/wg/plan/removed-earlier", test_removed_by_an_earlier_change);
	g_test_add_func("/wg/plan/created-earlier", test_created_by_an_earlier_change);
	return g_test_run();
}
