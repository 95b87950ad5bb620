/* SPDX-License-Identifier: MIT */
#include "agent/nat-originals.h"

#include <errno.h>
#include <gio/gio.h>

struct NatOriginals {
	char *path; /* NULL: memory only */
	GKeyFile *file;
};

NatOriginals *
nat_originals_new(const char *state_dir, const WgKey *own_public)
{
	NatOriginals *originals = g_new0(NatOriginals, 1);
	char hex[WG_KEY_HEXLEN];
	g_autofree char *name = NULL;
	g_autoptr(GError) error = NULL;

	originals->file = g_key_file_new();
	if (g_mkdir_with_parents(state_dir, 0700) < 0) {
		g_warning("state directory %s: %s: what we change in WireGuard cannot be put back "
			  "after a crash; make it writable or set state_dir",
			  state_dir, g_strerror(errno));
		return originals;
	}
	name = g_strdup_printf("originals-%.16s.conf", wg_key_format_hex(own_public, hex));
	originals->path = g_build_filename(state_dir, name, NULL);
	if (!g_key_file_load_from_file(originals->file, originals->path, G_KEY_FILE_NONE, &error) &&
	    !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		g_warning("%s: %s: starting afresh", originals->path, error->message);
	return originals;
}

void
nat_originals_free(NatOriginals *originals)
{
	if (originals == NULL)
		return;
	g_key_file_unref(originals->file);
	g_free(originals->path);
	g_free(originals);
}

static void
save(NatOriginals *originals)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	gsize len;

	if (originals->path == NULL)
		return;
	text = g_key_file_to_data(originals->file, &len, NULL);
	if (!g_file_set_contents_full(originals->path, text, (gssize)len,
				      G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error)) {
		g_warning("%s", error->message);
		g_clear_pointer(&originals->path, g_free); /* say it once */
	}
}

void
nat_originals_keep(NatOriginals *originals, const WgPeer *peer)
{
	char key[WG_KEY_STRLEN], endpoint[WG_ENDPOINT_STRLEN];

	wg_key_format(&peer->public_key, key);
	if (g_key_file_has_group(originals->file, key))
		return;
	g_key_file_set_string(originals->file, key, "endpoint",
			      wg_endpoint_is_set(&peer->endpoint) &&
					      !wg_endpoint_is_bogus(&peer->endpoint)
				      ? wg_endpoint_format(&peer->endpoint, endpoint)
				      : "");
	g_key_file_set_integer(originals->file, key, "keepalive", peer->keepalive);
	save(originals);
}

gboolean
nat_originals_get(NatOriginals *originals, const WgKey *peer, WgEndpoint *endpoint,
		  guint16 *keepalive)
{
	char key[WG_KEY_STRLEN];
	g_autofree char *text = NULL;
	int seconds;

	wg_key_format(peer, key);
	if (!g_key_file_has_group(originals->file, key))
		return FALSE;
	text = g_key_file_get_string(originals->file, key, "endpoint", NULL);
	if (text == NULL || !wg_endpoint_parse(text, endpoint) || wg_endpoint_is_bogus(endpoint))
		*endpoint = (WgEndpoint){0};
	seconds = g_key_file_get_integer(originals->file, key, "keepalive", NULL);
	*keepalive = (guint16)CLAMP(seconds, 0, G_MAXUINT16);
	return TRUE;
}

void
nat_originals_forget(NatOriginals *originals, const WgKey *peer)
{
	char key[WG_KEY_STRLEN];

	if (g_key_file_remove_group(originals->file, wg_key_format(peer, key), NULL))
		save(originals);
}
