/* SPDX-License-Identifier: MIT */
/*
 * A plain peer behind a symmetric NAT, whose only way to us is our relayed address: real WireGuard
 * at both ends (the kernel's where it is, else wireguard-go), a real coturn between.
 *
 *     us ─ 192.0.2.0/24 ─ pub ─ 198.51.100.0/24 ─ router ─ 192.168.1.0/24 ─ phone
 *     wgus 10.77.0.1      203.0.113.2: coturn     .7: NAT                  wgphone 10.77.0.2
 */
#include "agent/relay/nat-relay-plain.h"
#include "tests/unit/coturn.h"
#include "tests/unit/two-hosts.h"
#include "wgctl/wg-ctl.h"
#include "wgctl/wg-uapi.h"

#include <gio/gio.h>
#include <sys/mount.h>

#define USER "bob:s3cret"
#define RELAY_IP "203.0.113.2"
#define NAT_IP "198.51.100.7"
#define SOON_MS 30000
#define SECOND_US G_TIME_SPAN_SECOND

typedef struct {
	int netns;
	const char *device;
	GPid pid; /* of wireguard-go; 0: the kernel's */
	WgCtl *ctl;
	WgKey private_key, public_key;
	guint16 port;
	int talk; /* a socket inside of the tunnel */
	WgEndpoint inside;
} End;

typedef struct {
	gboolean up;
	int pub, router;
	End us, phone;
	Coturn coturn;
	NatFib *fib;
	NatRelay *relay;
	NatRelayPlain *plain;
	gint64 later_us; /* added to the time that plain is told */
	guint passed_on;
} Fixture;

/* ---- the network ---- */

static void
enter(int netns)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		g_error("setns: %s", g_strerror(errno));
}

static gboolean
fresh(int *netns)
{
	if (!net_fresh())
		return FALSE;
	*netns = host_netns();
	net_run("ip link set lo up");
	return TRUE;
}

/* From the namespace we are in to another one. */
static void
link_to(int netns, const char *here, const char *address, const char *there, const char *other)
{
	net_run("ip link add %s type veth peer name %s", here, there);
	net_run("ip link set %s netns /proc/%d/fd/%d", there, (int)getpid(), netns);
	net_run("ip addr add %s dev %s", address, here);
	net_run("ip link set %s up", here);
	enter(netns);
	net_run("ip addr add %s dev %s", other, there);
	net_run("ip link set %s up", there);
}

static void
wait_for_ping(const char *from, const char *to)
{
	g_autofree char *command =
		g_strdup_printf("sh -c 'ping -n -q -c 1 -W 1 %s >/dev/null'", to);
	gint64 end = g_get_monotonic_time() + 20 * SECOND_US;

	while (!net_try(command))
		if (g_get_monotonic_time() > end)
			g_error("%s does not reach %s", from, to);
}

static void
make_network(Fixture *f)
{
	enter(f->pub);
	net_run("ip addr add " RELAY_IP "/32 dev lo");
	net_run("sysctl -qw net.ipv4.ip_forward=1");
	link_to(f->us.netns, "us", "192.0.2.254/24", "eth0", "192.0.2.1/24");
	net_run("ip route add default via 192.0.2.254");
	enter(f->pub);
	link_to(f->router, "router", "198.51.100.254/24", "wan", NAT_IP "/24");
	net_run("ip route add default via 198.51.100.254");
	net_run("sysctl -qw net.ipv4.ip_forward=1");
	net_run("nft add table ip nat");
	net_run("nft add chain ip nat out { type nat hook postrouting priority 100 ; }");
	net_run("nft add rule ip nat out oifname wan masquerade fully-random");
	link_to(f->phone.netns, "lan", "192.168.1.1/24", "eth0", "192.168.1.2/24");
	net_run("ip route add default via 192.168.1.1");
	wait_for_ping("phone", RELAY_IP);
	enter(f->us.netns);
	wait_for_ping("us", RELAY_IP);
}

/* ---- WireGuard ---- */

static void
spawn_wireguard_go(End *end)
{
	char *argv[] = {(char *)"wireguard-go", (char *)"-f", (char *)end->device, NULL};
	gint64 until = g_get_monotonic_time() + 20 * SECOND_US;
	g_autoptr(GError) error = NULL;

	g_spawn_async(NULL, argv, NULL,
		      G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
			      G_SPAWN_STDERR_TO_DEV_NULL,
		      coturn_dies_with_us, NULL, &end->pid, &error);
	g_assert_no_error(error);
	while (!wg_uapi_is_served(end->device)) {
		g_assert_cmpint(waitpid(end->pid, NULL, WNOHANG), ==, 0);
		g_assert_cmpint(g_get_monotonic_time(), <, until);
		g_usleep(5000);
	}
}

/* In the end's namespace. */
static void
make_device(End *end, const char *name, int number)
{
	g_autofree char *kernel = g_strdup_printf("ip link add %s type wireguard", name);
	g_autofree char *inside = g_strdup_printf("10.77.0.%d:5000", number);
	g_autoptr(GError) error = NULL;

	end->device = name;
	end->port = (guint16)(51820 + number);
	if (!net_try(kernel))
		spawn_wireguard_go(end);
	net_run("ip addr add 10.77.0.%d/24 dev %s", number, name);
	net_run("ip link set %s mtu 1280 up", name);
	end->ctl = wg_ctl_new(name);
	wg_key_generate_private(&end->private_key);
	wg_key_public_from_private(&end->private_key, &end->public_key);
	wg_ctl_set_device(end->ctl, &end->private_key, &end->port, NULL, &error);
	g_assert_no_error(error);
	end->inside = net_ep(inside);
	end->talk = net_udp(inside);
}

/* endpoint: NULL: it is not known. Back to our namespace, as all that leaves it. */
static void
set_peer(Fixture *f, End *end, const End *other, WgChangeFlags flags, const WgEndpoint *endpoint)
{
	WgAllowedIp allowed;
	g_autofree char *text = g_strdup_printf("10.77.0.%d/32", other->port - 51820);
	WgPeerChange change = {.public_key = other->public_key,
			       .flags = flags | WG_CHANGE_ALLOWED_IPS,
			       .allowed_ips = &allowed,
			       .n_allowed_ips = 1};
	g_autoptr(GError) error = NULL;

	g_assert_true(wg_allowed_ip_parse(text, &allowed));
	if (endpoint) {
		change.flags |= WG_CHANGE_ENDPOINT;
		change.endpoint = *endpoint;
	}
	enter(end->netns);
	wg_ctl_apply(end->ctl, &change, 1, &error);
	g_assert_no_error(error);
	enter(f->us.netns);
}

static WgEndpoint
endpoint_of_phone(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(WgDevice) device = NULL;

	enter(f->us.netns);
	device = wg_ctl_read(f->us.ctl, &error);
	g_assert_no_error(error);
	return wg_device_find(device, &f->phone.public_key)->endpoint;
}

/* ---- us ---- */

static void
on_relay_changed(gpointer user_data)
{
}

static gint64
now_us(const Fixture *f)
{
	return g_get_monotonic_time() + f->later_us;
}

static void
on_received(const NatUdp *pkt, gpointer user_data)
{
	Fixture *f = user_data;

	if (!nat_relay_plain_receive(f->plain, pkt, now_us(f)))
		f->passed_on++;
}

static void
on_credentials_wanted(gpointer user_data)
{
}

static const NatRelayFuncs FUNCS = {
	.changed = on_relay_changed,
	.received = on_received,
	.credentials_wanted = on_credentials_wanted,
};

static void
tick(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(WgDevice) device = NULL;

	enter(f->us.netns);
	device = wg_ctl_read(f->us.ctl, &error);
	g_assert_no_error(error);
	nat_relay_plain_tick(f->plain, device, now_us(f));
}

static gboolean
is_up(gconstpointer data)
{
	return nat_relay_state(((const Fixture *)data)->relay) == NAT_RELAY_UP;
}

static void
allocate(Fixture *f, const char *uri)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) uris =
		g_ptr_array_new_with_free_func((GDestroyNotify)nat_turn_uri_free);

	g_ptr_array_add(uris, nat_turn_uri_parse(uri, &error));
	g_assert_no_error(error);
	nat_relay_set_servers(f->relay, uris);
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(hosts_wait(is_up, f, 10000));
}

/* The phone knows us by our relayed address; it may come from `address`. */
static void
introduce(Fixture *f, const char *address)
{
	WgEndpoint permitted = net_ep(address);

	nat_relay_plain_set_addresses(f->plain, &permitted, 1);
	set_peer(f, &f->us, &f->phone, WG_CHANGE_CREATE, NULL);
	set_peer(f, &f->phone, &f->us, WG_CHANGE_CREATE, nat_relay_address(f->relay));
}

/* ---- set up ---- */

static gboolean
has_programs(void)
{
	g_autofree char *go = g_find_program_in_path("wireguard-go");
	g_autofree char *nft = g_find_program_in_path("nft");

	if (!go || !nft)
		g_test_skip("needs wireguard-go and nft");
	return go && nft && coturn_is_there();
}

static gboolean
own_namespaces(Fixture *f)
{
	if (!fresh(&f->pub) || !fresh(&f->router) || !fresh(&f->phone.netns) ||
	    !fresh(&f->us.netns))
		return FALSE;
	g_mkdir_with_parents(WG_UAPI_DIRECTORY, 0755);
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", WG_UAPI_DIRECTORY, "tmpfs", 0, "mode=0700") == 0;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	f->up = has_programs() && own_namespaces(f);
	if (!f->up)
		return;
	make_network(f);
	enter(f->pub);
	coturn_start(&f->coturn, RELAY_IP, USER, NULL);
	enter(f->phone.netns);
	make_device(&f->phone, "wgphone", 2);
	enter(f->us.netns);
	make_device(&f->us, "wgus", 1);
	f->fib = nat_fib_new(&error);
	g_assert_no_error(error);
	f->relay = nat_relay_new("wgus", NULL, &f->us.public_key, 0, &FUNCS, f);
	f->plain = nat_relay_plain_new(f->relay, f->fib, f->us.port, on_relay_changed, f);
}

static void
end_clear(End *end)
{
	close(end->talk);
	wg_ctl_free(end->ctl);
	if (end->pid != 0) {
		kill(end->pid, SIGKILL);
		g_assert_cmpint(waitpid(end->pid, NULL, 0), ==, end->pid);
	}
	close(end->netns);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_relay_plain_free(f->plain);
	nat_relay_free(f->relay);
	nat_fib_free(f->fib);
	coturn_clear(&f->coturn);
	end_clear(&f->us);
	end_clear(&f->phone);
	close(f->pub);
	close(f->router);
}

/* ---- what passes ---- */

typedef struct {
	int fd;
	guint8 mark;
	gboolean heard;
} Ear;

static gboolean
has_heard(gconstpointer data)
{
	Ear *ear = (Ear *)data;
	guint8 buf[2000];

	while (!ear->heard && net_recv(ear->fd, buf, sizeof buf, 0, NULL) > 0)
		ear->heard = buf[0] == ear->mark;
	return ear->heard;
}

/* Said again until heard: the first ones find no session, a NAT's old mapping, … */
static gboolean
passes(const End *from, const End *to, guint8 mark, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
	Ear ear = {.fd = to->talk, .mark = mark};
	guint8 text[1200];

	memset(text, mark, sizeof text);
	while (g_get_monotonic_time() < end) {
		sendto(from->talk, text, sizeof text, 0, &to->inside.sa,
		       wg_endpoint_socklen(&to->inside));
		if (hosts_wait(has_heard, &ear, 100))
			return TRUE;
	}
	return FALSE;
}

/* WireGuard's endpoint is a bridge of ours, to the NAT's address. */
static WgEndpoint
is_bridged(Fixture *f)
{
	WgEndpoint endpoint = endpoint_of_phone(f), nat = net_ep(NAT_IP ":0"), relayed, remote;

	g_assert_true(nat_relay_plain_find(f->plain, &endpoint, &relayed, &remote));
	g_assert_true(wg_endpoint_equal(&relayed, nat_relay_address(f->relay)));
	g_assert_true(wg_endpoint_same_address(&remote, &nat));
	return endpoint;
}

/* Another mapping, and a handshake from there: as after a power cut of both. */
static void
phone_comes_again(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	guint16 port = 41000;

	enter(f->phone.netns);
	wg_ctl_set_device(f->phone.ctl, NULL, &port, NULL, &error);
	g_assert_no_error(error);
	set_peer(f, &f->phone, &f->us, WG_CHANGE_REPLACE, nat_relay_address(f->relay));
	g_assert_true(passes(&f->phone, &f->us, 4, SOON_MS));
}

static void
strangers_come(Fixture *f, guint n)
{
	const WgEndpoint *relayed = nat_relay_address(f->relay);
	guint8 msg[148];

	memset(msg, 0x77, sizeof msg);
	memcpy(msg, (guint8[4]){1}, 4);
	enter(f->router);
	for (guint i = 0; i < n; i++) {
		int fd = net_udp(NAT_IP ":0");

		sendto(fd, msg, sizeof msg, 0, &relayed->sa, wg_endpoint_socklen(relayed));
		close(fd);
	}
	enter(f->us.netns);
}

static gboolean
strangers_are_dropped(gconstpointer data)
{
	const Fixture *f = data;

	return nat_relay_plain_counter(f->plain, NAT_RELAY_PLAIN_DROP_RATE) > 0;
}

/* Some of their channels may still be on their way to be bound. */
static gboolean
strangers_are_gone(gconstpointer data)
{
	Fixture *f = (Fixture *)data;

	f->later_us += 6 * SECOND_US;
	tick(f);
	return nat_relay_plain_count(f->plain) == 1;
}

static void
all_the_way(Fixture *f, const char *uri)
{
	WgEndpoint first, second;

	if (!f->up)
		return;
	allocate(f, uri);
	introduce(f, NAT_IP);
	g_assert_true(passes(&f->phone, &f->us, 1, SOON_MS));
	g_assert_true(passes(&f->us, &f->phone, 2, SOON_MS));
	first = is_bridged(f);
	tick(f);
	/* A bridge in use is no matter of time, and strangers do not move it. */
	f->later_us += 200 * SECOND_US;
	tick(f);
	strangers_come(f, 20);
	g_assert_true(hosts_wait(strangers_are_dropped, f, SOON_MS));
	g_assert_true(passes(&f->us, &f->phone, 3, SOON_MS));
	second = is_bridged(f);
	g_assert_true(wg_endpoint_equal(&first, &second));
	g_assert_true(hosts_wait(strangers_are_gone, f, SOON_MS));
	second = is_bridged(f);
	g_assert_true(wg_endpoint_equal(&first, &second));
	/* WireGuard roams to where the phone is now; the old way goes when its session is over. */
	phone_comes_again(f);
	g_assert_true(passes(&f->us, &f->phone, 5, SOON_MS));
	second = is_bridged(f);
	g_assert_false(wg_endpoint_equal(&first, &second));
	tick(f);
	g_assert_true(nat_relay_plain_find(f->plain, &first, NULL, NULL));
	f->later_us += 200 * SECOND_US;
	tick(f);
	g_assert_false(nat_relay_plain_find(f->plain, &first, NULL, NULL));
	g_assert_true(nat_relay_plain_find(f->plain, &second, NULL, NULL));
	g_assert_true(passes(&f->phone, &f->us, 6, SOON_MS));
	g_assert_cmpuint(f->passed_on, ==, 0);
}

static void
test_udp(Fixture *f, gconstpointer data)
{
	all_the_way(f, "turn:" USER "@" RELAY_IP "?transport=udp");
}

static void
test_tcp(Fixture *f, gconstpointer data)
{
	all_the_way(f, "turn:" USER "@" RELAY_IP "?transport=tcp");
}

static void
trust(const char *file)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GTlsDatabase) db = file ? g_tls_file_database_new(file, &error) : NULL;

	g_assert_no_error(error);
	g_tls_backend_set_default_database(g_tls_backend_get_default(), db);
}

static void
test_tls(Fixture *f, gconstpointer data)
{
	g_autofree char *cert = NULL;

	if (!f->up)
		return;
	cert = g_build_filename(f->coturn.dir, "cert.pem", NULL);
	trust(cert);
	all_the_way(f, "turns:" USER "@" RELAY_IP);
	trust(NULL);
}

/* The phone knows nobody: what comes out of its NAT is not let in by another name. */
static void
test_not_permitted(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	allocate(f, "turn:" USER "@" RELAY_IP "?transport=udp");
	introduce(f, "198.51.100.8");
	g_assert_false(passes(&f->phone, &f->us, 1, 2000));
	g_assert_cmpuint(nat_relay_plain_counter(f->plain, NAT_RELAY_PLAIN_BRIDGES), ==, 0);
}

/* WireGuard gets another port while the tunnel is up: it goes on without a handshake. */
static void
test_new_port(Fixture *f, gconstpointer data)
{
	WgEndpoint first, second;
	g_autoptr(GError) error = NULL;
	guint16 port = 41001;

	if (!f->up)
		return;
	allocate(f, "turn:" USER "@" RELAY_IP "?transport=udp");
	introduce(f, NAT_IP);
	g_assert_true(passes(&f->phone, &f->us, 1, SOON_MS));
	first = is_bridged(f);
	wg_ctl_set_device(f->us.ctl, NULL, &port, NULL, &error);
	g_assert_no_error(error);
	nat_relay_plain_set_port(f->plain, port);
	g_assert_true(passes(&f->us, &f->phone, 2, SOON_MS));
	g_assert_true(passes(&f->phone, &f->us, 3, SOON_MS));
	second = is_bridged(f);
	g_assert_true(wg_endpoint_equal(&first, &second));
	g_assert_cmpuint(nat_relay_plain_counter(f->plain, NAT_RELAY_PLAIN_BRIDGES), ==, 1);
}

#define ADD(name, func) g_test_add("/relay-plain-wg/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
	ADD("udp", test_udp);
	ADD("tcp", test_tcp);
	ADD("tls", test_tls);
	ADD("not-permitted", test_not_permitted);
	ADD("new-port", test_new_port);
	return g_test_run();
}
