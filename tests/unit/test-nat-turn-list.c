/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-list.h"

#define OWN "turn:bob:secret@relay.example:3478?transport=udp"
#define OWN_BARE "turn:bare.example:3478?transport=udp"
#define OFFERED "turn:192.0.2.20:3478?transport=udp"

static const char *const OFFER[] = {OFFERED, "turns:offered.example:5349", NULL};

static const NatTurnUri *
nth(NatTurnList *list, guint i)
{
	return g_ptr_array_index(nat_turn_list_uris(list), i);
}

static void
expect(NatTurnList *list, guint i, const char *host, const char *user, gboolean offered)
{
	g_assert_cmpuint(nat_turn_list_uris(list)->len, >, i);
	g_assert_cmpstr(nth(list, i)->host, ==, host);
	g_assert_cmpstr(nth(list, i)->username, ==, user);
	g_assert_cmpint(nth(list, i)->offered, ==, offered);
}

static void
test_nothing(void)
{
	NatTurnList *list = nat_turn_list_new(NULL);

	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 0);
	nat_turn_list_offer(list, NULL, NULL, NULL);
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 0);
	nat_turn_list_free(list);
	nat_turn_list_free(NULL);
}

static void
test_the_users_come_first(void)
{
	NatTurnList *list = nat_turn_list_new((const char *const[]){OWN, NULL});

	nat_turn_list_offer(list, OFFER, "1700000000:x", "pw");
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 3);
	expect(list, 0, "relay.example", "bob", FALSE);
	g_assert_cmpstr(nth(list, 0)->password, ==, "secret");
	expect(list, 1, "192.0.2.20", "1700000000:x", TRUE);
	expect(list, 2, "offered.example", "1700000000:x", TRUE);
	nat_turn_list_free(list);
}

/* A server that the user named without credentials waits for nat-signald's, and stays the user's:
 * it may be in our own network. */
static void
test_borrowed_credentials(void)
{
	NatTurnList *list = nat_turn_list_new((const char *const[]){OWN_BARE, OWN, NULL});

	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 1);
	expect(list, 0, "relay.example", "bob", FALSE);
	nat_turn_list_offer(list, OFFER, "u1", "p1");
	expect(list, 0, "bare.example", "u1", FALSE);
	expect(list, 1, "relay.example", "bob", FALSE);
	/* the next word replaces the one before */
	nat_turn_list_offer(list, OFFER, "u2", "p2");
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 4);
	expect(list, 0, "bare.example", "u2", FALSE);
	g_assert_cmpstr(nth(list, 0)->password, ==, "p2");
	nat_turn_list_offer(list, (const char *const[]){NULL}, "u3", "p3");
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 1);
	nat_turn_list_free(list);
}

/* Credentials inside an offered URI are not ours to use; no credentials, no use. */
static void
test_bad_offers(void)
{
	static const char *const BAD[] = {"stun:192.0.2.1", "turn:", "", "turn:a b:3478", NULL};
	static const char *const SNEAKY[] = {OWN, NULL};
	NatTurnList *list = nat_turn_list_new(BAD);

	nat_turn_list_offer(list, BAD, "u", "p");
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 0);
	nat_turn_list_offer(list, SNEAKY, "u", "p");
	if (nat_turn_list_uris(list)->len > 0)
		expect(list, 0, "relay.example", "u", TRUE);
	nat_turn_list_offer(list, OFFER, NULL, NULL);
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 0);
	nat_turn_list_offer(list, OFFER, "u", NULL);
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 0);
	nat_turn_list_free(list);
}

static void
test_endless_offers(void)
{
	g_autoptr(GPtrArray) uris = g_ptr_array_new_with_free_func(g_free);
	NatTurnList *list = nat_turn_list_new(NULL);

	for (guint i = 0; i < 1000; i++)
		g_ptr_array_add(uris, g_strdup_printf("turn:192.0.2.%u:%u", i % 200 + 1, 1000 + i));
	g_ptr_array_add(uris, NULL);
	nat_turn_list_offer(list, (const char *const *)uris->pdata, "u", "p");
	g_assert_cmpuint(nat_turn_list_uris(list)->len, ==, 16);
	nat_turn_list_free(list);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/turn-list/nothing", test_nothing);
	g_test_add_func("/turn-list/the-users-come-first", test_the_users_come_first);
	g_test_add_func("/turn-list/borrowed-credentials", test_borrowed_credentials);
	g_test_add_func("/turn-list/bad-offers", test_bad_offers);
	g_test_add_func("/turn-list/endless-offers", test_endless_offers);
	return g_test_run();
}
