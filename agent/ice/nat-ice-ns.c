/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. There are two ways to keep libnice's packets apart from the host's, and the
 * rest of the agent sees no difference: it speaks of the host's addresses.
 *
 * A namespace of its own. The ICE thread alone is in it: it unshares, opens the TUN and a rtnetlink
 * socket there, brings up lo and the TUN, reports, and then only runs its main loop. A socket and
 * a TUN fd stay in the namespace that opened them, so the host thread reads and writes packets and
 * changes addresses without ever entering it. The kernel lets the host thread do so when both the
 * opener had and the sender has CAP_NET_ADMIN (tests/platform/netns-rtnl-opener.c). The TUN
 * carries copies of the host's addresses: inside and outside are the same.
 *
 * At home, where there is no permission for that: nat-ice-home. Private addresses stand for the
 * host's, and are translated here, at each packet.
 *
 * The link is silent by itself: no link-local address (addr_gen_mode 1), so no router
 * solicitation and no MLD; addresses are nodad. What comes out of the TUN is libnice's.
 */
#include "agent/ice/nat-ice-ns.h"

#include "agent/base/nat-privs.h"
#include "agent/ice/nat-ice-home.h"

#include <errno.h>
#include <gio/gio.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define TUN_NAME "ice0"
#define LO_IFINDEX 1 /* in every namespace: drivers/net/loopback.c, BUG_ON */

typedef struct {
	WgEndpoint host, inside; /* port 0 */
} Address;

struct NatIceNs {
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	NatIceLink *link; /* home's, where there is one */
	NatIceHome *home; /* NULL: a namespace of its own */
	GArray *addrs;	  /* of Address: what the TUN carries now */
	gboolean told;	  /* that a family is off */

	/* how the thread reports once that it is up, or why not */
	GMutex mutex;
	GCond cond;
	gboolean reported;
	GError *error;
};

G_GNUC_PRINTF(3, 4)
static gboolean
fail(GError **error, int err, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list args;

	va_start(args, format);
	what = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
	return FALSE;
}

/* ---- setting up, in the ICE thread ---- */

/* Why there is none; NULL: we are in it. */
static const char *
enter_namespace(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return NULL;
	if (errno == EPERM)
		return "CAP_SYS_ADMIN is missing, or unshare(2) forbidden";
	if (errno == ENOSPC)
		return "no more are allowed, sysctl user.max_net_namespaces";
	return g_strerror(errno);
}

static gboolean
bring_lo_up(NatIceNs *ns, GError **error)
{
	NatRtnl *rtnl = nat_ice_link_rtnl(ns->link);
	struct nlmsghdr *nlh = nat_rtnl_begin(rtnl, RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof *ifi);
	int err;

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = LO_IFINDEX;
	ifi->ifi_flags = ifi->ifi_change = IFF_UP;
	err = nat_rtnl_talk(rtnl, nlh, NULL, NULL);
	return err == 0 || fail(error, err, "cannot bring lo up in the ICE namespace");
}

static gboolean
set_up(NatIceNs *ns, GError **error)
{
	const char *reason = enter_namespace();

	if (!reason) {
		ns->link = nat_ice_link_new(TUN_NAME, error);
		return ns->link && bring_lo_up(ns, error);
	}
	ns->home = nat_ice_home_new(error);
	if (!ns->home)
		return FALSE;
	ns->link = nat_ice_home_link(ns->home);
	g_message("no network namespace of its own (%s): checks run by rules and %s instead",
		  reason, nat_ice_link_name(ns->link));
	return TRUE;
}

static gpointer
ice_thread(gpointer data)
{
	NatIceNs *ns = data;
	GError *error = NULL;
	gboolean ok = set_up(ns, &error);

	g_mutex_lock(&ns->mutex);
	ns->error = error;
	ns->reported = TRUE;
	g_cond_signal(&ns->cond);
	g_mutex_unlock(&ns->mutex);
	if (!ok)
		return NULL;
	/* What is changed here later goes by the socket that was opened: libnice needs nothing. */
	nat_privs_drop_all();
	g_main_context_push_thread_default(ns->context);
	g_main_loop_run(ns->loop);
	g_main_context_pop_thread_default(ns->context);
	return NULL;
}

/* ---- the host thread's side ---- */

NatIceNs *
nat_ice_ns_new(GError **error)
{
	NatIceNs *ns = g_new0(NatIceNs, 1);

	ns->addrs = g_array_new(FALSE, FALSE, sizeof(Address));
	ns->context = g_main_context_new();
	ns->loop = g_main_loop_new(ns->context, FALSE);
	g_mutex_init(&ns->mutex);
	g_cond_init(&ns->cond);
	nat_ice_home_sweep();
	ns->thread = g_thread_try_new("ice", ice_thread, ns, error);
	if (ns->thread) {
		g_mutex_lock(&ns->mutex);
		while (!ns->reported)
			g_cond_wait(&ns->cond, &ns->mutex);
		g_mutex_unlock(&ns->mutex);
	}
	if (ns->thread && !ns->error)
		return ns;
	if (ns->error)
		g_propagate_error(error, ns->error);
	if (ns->thread)
		g_thread_join(g_steal_pointer(&ns->thread));
	nat_ice_ns_free(ns);
	return NULL;
}

static void
quit(gpointer data)
{
	g_main_loop_quit(data);
}

void
nat_ice_ns_free(NatIceNs *ns)
{
	if (!ns)
		return;
	if (ns->thread) {
		/* after all that was invoked before */
		nat_ice_ns_invoke(ns, quit, ns->loop, NULL);
		g_thread_join(ns->thread);
	}
	if (ns->home)
		nat_ice_home_free(ns->home);
	else
		nat_ice_link_free(ns->link);
	g_array_unref(ns->addrs);
	g_main_loop_unref(ns->loop);
	g_main_context_unref(ns->context);
	g_mutex_clear(&ns->mutex);
	g_cond_clear(&ns->cond);
	g_free(ns);
}

GMainContext *
nat_ice_ns_context(NatIceNs *ns)
{
	return ns->context;
}

int
nat_ice_ns_tun_fd(NatIceNs *ns)
{
	return nat_ice_link_fd(ns->link);
}

typedef struct {
	void (*func)(gpointer);
	gpointer data;
	GDestroyNotify destroy;
} Invocation;

static gboolean
run_invocation(gpointer data)
{
	Invocation *inv = data;

	inv->func(inv->data);
	return G_SOURCE_REMOVE;
}

static void
free_invocation(gpointer data)
{
	Invocation *inv = data;

	if (inv->destroy)
		inv->destroy(inv->data);
	g_free(inv);
}

void
nat_ice_ns_invoke(NatIceNs *ns, void (*func)(gpointer), gpointer data, GDestroyNotify destroy)
{
	g_autoptr(GSource) source = g_idle_source_new();
	Invocation *inv = g_new(Invocation, 1);

	*inv = (Invocation){func, data, destroy};
	/* sources of one priority run in the order in which they were attached */
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_static_name(source, "nat-ice-ns invoke");
	g_source_set_callback(source, run_invocation, inv, free_invocation);
	g_source_attach(source, ns->context);
}

const char *
nat_ice_ns_isolation(const NatIceNs *ns)
{
	return ns->home ? "rules" : "namespace";
}

void
nat_ice_ns_bind(const NatIceNs *ns, int fd)
{
	if (ns->home)
		nat_ice_home_bind(ns->home, fd);
}

gboolean
nat_ice_ns_port_is_free(const NatIceNs *ns, guint16 port)
{
	return !ns->home || nat_ice_home_port_is_free(port);
}

/* ---- addresses ---- */

static const Address *
find(const NatIceNs *ns, const WgEndpoint *host)
{
	for (guint i = 0; i < ns->addrs->len; i++) {
		const Address *addr = &g_array_index(ns->addrs, Address, i);

		if (wg_endpoint_same_address(&addr->host, host))
			return addr;
	}
	return NULL;
}

gboolean
nat_ice_ns_to_inside(const NatIceNs *ns, const WgEndpoint *host, WgEndpoint *inside)
{
	const Address *addr = find(ns, host);
	guint16 port = wg_endpoint_port(host);

	if (!addr)
		return FALSE;
	*inside = addr->inside;
	wg_endpoint_set_port(inside, port);
	return TRUE;
}

gboolean
nat_ice_ns_to_host(const NatIceNs *ns, const WgEndpoint *inside, WgEndpoint *host)
{
	guint16 port = wg_endpoint_port(inside);

	for (guint i = 0; i < ns->addrs->len; i++) {
		const Address *addr = &g_array_index(ns->addrs, Address, i);

		if (!wg_endpoint_same_address(&addr->inside, inside))
			continue;
		*host = addr->host;
		wg_endpoint_set_port(host, port);
		return TRUE;
	}
	return FALSE;
}

gboolean
nat_ice_ns_deliver(NatIceNs *ns, const WgEndpoint *to, const guint8 *pkt, gsize len)
{
	if (ns->home)
		return nat_ice_home_deliver(ns->home, to, pkt, len);
	return write(nat_ice_link_fd(ns->link), pkt, len) == (gssize)len;
}

static gboolean
copy_address(NatIceNs *ns, const WgEndpoint *addr, GError **error)
{
	char text[WG_ENDPOINT_STRLEN];
	int err = nat_ice_link_add(ns->link, addr, FALSE);

	if (err == 0)
		err = nat_ice_link_put_default_route(ns->link, wg_endpoint_family(addr),
						     RT_TABLE_MAIN);
	return err == 0 || fail(error, err, "cannot give the ICE namespace %s",
				wg_endpoint_format_address(addr, text));
}

/* Where IPv6 is off, IPv4 must do: TRUE without an address. */
static gboolean
stand_in(NatIceNs *ns, Address *addr, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (nat_ice_home_add(ns->home, wg_endpoint_family(&addr->host), &addr->inside, &problem))
		return TRUE;
	addr->inside = (WgEndpoint){0};
	if (!g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	if (!ns->told)
		g_warning("%s", problem->message);
	ns->told = TRUE;
	return TRUE;
}

static gboolean
add_address(NatIceNs *ns, const WgEndpoint *host, GError **error)
{
	Address addr = {*host, *host};

	if (!wg_endpoint_is_set(host))
		return fail(error, EINVAL, "cannot give the ICE namespace an unset address");
	wg_endpoint_set_port(&addr.host, 0);
	wg_endpoint_set_port(&addr.inside, 0);
	if (!(ns->home ? stand_in(ns, &addr, error) : copy_address(ns, &addr.inside, error)))
		return FALSE;
	if (wg_endpoint_is_set(&addr.inside))
		g_array_append_val(ns->addrs, addr);
	return TRUE;
}

static void
remove_address(NatIceNs *ns, guint index)
{
	const Address *addr = &g_array_index(ns->addrs, Address, index);

	/* only "it is not there" is possible: the TUN lives as long as ns */
	if (ns->home)
		nat_ice_home_remove(ns->home, &addr->inside);
	else
		nat_ice_link_remove(ns->link, &addr->inside);
	g_array_remove_index(ns->addrs, index);
}

static gboolean
contains(const WgEndpoint *addrs, gsize n, const WgEndpoint *addr)
{
	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_same_address(&addrs[i], addr))
			return TRUE;
	return FALSE;
}

gboolean
nat_ice_ns_set_addresses(NatIceNs *ns, const WgEndpoint *addrs, gsize n, GError **error)
{
	gboolean ok = TRUE;

	if (ns->home)
		nat_ice_home_renew(ns->home);
	/* first the new ones: the routes stay */
	for (gsize i = 0; i < n; i++)
		/* one that fails must not cost the others; its error is the answer */
		if (!find(ns, &addrs[i]))
			ok = add_address(ns, &addrs[i], ok ? error : NULL) && ok;
	for (guint i = ns->addrs->len; i-- > 0;)
		if (!contains(addrs, n, &g_array_index(ns->addrs, Address, i).host))
			remove_address(ns, i);
	for (guint i = 0; i < ns->addrs->len; i++)
		nat_ice_link_wait(ns->link, &g_array_index(ns->addrs, Address, i).inside);
	return ok;
}
