/* SPDX-License-Identifier: MIT */
/* What a router answers, as NAT-PMP or PCP and as SSDP. */
#include "agent/netcheck/net-portmap.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(gboolean ok)
{
	if (!ok)
		abort();
}

static void
check(const NetPortmapAnswer *answer, gboolean ssdp)
{
	gsize len = strnlen(answer->host, sizeof answer->host);

	must(len < sizeof answer->host);
	for (gsize i = 0; i < len; i++)
		must(g_ascii_isgraph(answer->host[i]));
	must(ssdp == (answer->kind == NET_PORTMAP_UPNP));
	must(ssdp || len == 0);
	must(!wg_endpoint_is_set(&answer->external) ||
	     (answer->kind == NET_PORTMAP_PMP && !wg_endpoint_is_bogus(&answer->external)));
	must(answer->code == 0 || *net_portmap_code_to_string(answer->kind, answer->code));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of exactly that size, so that reading past it is noticed */
	g_autofree guint8 *bytes = g_memdup2(data, size);
	NetPortmapAnswer answer;

	if (size == 0)
		return 0;
	for (int ssdp = 0; ssdp < 2; ssdp++)
		if (net_portmap_parse(bytes, size, ssdp, &answer))
			check(&answer, ssdp);
	return 0;
}
