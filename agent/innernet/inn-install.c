/* SPDX-License-Identifier: MIT */
/*
 * The installation: InnRedeem says what to do, InnInstallFiles what is on disk; here it is done.
 *
 * The interface is ours to change and to remove where there was none, or where it holds the
 * invitation's key, our own, or none at all yet (an installer was killed): nobody else has these
 * keys. One that has our own key beside a finished file is in use, and is left up in any case.
 */
#include "agent/innernet/inn-install-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/base/nat-privs.h"
#include "agent/innernet/inn-link.h"
#include "wgctl/wg-link.h"

static gboolean
is_within(const WgEndpoint *address, const WgEndpoint *net, guint8 prefix)
{
	gsize len, len_net;
	const guint8 *a = wg_endpoint_bytes(address, &len);
	const guint8 *b = wg_endpoint_bytes(net, &len_net);

	if (len != len_net)
		return FALSE;
	for (guint bit = 0; bit < prefix; bit++)
		if ((a[bit / 8] ^ b[bit / 8]) & 0x80 >> bit % 8)
			return FALSE;
	return TRUE;
}

static gboolean
check_invitation(InnInstall *install, GError **error)
{
	const InnConf *invite = install->invite;
	const char *wanted = install->params->ifname;
	g_autofree char *shown = nat_log_escape(wanted ? wanted : invite->network_name, -1);
	g_autofree char *file = nat_log_escape(install->params->invite, -1);

	if (!wg_link_is_name(wanted ? wanted : invite->network_name) ||
	    strcmp(shown, wanted ? wanted : invite->network_name) != 0)
		return inn_install_fail(
			error, G_IO_ERROR_INVALID_ARGUMENT,
			"\"%s\" cannot name an interface: name one with --interface", shown);
	install->ifname = g_strdup(wanted ? wanted : invite->network_name);
	if (!is_within(&invite->server_internal, &invite->address, invite->prefix) ||
	    wg_endpoint_same_address(&invite->server_internal, &invite->address))
		return inn_install_fail(
			error, G_IO_ERROR_INVALID_DATA,
			"%s: internal-endpoint is not another host of the network of address: "
			"ask for a new invitation",
			file);
	return TRUE;
}

static gboolean
read_invitation(InnInstall *install, GError **error)
{
	install->invite = inn_conf_load(install->params->invite, error);
	return install->invite && check_invitation(install, error);
}

/* Our own key beside a finished file: an interface in use. */
static gboolean
is_in_use(const InnInstall *install, const WgDevice *dev)
{
	return install->files->start == INN_REDEEM_ENTERED &&
	       wg_key_equal(&dev->private_key, &install->files->own->private_key);
}

static gboolean
is_ours(const InnInstall *install, const WgDevice *dev)
{
	return wg_key_equal(&dev->private_key, &install->invite->private_key) ||
	       wg_key_equal(&dev->private_key, &install->files->own->private_key) ||
	       (install->files->start != INN_REDEEM_FRESH && dev->peers->len == 0 &&
		wg_key_is_zero(&dev->private_key));
}

static gboolean
check_interface(InnInstall *install, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(WgDevice) dev = wg_ctl_read(install->ctl, &cause);

	install->ours = TRUE;
	if (!dev && g_error_matches(cause, WG_ERROR, WG_ERROR_NO_DEVICE))
		return TRUE;
	install->ours = dev && is_ours(install, dev) && !is_in_use(install, dev);
	if (dev && is_ours(install, dev))
		return TRUE;
	if (!dev && !g_error_matches(cause, WG_ERROR, WG_ERROR_NOT_WIREGUARD)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return FALSE;
	}
	return inn_install_fail(
		error, G_IO_ERROR_EXISTS,
		"the interface %s exists already and is not of this invitation: remove it, or "
		"choose another --interface",
		install->ifname);
}

static gboolean
reach(InnInstall *install, GError **error)
{
	gboolean reached;

	if (!inn_install_connect(install, &reached, error))
		return FALSE;
	inn_redeem_connected(&install->redeem, reached);
	return TRUE;
}

static void
own_public(const InnInstall *install, WgKey *key)
{
	wg_key_public_from_private(&install->files->own->private_key, key);
}

static gboolean
do_send(InnInstall *install, GError **error)
{
	char text[WG_KEY_STRLEN];
	g_autofree char *json = NULL;
	WgKey key;
	guint status;

	own_public(install, &key);
	json = g_strdup_printf("{\"public_key\":\"%s\"}", wg_key_format(&key, text));
	inn_install_say(install, "registering our key");
	status = inn_install_call(install, "POST", "/v1/user/redeem", json, NULL);
	inn_redeem_sent(&install->redeem, status);
	return TRUE;
}

static InnRedeemRecord
record_of(InnInstall *install, GBytes *body)
{
	gsize len;
	const char *text = g_bytes_get_data(body, &len);
	WgKey found, own;

	own_public(install, &own);
	g_clear_pointer(&install->name, g_free);
	if (!text ||
	    !inn_install_find_record(text, len, &install->invite->address, &install->name, &found))
		return INN_REDEEM_UNNAMED;
	return wg_key_equal(&found, &own) ? INN_REDEEM_OUR_KEY : INN_REDEEM_OTHER_KEY;
}

static gboolean
do_ask(InnInstall *install, GError **error)
{
	g_autoptr(GBytes) body = NULL;
	guint status = inn_install_call(install, "GET", "/v1/user/state", NULL, &body);

	inn_redeem_asked(&install->redeem, status,
			 status == 200 ? record_of(install, body) : INN_REDEEM_UNNAMED);
	return TRUE;
}

static gboolean
do_wait(InnInstall *install, GError **error)
{
	inn_install_say(install, "registered; the server changes keys within 5 s");
	inn_install_pause(install, INN_REDEEM_WAIT_MS);
	inn_redeem_waited(&install->redeem);
	return TRUE;
}

static gboolean
step(InnInstall *install, GError **error)
{
	switch (install->redeem.step) {
	case INN_REDEEM_CONNECT:
		return reach(install, error);
	case INN_REDEEM_SEND:
		return do_send(install, error);
	case INN_REDEEM_ASK:
		return do_ask(install, error);
	case INN_REDEEM_WAIT:
		return do_wait(install, error);
	case INN_REDEEM_FAILED:
		return inn_install_fail_redeem(install, error);
	case INN_REDEEM_DONE:
		break;
	}
	return TRUE;
}

static gboolean
fail_interrupted(GError **error)
{
	return inn_install_fail(error, G_IO_ERROR_CANCELLED,
				"interrupted: nothing is lost, run this again");
}

static gboolean
redeem(InnInstall *install, GError **error)
{
	while (install->redeem.step != INN_REDEEM_DONE) {
		if (!step(install, error))
			return FALSE;
		if (install->redeem.entered && !inn_install_files_publish(install->files, error))
			return FALSE;
		if (install->interrupted)
			return fail_interrupted(error);
	}
	return TRUE;
}

/* In the order in which it costs least to be refused. */
static gboolean
prepare(InnInstall *install, GError **error)
{
	if (!nat_privs_check_admin(error) || !read_invitation(install, error))
		return FALSE;
	install->lock = nat_lock_acquire(install->ifname, error);
	if (!install->lock || !inn_install_resolve(install, error))
		return FALSE;
	if (install->interrupted)
		return fail_interrupted(error);
	install->files = inn_install_files_open(install->invite, install->params->dir,
						install->ifname, error);
	if (!install->files)
		return FALSE;
	inn_redeem_start(&install->redeem, install->files->start);
	install->ctl = wg_ctl_new(install->ifname);
	return TRUE;
}

static gboolean
bring_up(InnInstall *install, GError **error)
{
	if (!check_interface(install, error))
		return FALSE;
	inn_install_say(install, "bringing up %s", install->ifname);
	return inn_install_link_up(install, error);
}

/* What a failure takes back: the interface, and a key that nobody has heard of. */
static void
undo(InnInstall *install)
{
	g_autoptr(GError) error = NULL;

	if (install->ours && !inn_link_down(install->ifname, &error))
		g_warning("%s", error->message);
	if (install->files && !install->redeem.maybe)
		inn_install_files_forget(install->files);
}

static void
delete_invitation(const InnInstall *install)
{
	g_autofree char *shown = nat_log_escape(install->params->invite, -1);

	if (install->params->delete_invite && g_unlink(install->params->invite) < 0)
		g_warning("cannot delete %s: %s; delete it by hand, it is of no use any more",
			  shown, g_strerror(errno));
}

static void
begin(InnInstall *install, const InnInstallParams *params)
{
	install->params = params;
	inn_install_net_begin(install);
}

static void
end(InnInstall *install)
{
	inn_install_net_end(install);
	wg_ctl_free(install->ctl);
	inn_install_files_free(install->files);
	nat_lock_free(install->lock);
	inn_conf_free(install->invite);
	g_free(install->ifname);
	g_free(install->name);
	g_free(install->cause);
}

char *
inn_install(const InnInstallParams *params, GError **error)
{
	InnInstall install = {0};
	char *text = NULL;

	begin(&install, params);
	if (prepare(&install, error) && bring_up(&install, error) && redeem(&install, error)) {
		delete_invitation(&install);
		text = inn_install_summary(&install);
	} else {
		undo(&install);
	}
	end(&install);
	return text;
}
