/* SPDX-License-Identifier: MIT */
#include "signaling/sig-tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wgctl/wg-endpoint.h"

#define FILE_MAX (1 << 20)
#define CHAIN_MAX 16

struct SigTls {
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf */
	EVP_PKEY *key;
	GStrv names;
	gint64 expires;
	gboolean key_is_public;
};

/* ---- files ---- */

static const char *
last_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	return reason ? reason : "not readable";
}

static gboolean
fail(GError **error, const char *file, const char *text)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: %s", file, text);
	ERR_clear_error();
	return FALSE;
}

static BIO *
open_pem(const char *file, mode_t *mode, GError **error)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = errno;

		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", file,
			    g_strerror(err));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		close(fd);
		fail(error, file, "not a PEM file");
		return NULL;
	}
	*mode = st.st_mode;
	return BIO_new_fp(fdopen(fd, "r"), BIO_CLOSE);
}

/* OpenSSL would ask the terminal. */
static int
no_passphrase(char *buf, int size, int writing, void *user_data)
{
	*(gboolean *)user_data = TRUE;
	return -1;
}

static gboolean
read_key(SigTls *tls, const char *file, GError **error)
{
	gboolean encrypted = FALSE;
	mode_t mode;
	BIO *bio = open_pem(file, &mode, error);

	if (!bio)
		return FALSE;
	tls->key_is_public = (mode & S_IROTH) != 0;
	tls->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
	BIO_free(bio);
	if (tls->key)
		return TRUE;
	return fail(error, file,
		    encrypted ? "the key is encrypted: store it without a passphrase (openssl pkey "
				"-in FILE -out FILE2)"
			      : "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)");
}

static gboolean
read_chain(SigTls *tls, const char *file, GError **error)
{
	gboolean encrypted = FALSE;
	mode_t mode;
	BIO *bio = open_pem(file, &mode, error);
	X509 *cert;

	if (!bio)
		return FALSE;
	tls->chain = sk_X509_new_null();
	while (sk_X509_num(tls->chain) < CHAIN_MAX &&
	       (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, &encrypted))) {
		if (tls->leaf)
			sk_X509_push(tls->chain, cert);
		else
			tls->leaf = cert;
	}
	BIO_free(bio);
	if (!tls->leaf)
		return fail(error, file,
			    "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
	/* the end of the file is an error too, of this reason */
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		g_autofree char *text = g_strdup_printf(
			"a certificate after the first is damaged: %s", last_reason());

		return fail(error, file, text);
	}
	ERR_clear_error();
	return TRUE;
}

/* ---- what it says ---- */

static gint64
time_of(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) ? timegm(&tm) : 0;
}

static void
read_expiry(SigTls *tls)
{
	tls->expires = time_of(X509_get0_notAfter(tls->leaf));
	for (int i = 0; i < sk_X509_num(tls->chain); i++)
		tls->expires = MIN(tls->expires,
				   time_of(X509_get0_notAfter(sk_X509_value(tls->chain, i))));
}

/* NULL: of a kind that nobody dials. (transfer full) */
static char *
name_text(const GENERAL_NAME *name)
{
	char text[WG_ENDPOINT_STRLEN];
	const ASN1_STRING *value;
	const guint8 *bytes;
	int len;

	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return NULL;
	value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
	bytes = ASN1_STRING_get0_data(value);
	len = ASN1_STRING_length(value);
	if (name->type == GEN_DNS)
		return memchr(bytes, 0, len) ? NULL : g_ascii_strdown((const char *)bytes, len);
	if (len == 4)
		return g_strdup_printf("%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
	if (len != 16)
		return NULL;
	inet_ntop(AF_INET6, bytes, text, sizeof text);
	return g_strdup_printf("[%s]", text);
}

static void
read_names(SigTls *tls)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	GENERAL_NAMES *all = X509_get_ext_d2i(tls->leaf, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		g_autofree char *text = name_text(sk_GENERAL_NAME_value(all, i));

		if (text)
			g_strv_builder_add(names, text);
	}
	GENERAL_NAMES_free(all);
	tls->names = g_strv_builder_end(names);
}

/* ---- use ---- */

static gboolean
fits(const SigTls *tls, const char *cert_file, const char *key_file, GError **error)
{
	g_autofree char *text = NULL;

	if (X509_check_private_key(tls->leaf, tls->key) == 1)
		return TRUE;
	text = g_strdup_printf("is not the key of the first certificate in %s: the server's own "
			       "comes first, then those that signed it",
			       cert_file);
	return fail(error, key_file, text);
}

/* What OpenSSL itself would refuse (a key too short for its security level) is found out aside. */
static gboolean
try(const SigTls *tls, const char *cert_file, GError **error)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	gboolean ok;

	sig_tls_harden(ctx);
	ok = sig_tls_use(tls, ctx, error);
	SSL_CTX_free(ctx);
	if (!ok)
		g_prefix_error(error, "%s: ", cert_file);
	return ok;
}

SigTls *
sig_tls_load(const char *cert_file, const char *key_file, GError **error)
{
	g_autoptr(SigTls) tls = g_new0(SigTls, 1);

	ERR_clear_error();
	if (!read_chain(tls, cert_file, error) || !read_key(tls, key_file, error) ||
	    !fits(tls, cert_file, key_file, error) || !try(tls, cert_file, error))
		return NULL;
	read_names(tls);
	read_expiry(tls);
	return g_steal_pointer(&tls);
}

void
sig_tls_free(SigTls *tls)
{
	X509_free(tls->leaf);
	sk_X509_pop_free(tls->chain, X509_free);
	EVP_PKEY_free(tls->key);
	g_strfreev(tls->names);
	g_free(tls);
}

/* So that nobody resumes a session that was proved by another certificate. */
static gboolean
forget_tickets(SSL_CTX *ctx)
{
	guint8 keys[256];
	long len = SSL_CTX_get_tlsext_ticket_keys(ctx, NULL, 0);
	gboolean ok = len > 0 && len <= (long)sizeof keys && RAND_bytes(keys, (int)len) == 1 &&
		      SSL_CTX_set_tlsext_ticket_keys(ctx, keys, len) == 1;

	OPENSSL_cleanse(keys, sizeof keys);
	return ok;
}

/*
 * A ctx has a place for each type of key, and a certificate replaces only the one of its own type:
 * after a renewal with another type the old one would be offered on. So a connection has none but
 * the current one of its ctx, as the ctx has it when the client's hello is there.
 */
static int
serve_current(SSL *ssl, void *unused)
{
	SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(ctx, &chain);
	SSL_certs_clear(ssl);
	return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(ctx),
				    SSL_CTX_get0_privatekey(ctx), chain, 1);
}

gboolean
sig_tls_use(const SigTls *tls, SSL_CTX *ctx, GError **error)
{
	SSL_CTX_set_cert_cb(ctx, serve_current, NULL);
	if (SSL_CTX_use_cert_and_key(ctx, tls->leaf, tls->key, tls->chain, 1) == 1 &&
	    SSL_CTX_select_current_cert(ctx, tls->leaf) == 1 && forget_tickets(ctx))
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not usable: %s", last_reason());
	ERR_clear_error();
	return FALSE;
}

/*
 * Without SSL_MODE_RELEASE_BUFFERS each idle connection holds two buffers of a record, 33 kB. There
 * is no session cache: resumption is by tickets, which the client keeps; one, for it has one
 * connection.
 */
void
sig_tls_harden(SSL_CTX *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
}

const char *const *
sig_tls_names(const SigTls *tls)
{
	return (const char *const *)tls->names;
}

gint64
sig_tls_expires(const SigTls *tls)
{
	return tls->expires;
}

gboolean
sig_tls_key_is_public(const SigTls *tls)
{
	return tls->key_is_public;
}
