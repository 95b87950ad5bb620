/* SPDX-License-Identifier: MIT */
#include "wgctl/wgctl-commands.h"

#include "wgctl/wg-ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What the command line asks for; the pointers of WgPeerChange point into it. */
typedef struct {
	gboolean has_private_key, has_listen_port, has_fwmark;
	WgKey private_key;
	guint16 listen_port;
	guint32 fwmark;
	WgPeerChange change;
	GArray *allowed_ips; /* of WgAllowedIp */
} Request;

/* A word with the value after it (NULL when `takes_value` is FALSE). */
typedef struct {
	const char *word;
	gboolean takes_value;
	gboolean (*apply)(Request *request, const char *value, GError **error);
} Setting;

static gboolean
fail_usage(GError **error, const char *word, const char *value, const char *wanted)
{
	g_set_error(error, WGCTL_USAGE_ERROR, 0, "%s '%s' is not valid: give %s", word, value,
		    wanted);
	return FALSE;
}

static gboolean
parse_number(const char *text, guint64 max, guint64 *out)
{
	gboolean hex = g_str_has_prefix(text, "0x");

	if (strcmp(text, "off") == 0) {
		*out = 0;
		return TRUE;
	}
	if (hex)
		text += 2;
	return g_ascii_isxdigit(text[0]) &&
	       g_ascii_string_to_unsigned(text, hex ? 16 : 10, 0, max, out, NULL);
}

/* An empty file means no key, as with wg(8). */
static gboolean
read_key_file(const char *path, WgKey *key, GError **error)
{
	char text[128] = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	int err = errno;
	gboolean ok;

	if (fd >= 0)
		close(fd);
	if (n < 0) {
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED, "key file %s: %s", path,
			    g_strerror(err));
		return FALSE;
	}
	g_strchomp(text);
	wg_key_clear(key);
	ok = text[0] == '\0' || wg_key_parse(text, key);
	explicit_bzero(text, sizeof text);
	if (!ok)
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED,
			    "key file %s holds no key: make one with 'wg genkey' or 'wg genpsk'",
			    path);
	return ok;
}

static gboolean
apply_private_key(Request *request, const char *value, GError **error)
{
	request->has_private_key = TRUE;
	return read_key_file(value, &request->private_key, error);
}

static gboolean
apply_listen_port(Request *request, const char *value, GError **error)
{
	guint64 number;

	if (!parse_number(value, G_MAXUINT16, &number))
		return fail_usage(error, "listen-port", value, "0 to 65535 (0: any)");
	request->has_listen_port = TRUE;
	request->listen_port = number;
	return TRUE;
}

static gboolean
apply_fwmark(Request *request, const char *value, GError **error)
{
	guint64 number;

	if (!parse_number(value, G_MAXUINT32, &number))
		return fail_usage(error, "fwmark", value, "a 32-bit number, 0x… or off");
	request->has_fwmark = TRUE;
	request->fwmark = number;
	return TRUE;
}

static gboolean
apply_endpoint(Request *request, const char *value, GError **error)
{
	WgEndpoint *ep = &request->change.endpoint;

	request->change.flags |= WG_CHANGE_ENDPOINT;
	memset(ep, 0, sizeof *ep);
	if (strcmp(value, "none") == 0)
		return TRUE;
	if (wg_endpoint_parse(value, ep) && wg_endpoint_port(ep) != 0)
		return TRUE;
	return fail_usage(error, "endpoint", value,
			  "ADDRESS:PORT or [ADDRESS]:PORT, numeric, or none");
}

static gboolean
apply_keepalive(Request *request, const char *value, GError **error)
{
	guint64 number;

	if (!parse_number(value, G_MAXUINT16, &number))
		return fail_usage(error, "keepalive", value, "seconds, 0 to 65535, or off");
	request->change.flags |= WG_CHANGE_KEEPALIVE;
	request->change.keepalive = number;
	return TRUE;
}

static gboolean
apply_rearm(Request *request, const char *value, GError **error)
{
	request->change.flags |= WG_CHANGE_REARM;
	return TRUE;
}

static gboolean
apply_replace(Request *request, const char *value, GError **error)
{
	request->change.flags |= WG_CHANGE_REPLACE;
	return TRUE;
}

static gboolean
apply_remove(Request *request, const char *value, GError **error)
{
	request->change.flags |= WG_CHANGE_REMOVE;
	return TRUE;
}

static gboolean
apply_create(Request *request, const char *value, GError **error)
{
	request->change.flags |= WG_CHANGE_CREATE;
	return TRUE;
}

static gboolean
apply_preshared_key(Request *request, const char *value, GError **error)
{
	request->change.flags |= WG_CHANGE_PSK;
	return read_key_file(value, &request->change.preshared_key, error);
}

static gboolean
apply_allowed_ips(Request *request, const char *value, GError **error)
{
	g_auto(GStrv) list = g_strsplit(value, ",", -1);

	request->change.flags |= WG_CHANGE_ALLOWED_IPS;
	g_array_set_size(request->allowed_ips, 0);
	for (char **text = list; *text; text++) {
		WgAllowedIp ip;

		if (!wg_allowed_ip_parse(*text, &ip))
			return fail_usage(error, "allowed-ips", *text,
					  "ADDRESS/BITS, several joined by ','");
		g_array_append_val(request->allowed_ips, ip);
	}
	return TRUE;
}

static const Setting device_settings[] = {
	{"private-key", TRUE, apply_private_key},
	{"listen-port", TRUE, apply_listen_port},
	{"fwmark", TRUE, apply_fwmark},
	{0},
};

static const Setting peer_settings[] = {
	{"endpoint", TRUE, apply_endpoint},
	{"keepalive", TRUE, apply_keepalive},
	{"rearm", FALSE, apply_rearm},
	{"replace", FALSE, apply_replace},
	{"remove", FALSE, apply_remove},
	{"create", FALSE, apply_create},
	{"allowed-ips", TRUE, apply_allowed_ips},
	{"preshared-key", TRUE, apply_preshared_key},
	{0},
};

static const Setting *
find_setting(const Setting *settings, const char *word)
{
	for (; settings->word; settings++)
		if (strcmp(settings->word, word) == 0)
			return settings;
	return NULL;
}

static gboolean
parse_settings(Request *request, const Setting *settings, char **argv, GError **error)
{
	if (!*argv) {
		g_set_error(error, WGCTL_USAGE_ERROR, 0,
			    "nothing to set: see the settings with 'wgctl --help'");
		return FALSE;
	}
	while (*argv) {
		const char *word = *argv++;
		const Setting *setting = find_setting(settings, word);

		if (!setting) {
			g_set_error(error, WGCTL_USAGE_ERROR, 0,
				    "'%s' is no setting here: see them with 'wgctl --help'", word);
			return FALSE;
		}
		if (setting->takes_value && !*argv) {
			g_set_error(error, WGCTL_USAGE_ERROR, 0,
				    "'%s' lacks its value: see 'wgctl --help'", word);
			return FALSE;
		}
		if (!setting->apply(request, setting->takes_value ? *argv++ : NULL, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
set_peer(WgCtl *ctl, Request *request, char **argv, GError **error)
{
	WgPeerChange *change = &request->change;

	if (!parse_settings(request, peer_settings, argv, error))
		return FALSE;
	if (change->flags & WG_CHANGE_REMOVE && change->flags != WG_CHANGE_REMOVE) {
		g_set_error(error, WGCTL_USAGE_ERROR, 0,
			    "remove goes with no other setting: leave the others out");
		return FALSE;
	}
	change->allowed_ips = (const WgAllowedIp *)request->allowed_ips->data;
	change->n_allowed_ips = request->allowed_ips->len;
	return wg_ctl_apply(ctl, change, 1, error);
}

static gboolean
set_device(WgCtl *ctl, Request *request, char **argv, GError **error)
{
	return parse_settings(request, device_settings, argv, error) &&
	       wg_ctl_set_device(ctl, request->has_private_key ? &request->private_key : NULL,
				 request->has_listen_port ? &request->listen_port : NULL,
				 request->has_fwmark ? &request->fwmark : NULL, error);
}

static gboolean
parse_and_set(WgCtl *ctl, Request *request, char **argv, GError **error)
{
	if (*argv && wg_key_parse(*argv, &request->change.public_key))
		return set_peer(ctl, request, argv + 1, error);
	if (*argv && !find_setting(device_settings, *argv)) {
		g_set_error(error, WGCTL_USAGE_ERROR, 0,
			    "'%s' is neither a peer's public key (44 characters of base64) nor a "
			    "setting: see 'wgctl --help'",
			    *argv);
		return FALSE;
	}
	return set_device(ctl, request, argv, error);
}

gboolean
wgctl_set(int argc, char **argv, GError **error)
{
	Request request = {0};
	g_autoptr(WgCtl) ctl = NULL;
	gboolean ok;

	if (argc < 1) {
		g_set_error(error, WGCTL_USAGE_ERROR, 0, "usage: wgctl set IF [PEER] SETTING...");
		return FALSE;
	}
	request.allowed_ips = g_array_new(FALSE, TRUE, sizeof(WgAllowedIp));
	ctl = wg_ctl_new(argv[0]);
	ok = parse_and_set(ctl, &request, argv + 1, error);
	g_array_unref(request.allowed_ips);
	wg_key_clear(&request.private_key);
	wg_key_clear(&request.change.preshared_key);
	return ok;
}
