/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-rewrite.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* libnftables1 is in Debian what the nft command is made of; its ABI has been 1 since 0.8.2. Most
 * agents never need it, and it is larger than all of the agent. */
#define LIBRARY "libnftables.so.1"

/* Behind source NAT (100) and all that users do there; before defragmentation (-400) nobody of ours
 * looks, and conntrack (-200) must see what we made of it. */
#define OUT_PRIORITY 350
#define IN_PRIORITY (-350)

typedef struct {
	__typeof__(nft_ctx_new) *new;
	__typeof__(nft_ctx_free) *free;
	__typeof__(nft_ctx_buffer_error) *buffer_error;
	__typeof__(nft_ctx_get_error_buffer) *get_error;
	__typeof__(nft_run_cmd_from_buffer) *run;
} Library;

struct PunchRewrite {
	char *ifname;
};

static gboolean
load(Library *out, GError **error)
{
	static Library library;
	static gsize once;
	static const char *problem;

	if (g_once_init_enter(&once)) {
		void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

		if (handle != NULL) {
			library.new = (__typeof__(library.new))dlsym(handle, "nft_ctx_new");
			library.free = (__typeof__(library.free))dlsym(handle, "nft_ctx_free");
			library.buffer_error = (__typeof__(library.buffer_error))dlsym(
				handle, "nft_ctx_buffer_error");
			library.get_error = (__typeof__(library.get_error))dlsym(
				handle, "nft_ctx_get_error_buffer");
			library.run =
				(__typeof__(library.run))dlsym(handle, "nft_run_cmd_from_buffer");
		}
		if (handle == NULL || library.new == NULL || library.free == NULL ||
		    library.buffer_error == NULL || library.get_error == NULL ||
		    library.run == NULL)
			problem = LIBRARY " cannot be loaded (Debian: libnftables1)";
		g_once_init_leave(&once, 1);
	}
	if (problem != NULL) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, problem);
		return FALSE;
	}
	*out = library;
	return TRUE;
}

/* Names of interfaces may hold what names of tables may not. */
static void
append_table(GString *out, const char *ifname)
{
	g_string_append(out, "table inet nat_agent_");
	for (const char *p = ifname; *p != '\0'; p++) {
		if (g_ascii_isalnum(*p))
			g_string_append_c(out, *p);
		else
			g_string_append_printf(out, "_%02x", (guint8)*p);
	}
}

/* rules: a line each */
static void
append_chain(GString *out, const char *name, const char *hook, int priority, const char *rules)
{
	g_string_append_printf(out,
			       "chain %s {\ntype filter hook %s priority %d; policy accept;\n%s}\n",
			       name, hook, priority, rules);
}

static void
append_flow(GString *chain_out, GString *chain_in, const PunchFlow *flow)
{
	const char *ip = wg_endpoint_family(&flow->local) == AF_INET ? "ip" : "ip6";
	char local[WG_ENDPOINT_STRLEN], remote[WG_ENDPOINT_STRLEN];
	guint16 own = wg_endpoint_port(&flow->local), far = wg_endpoint_port(&flow->remote);

	wg_endpoint_format_address(&flow->local, local);
	wg_endpoint_format_address(&flow->remote, remote);
	g_string_append_printf(
		chain_out, "%s saddr %s %s daddr %s udp sport %u udp dport %u udp sport set %u\n",
		ip, local, ip, remote, own, far, flow->port);
	g_string_append_printf(
		chain_in, "%s saddr %s %s daddr %s udp sport %u udp dport %u udp dport set %u\n",
		ip, remote, ip, local, far, flow->port, own);
}

char *
punch_rewrite_text(const char *ifname, const PunchFlow *flows, gsize n)
{
	GString *text = g_string_new(NULL);
	g_autoptr(GString) table = g_string_new(NULL), in = g_string_new(NULL),
			   out = g_string_new(NULL);

	append_table(table, ifname);
	/* deleting what is not there is an error, making what is there is none */
	g_string_append_printf(text, "%s {}\ndelete %s\n", table->str, table->str);
	if (n == 0)
		return g_string_free(text, FALSE);
	for (gsize i = 0; i < n; i++)
		append_flow(out, in, &flows[i]);
	g_string_append_printf(text, "%s {\n", table->str);
	append_chain(text, "out", "postrouting", OUT_PRIORITY, out->str);
	append_chain(text, "in", "prerouting", IN_PRIORITY, in->str);
	g_string_append(text, "}\n");
	return g_string_free(text, FALSE);
}

/* The first line of what the library says: the rest repeats our text. */
static void
set_refused(GError **error, const char *said)
{
	g_autofree char *line =
		g_strndup(said != NULL ? said : "", strcspn(said != NULL ? said : "", "\n"));

	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "nftables refuses it: %s",
		    *line != '\0' ? line : "no reason given");
}

/* The library ends the process where it cannot have its socket. */
static gboolean
kernel_has_it(GError **error)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "the kernel has no nftables for us: %s", g_strerror(errno));
		return FALSE;
	}
	close(fd);
	return TRUE;
}

static gboolean
run(const char *text, GError **error)
{
	Library library;
	struct nft_ctx *ctx;
	gboolean ok;

	if (!kernel_has_it(error) || !load(&library, error))
		return FALSE;
	ctx = library.new(NFT_CTX_DEFAULT);
	if (ctx == NULL) {
		set_refused(error, "no context");
		return FALSE;
	}
	library.buffer_error(ctx);
	ok = library.run(ctx, text) == 0;
	if (!ok)
		set_refused(error, library.get_error(ctx));
	library.free(ctx);
	return ok;
}

PunchRewrite *
punch_rewrite_new(const char *ifname)
{
	PunchRewrite *rewrite = g_new0(PunchRewrite, 1);

	rewrite->ifname = g_strdup(ifname);
	return rewrite;
}

void
punch_rewrite_free(PunchRewrite *rewrite)
{
	if (rewrite == NULL)
		return;
	g_free(rewrite->ifname);
	g_free(rewrite);
}

gboolean
punch_rewrite_set(PunchRewrite *rewrite, const PunchFlow *flows, gsize n, GError **error)
{
	g_autofree char *text = punch_rewrite_text(rewrite->ifname, flows, n);

	return run(text, error);
}
