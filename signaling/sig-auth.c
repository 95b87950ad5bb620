/* SPDX-License-Identifier: MIT */
#include "signaling/sig-auth.h"

#include <sodium.h>
#include <string.h>

#define ROTATE_AFTER (60 * G_USEC_PER_SEC)

/* Shared by the offers of one minute: an upgrade costs no curve operation. */
typedef struct {
	WgKey private, public;
} Ephemeral;

struct SigAuth {
	GStrv names;
	Ephemeral *ephemeral; /* a g_rc_box */
	gint64 made_at;
};

struct SigOffer {
	SigHello hello;
	Ephemeral *ephemeral;
};

static void
ephemeral_clear(gpointer p)
{
	sodium_memzero(p, sizeof(Ephemeral));
}

static void
ephemeral_unref(Ephemeral *ephemeral)
{
	g_rc_box_release_full(ephemeral, ephemeral_clear);
}

SigAuth *
sig_auth_new(const char *const *names)
{
	SigAuth *auth = g_new0(SigAuth, 1);

	auth->names = g_strdupv((GStrv)names);
	return auth;
}

void
sig_auth_free(SigAuth *auth)
{
	g_strfreev(auth->names);
	g_clear_pointer(&auth->ephemeral, ephemeral_unref);
	g_free(auth);
}

void
sig_auth_set_names(SigAuth *auth, const char *const *names)
{
	GStrv before = auth->names;

	auth->names = g_strdupv((GStrv)names);
	g_strfreev(before);
}

gboolean
sig_auth_has_names(const SigAuth *auth)
{
	return auth->names && auth->names[0];
}

SigOffer *
sig_auth_offer(SigAuth *auth, const guint16 *stun, guint n_stun, gint64 now)
{
	SigOffer *offer = g_new0(SigOffer, 1);

	if (auth->ephemeral && now - auth->made_at >= ROTATE_AFTER)
		g_clear_pointer(&auth->ephemeral, ephemeral_unref);
	if (!auth->ephemeral) {
		auth->ephemeral = g_rc_box_new0(Ephemeral);
		wg_key_generate_private(&auth->ephemeral->private);
		wg_key_public_from_private(&auth->ephemeral->private, &auth->ephemeral->public);
		auth->made_at = now;
	}
	offer->ephemeral = g_rc_box_acquire(auth->ephemeral);
	offer->hello.version = SIG_WIRE_VERSION;
	offer->hello.key = auth->ephemeral->public;
	randombytes_buf(offer->hello.nonce, sizeof offer->hello.nonce);
	offer->hello.n_stun = MIN(n_stun, SIG_WIRE_STUN_MAX);
	if (n_stun > 0)
		memcpy(offer->hello.stun, stun, offer->hello.n_stun * sizeof stun[0]);
	return offer;
}

const SigHello *
sig_offer_hello(const SigOffer *offer)
{
	return &offer->hello;
}

void
sig_offer_free(SigOffer *offer)
{
	ephemeral_unref(offer->ephemeral);
	g_free(offer);
}

/* The colon before the port, NULL when there is none. */
static const char *
find_port(const char *name)
{
	const char *bracket = strrchr(name, ']');

	return strchr(bracket ? bracket : name, ':');
}

static gboolean
name_matches(const char *name, const char *authority)
{
	const char *port;

	if (g_str_has_prefix(name, "*.")) {
		/* the dot stays: a wildcard stands for a whole label */
		const char *rest = strchr(authority, '.');

		if (!rest || rest == authority)
			return FALSE;
		name++;
		authority = rest;
	}
	port = find_port(authority);
	if (find_port(name))
		return g_ascii_strcasecmp(name, authority) == 0;
	return port && strlen(name) == (gsize)(port - authority) &&
	       g_ascii_strncasecmp(name, authority, strlen(name)) == 0;
}

static gboolean
authority_is_ours(const SigAuth *auth, const char *authority)
{
	if (!sig_auth_has_names(auth))
		return TRUE;
	for (guint i = 0; auth->names[i]; i++)
		if (name_matches(auth->names[i], authority))
			return TRUE;
	return FALSE;
}

SigClose
sig_auth_check(SigAuth *auth, const SigOffer *offer, const SigLogin *login, char **text)
{
	g_autoptr(GError) error = NULL;

	if (login->version != SIG_WIRE_VERSION) {
		*text = g_strdup_printf("this server speaks version %d", SIG_WIRE_VERSION);
		return SIG_CLOSE_WRONG_VERSION;
	}
	if (!authority_is_ours(auth, login->authority)) {
		*text = g_strdup_printf("this server is not called %.64s", login->authority);
		return SIG_CLOSE_WRONG_AUTHORITY;
	}
	if (!sig_login_verify(&offer->hello, &offer->ephemeral->private, login, &error)) {
		*text = g_strdup(error->message);
		return SIG_CLOSE_LOGIN_REFUSED;
	}
	return SIG_CLOSE_NONE;
}

gboolean
sig_auth_name_valid(const char *name)
{
	const char *port = find_port(name), *end = port ? port : name + strlen(name);
	guint64 number;

	if (end == name || strlen(name) > SIG_WIRE_AUTHORITY_MAX)
		return FALSE;
	if (port && !g_ascii_string_to_unsigned(port + 1, 10, 1, G_MAXUINT16, &number, NULL))
		return FALSE;
	if (name[0] == '[')
		return end[-1] == ']';
	for (const char *p = name; p < end; p++)
		if (!g_ascii_isalnum(*p) && *p != '-' && *p != '.' && *p != '_')
			return FALSE;
	return TRUE;
}
