/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-watch-keys.h"

#include <sodium.h>
#include <string.h>

#define UFRAG_BYTES 12
#define PWD_BYTES 24

/* "what" ‖ the receiver's key ‖ the receiver's watch ‖ the sender's watch: both ends derive the
 * same. */
static char *
derive(NatSeal *seal, const char *what, const WgKey *receiver, guint64 receiver_id,
       guint64 sender_id, gsize len)
{
	guint8 info[8 + WG_KEY_LEN + 16] = {0};
	guint64 ids[2] = {GUINT64_TO_BE(receiver_id), GUINT64_TO_BE(sender_id)};
	guint8 out[PWD_BYTES];
	char *text;

	g_assert(strlen(what) <= 8 && len <= sizeof out);
	memcpy(info, what, strlen(what));
	memcpy(info + 8, receiver->b, WG_KEY_LEN);
	memcpy(info + 8 + WG_KEY_LEN, ids, sizeof ids);
	nat_seal_derive_probe(seal, (const char *)info, sizeof info, out, len);
	text = g_base64_encode(out, len);
	sodium_memzero(out, sizeof out);
	return text;
}

void
nat_watch_keys_init(NatWatchKeys *keys, NatSeal *seal, const WgKey *own, const WgKey *peer,
		    guint64 own_id, guint64 peer_id)
{
	g_autofree char *peer_ufrag = derive(seal, "ufrag", peer, peer_id, own_id, UFRAG_BYTES);

	keys->own_ufrag = derive(seal, "ufrag", own, own_id, peer_id, UFRAG_BYTES);
	keys->username = g_strdup_printf("%s:%s", peer_ufrag, keys->own_ufrag);
	keys->own_pwd = derive(seal, "pwd", own, own_id, peer_id, PWD_BYTES);
	keys->peer_pwd = derive(seal, "pwd", peer, peer_id, own_id, PWD_BYTES);
}

static void
clear_secret(char **secret)
{
	if (*secret != NULL)
		sodium_memzero(*secret, strlen(*secret));
	g_clear_pointer(secret, g_free);
}

void
nat_watch_keys_clear(NatWatchKeys *keys)
{
	clear_secret(&keys->own_pwd);
	clear_secret(&keys->peer_pwd);
	g_clear_pointer(&keys->own_ufrag, g_free);
	g_clear_pointer(&keys->username, g_free);
}
