/* SPDX-License-Identifier: MIT */
#include "signaling/sig-turn.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signaling/sig-auth.h"
#include "wgctl/wg-endpoint.h"

#define TAG_LEN 8 /* bytes, twice as many digits */
#define TAG_LABEL "nat-agent/turn/v1"

struct SigTurn {
	GStrv uris;
	char *secret;
	guint ttl;
};

SigTurn *
sig_turn_new(const char *const *uris, const char *secret, guint ttl_s)
{
	SigTurn *turn = g_new0(SigTurn, 1);

	turn->uris = g_strdupv((GStrv)uris);
	turn->secret = g_strdup(secret);
	turn->ttl = ttl_s;
	return turn;
}

void
sig_turn_free(SigTurn *turn)
{
	g_strfreev(turn->uris);
	sodium_memzero(turn->secret, strlen(turn->secret));
	g_free(turn->secret);
	g_free(turn);
}

guint
sig_turn_ttl(const SigTurn *turn)
{
	return turn->ttl;
}

/* ---- credentials ---- */

/* The label keeps it from being the hash that somebody else publishes of the same key. */
static void
make_tag(const WgKey *key, char out[2 * TAG_LEN + 1])
{
	crypto_generichash_state state;
	guint8 hash[crypto_generichash_BYTES];

	crypto_generichash_init(&state, NULL, 0, sizeof hash);
	crypto_generichash_update(&state, (const guint8 *)TAG_LABEL, strlen(TAG_LABEL));
	crypto_generichash_update(&state, key->b, sizeof key->b);
	crypto_generichash_final(&state, hash, sizeof hash);
	sodium_bin2hex(out, 2 * TAG_LEN + 1, hash, TAG_LEN);
}

static char *
make_password(const SigTurn *turn, const char *username)
{
	GHmac *hmac =
		g_hmac_new(G_CHECKSUM_SHA1, (const guint8 *)turn->secret, strlen(turn->secret));
	guint8 mac[20];
	gsize len = sizeof mac;

	g_hmac_update(hmac, (const guint8 *)username, -1);
	g_hmac_get_digest(hmac, mac, &len);
	g_hmac_unref(hmac);
	return g_base64_encode(mac, len);
}

char *
sig_turn_frame(const SigTurn *turn, const WgKey *client, gint64 now)
{
	char tag[2 * TAG_LEN + 1];
	g_autofree char *username = NULL;
	g_autofree char *password = NULL;

	make_tag(client, tag);
	username = g_strdup_printf("%" G_GINT64_FORMAT ":%s", now + turn->ttl, tag);
	password = make_password(turn, username);
	return sig_wire_encode_turn((const char *const *)turn->uris, username, password, turn->ttl);
}

/* ---- what the user wrote ---- */

static gboolean
host_is_valid(const char *host)
{
	g_autofree char *address = NULL;
	WgEndpoint ep;

	if (!sig_auth_name_valid(host))
		return FALSE;
	if (host[0] != '[')
		return TRUE;
	address = g_strdup_printf("%.*s:1", (int)(strchr(host, ']') + 1 - host), host);
	return !strchr(host, '%') && wg_endpoint_parse(address, &ep);
}

/* Whether ?transport=… is one that agents can use; query NULL: none. */
static gboolean
transport_is_valid(const char *query, gboolean tls)
{
	return !query || g_str_equal(query, "transport=tcp") ||
	       (!tls && g_str_equal(query, "transport=udp"));
}

gboolean
sig_turn_check_uri(const char *uri, GError **error)
{
	const gboolean tls = g_str_has_prefix(uri, "turns:");
	g_auto(GStrv) parts = NULL;

	if (strchr(uri, '@')) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "--turn-uri: holds credentials: leave them out, they are made "
				    "from --turn-secret-file");
		return FALSE;
	}
	if (strlen(uri) <= SIG_WIRE_TURN_URI_MAX && (tls || g_str_has_prefix(uri, "turn:"))) {
		parts = g_strsplit(strchr(uri, ':') + 1, "?", 2);
		if (parts[0] && host_is_valid(parts[0]) && transport_is_valid(parts[1], tls))
			return TRUE;
	}
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    "--turn-uri %s: must be like turn:relay.example:3478?transport=udp or "
		    "turns:relay.example:443",
		    uri);
	return FALSE;
}

/* At most size bytes, from a file or a pipe. Negative: errno says why. */
static gssize
read_file(const char *file, char *buf, gsize size, gboolean *readable)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), saved;
	struct stat st;
	gssize n = -1;
	gsize len = 0;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0)
		do {
			n = read(fd, buf + len, size - len);
			len += MAX(n, 0);
		} while (n > 0 || (n < 0 && errno == EINTR));
	saved = errno;
	close(fd);
	errno = saved;
	if (readable && n == 0)
		*readable = (st.st_mode & S_IROTH) != 0;
	return n < 0 ? -1 : (gssize)len;
}

/* NULL when it is a secret. */
static const char *
what_is_wrong(const char *text, gsize len)
{
	if (len == 0)
		return "is empty";
	if (len > SIG_TURN_SECRET_MAX)
		return "is longer than 255 bytes";
	for (gsize i = 0; i < len; i++)
		if ((guchar)text[i] < 0x20)
			return text[i] == '\n' ? "has more than one line"
					       : "holds control characters";
	return NULL;
}

char *
sig_turn_read_secret(const char *file, gboolean *readable, GError **error)
{
	char buf[SIG_TURN_SECRET_MAX + 3]; /* and a line's end, and one more */
	gssize len = read_file(file, buf, sizeof buf, readable);
	const char *wrong = len < 0 ? g_strerror(errno) : NULL;
	char *secret = NULL;

	if (len > 0 && buf[len - 1] == '\n')
		len--;
	if (len > 0 && buf[len - 1] == '\r')
		len--;
	if (!wrong)
		wrong = what_is_wrong(buf, len);
	if (wrong)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "--turn-secret-file %s: %s%s: it holds coturn's static-auth-secret, "
			    "one line",
			    file, len < 0 ? "" : "it ", wrong);
	else
		secret = g_strndup(buf, len);
	sodium_memzero(buf, sizeof buf);
	return secret;
}
