/* SPDX-License-Identifier: MIT */
/*
 * The interface's MTU against what its peers' paths carry: the smallest one counts. With mtu=auto
 * it is lowered to that, and comes back up when every path that is in use has been measured and
 * carries more; with the default it is only said. Nothing is measured with mtu=off.
 */
#include "agent/interface/nat-interface-private.h"

#include "agent/base/nat-log.h"

typedef struct {
	NatPeer *peer; /* with the smallest path; NULL: none is known */
	guint fits;
	guint path;
	gboolean unknown; /* a connected one whose path is being measured */
} Least;

static gboolean
is_auto(const NatInterface *iface)
{
	return iface->config.mtu == NAT_MTU_AUTO;
}

/* The device may have been made anew. */
static void
open_link(NatInterface *iface)
{
	guint ifindex = (guint)iface->device->ifindex;
	g_autoptr(GError) error = NULL;

	if (iface->link_mtu_ifindex == ifindex)
		return;
	iface->link_mtu_ifindex = ifindex;
	iface->mtu_fits = iface->mtu_advice = 0;
	g_clear_pointer(&iface->link_mtu, nat_link_mtu_free);
	iface->link_mtu =
		nat_link_mtu_new(iface->config.name, iface->env.config->state_dir, &error);
	if (iface->link_mtu == NULL) {
		g_warning("%s: paths are not measured", error->message);
		return;
	}
	/* an earlier run had mtu=auto, and was killed */
	if (!is_auto(iface) && !nat_link_mtu_restore(iface->link_mtu, &error))
		g_warning("%s", error->message);
	if (iface->config.mtu == NAT_MTU_OFF)
		g_clear_pointer(&iface->link_mtu, nat_link_mtu_free);
}

static void
put_back(NatInterface *iface)
{
	g_autoptr(GError) error = NULL;

	/* a device that is gone took its MTU along */
	if (is_auto(iface) && !nat_link_mtu_restore(iface->link_mtu, &error))
		g_debug("%s", error->message);
}

void
nat_interface_stop_mtu(NatInterface *iface)
{
	if (iface->link_mtu == NULL)
		return;
	put_back(iface);
	g_clear_pointer(&iface->link_mtu, nat_link_mtu_free);
	iface->link_mtu_ifindex = 0;
	iface->mtu_fits = iface->mtu_advice = 0;
}

guint
nat_interface_wg_mtu(gpointer user_data)
{
	NatInterface *iface = user_data;

	return iface->link_mtu != NULL ? nat_link_mtu_original(iface->link_mtu) : 0;
}

static Least
find_least(NatInterface *iface)
{
	Least least = {.fits = G_MAXUINT};
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer)) {
		guint fits = nat_peer_wg_mtu(peer);

		if (fits == 0)
			least.unknown |= nat_peer_is_measured(peer);
		else if (least.peer == NULL || fits < least.fits)
			least = (Least){peer, fits, nat_peer_path_mtu(peer), least.unknown};
	}
	return least;
}

static char *
peer_text(NatPeer *peer)
{
	char key[WG_KEY_STRLEN];

	if (nat_peer_name(peer) != NULL)
		return nat_log_escape(nat_peer_name(peer), -1);
	wg_key_format_short(nat_peer_key(peer), key);
	return g_strdup(key);
}

static void
say_too_large(NatInterface *iface, const Least *least, guint allowed, guint present)
{
	const char *name = iface->config.name;
	g_autofree char *peer = peer_text(least->peer);

	if (allowed > least->fits)
		g_message("%s: path to %s carries %u bytes, which %u would fit; %u is the least "
			  "while %s has IPv6 addresses, so larger packets go in pieces or get lost",
			  name, peer, least->path, least->fits, allowed, name);
	if (is_auto(iface))
		g_message("%s: path to %s carries %u bytes: MTU %u → %u", name, peer, least->path,
			  present, allowed);
	else if (allowed < present)
		g_message("%s: path to %s carries %u bytes: set the interface's MTU to %u "
			  "(ip link set %s mtu %u), or mtu=auto",
			  name, peer, least->path, allowed, name, allowed);
}

static void
lower(NatInterface *iface, guint to)
{
	g_autoptr(GError) error = NULL;

	if (nat_link_mtu_lower(iface->link_mtu, to, &error) == 0)
		g_warning("%s", error->message);
}

/* Every path carries what the user had. */
static void
fits_all(NatInterface *iface, guint present)
{
	iface->mtu_advice = 0;
	if (iface->mtu_fits == 0)
		return;
	iface->mtu_fits = 0;
	g_message("%s: every path carries the interface's MTU%s", iface->config.name,
		  is_auto(iface) ? " again" : "");
	if (is_auto(iface))
		put_back(iface);
}

void
nat_interface_update_mtu(NatInterface *iface)
{
	Least least;
	guint present, original, allowed;

	open_link(iface);
	if (iface->link_mtu == NULL)
		return;
	present = nat_link_mtu_get(iface->link_mtu, NULL);
	least = find_least(iface);
	if (present == 0 || least.peer == NULL)
		return;
	original = nat_link_mtu_original(iface->link_mtu);
	/* what is not known yet may be as small as what was */
	if (least.unknown && least.fits > (iface->mtu_fits != 0 ? iface->mtu_fits : original))
		return;
	if (least.fits >= original) {
		fits_all(iface, present);
		return;
	}
	allowed = nat_link_mtu_allowed(iface->link_mtu, least.fits);
	if (iface->mtu_fits != least.fits)
		say_too_large(iface, &least, allowed, present);
	iface->mtu_fits = least.fits;
	if (is_auto(iface) && allowed != present)
		lower(iface, allowed);
	iface->mtu_advice = !is_auto(iface) && allowed < present ? allowed : 0;
}
