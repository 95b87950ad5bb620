/* SPDX-License-Identifier: MIT */
/* The login's proof, held against the vectors of signaling/PROTOCOL.md. */
#include "signaling/sig-login.h"

#include <gio/gio.h>
#include <string.h>

#define CLIENT_PRIVATE "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define CLIENT_PUBLIC "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="
#define SERVER_PRIVATE "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A="
#define SERVER_PUBLIC "ZLEBsdC+WocEvQePmJUAH8A+jp+VIvGI3RKNmEbUhGY="
#define SERVER_NONCE "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8="
#define CLIENT_NONCE "wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t8="
#define AUTHORITY "signal.example:443"
#define MAC "ypRk0uj07X298DzW7bfUwwQZvdAasBJ1+8HIFHB14IY="

static WgKey
key(const char *text)
{
	WgKey out;

	g_assert_true(wg_key_parse(text, &out));
	return out;
}

static void
bytes32(guint8 out[32], const char *text)
{
	WgKey value = key(text);

	memcpy(out, value.b, 32);
}

static void
vector(SigHello *hello, SigLogin *login)
{
	*hello = (SigHello){.version = 1, .key = key(SERVER_PUBLIC)};
	bytes32(hello->nonce, SERVER_NONCE);
	*login = (SigLogin){.version = 1, .key = key(CLIENT_PUBLIC), .authority = AUTHORITY};
	bytes32(login->nonce, CLIENT_NONCE);
	bytes32(login->mac, MAC);
}

static void
test_vector(void)
{
	WgKey private = key(CLIENT_PRIVATE), server = key(SERVER_PRIVATE), public;
	guint8 mac[SIG_WIRE_MAC_LEN];
	g_autoptr(GError) error = NULL;
	SigHello hello;
	SigLogin login;

	vector(&hello, &login);
	wg_key_public_from_private(&private, &public);
	g_assert_true(wg_key_equal(&public, &login.key));
	g_assert_true(sig_login_verify(&hello, &server, &login, &error));
	g_assert_no_error(error);
	memcpy(mac, login.mac, sizeof mac);
	memset(login.mac, 0, sizeof login.mac);
	g_assert_true(sig_login_sign(&hello, &private, &login, &error));
	g_assert_cmpmem(mac, sizeof mac, login.mac, sizeof login.mac);
}

/* Each thing the MAC covers, changed alone, breaks it. */
static void
test_forged(void)
{
	WgKey server = key(SERVER_PRIVATE), other = key(SERVER_NONCE);

	for (guint i = 0; i < 7; i++) {
		g_autoptr(GError) error = NULL;
		SigHello hello;
		SigLogin login;

		vector(&hello, &login);
		if (i == 0)
			hello.nonce[31] ^= 1;
		else if (i == 1)
			login.nonce[0] ^= 1;
		else if (i == 2)
			hello.key.b[0] ^= 1;
		else if (i == 3)
			login.key = key(SERVER_PUBLIC);
		else if (i == 4)
			login.authority[0] = 'S';
		else if (i == 5)
			login.authority[strlen(login.authority) - 1] = '\0';
		else
			login.mac[0] ^= 0x80;
		g_assert_false(sig_login_verify(&hello, &server, &login, &error));
		g_assert_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
		g_assert_false(sig_login_verify(&hello, &other, &login, NULL));
	}
}

/* With a low-order key the DH is zero whatever the private key: a proof of nothing. */
static void
test_low_order(void)
{
	WgKey server = key(SERVER_PRIVATE), private = key(CLIENT_PRIVATE);
	g_autoptr(GError) error = NULL;
	SigHello hello;
	SigLogin login;

	vector(&hello, &login);
	memset(login.key.b, 0, sizeof login.key.b);
	g_assert_false(sig_login_verify(&hello, &server, &login, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
	g_clear_error(&error);
	vector(&hello, &login);
	memset(hello.key.b, 0, sizeof hello.key.b);
	hello.key.b[0] = 1;
	g_assert_false(sig_login_sign(&hello, &private, &login, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
}

static void
test_answer(void)
{
	WgKey private = key(CLIENT_PRIVATE), server = key(SERVER_PRIVATE);
	g_autofree char *authority = sig_login_authority("Signal.Example", 443);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(SigFrame) frame = {0};
	SigHello hello;
	SigLogin login;

	vector(&hello, &login);
	text = sig_login_answer(&hello, &private, authority, &error);
	g_assert_no_error(error);
	g_assert_true(sig_wire_decode(text, strlen(text), &frame, &error));
	g_assert_cmpint(frame.type, ==, SIG_FRAME_LOGIN);
	g_assert_cmpstr(frame.login.authority, ==, AUTHORITY);
	g_assert_true(sig_login_verify(&hello, &server, &frame.login, &error));
	hello.version = 2;
	g_assert_null(sig_login_answer(&hello, &private, authority, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

static void
test_authority(void)
{
	g_autofree char *v4 = sig_login_authority("192.0.2.1", 80);
	g_autofree char *v6 = sig_login_authority("2001:DB8::1", 8080);

	g_assert_cmpstr(v4, ==, "192.0.2.1:80");
	g_assert_cmpstr(v6, ==, "[2001:db8::1]:8080");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/login/vector", test_vector);
	g_test_add_func("/sig/login/forged", test_forged);
	g_test_add_func("/sig/login/low-order", test_low_order);
	g_test_add_func("/sig/login/answer", test_answer);
	g_test_add_func("/sig/login/authority", test_authority);
	return g_test_run();
}
