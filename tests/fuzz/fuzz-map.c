/* SPDX-License-Identifier: MIT */
/* What a router says while ports are mapped: NAT-PMP, PCP, HTTP, SSDP, descriptions, SOAP. */
#include "agent/portmap/map-codec.h"
#include "agent/portmap/map-http.h"
#include "agent/portmap/map-xml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(gboolean ok)
{
	if (!ok)
		abort();
}

/* It goes into a request of ours. */
static void
check_path(const char *path)
{
	gsize len = strnlen(path, MAP_PATH_MAX);

	must(len > 0 && len < MAP_PATH_MAX && path[0] == '/');
	for (gsize i = 0; i < len; i++)
		must(g_ascii_isgraph(path[i]) && !strchr("<>\"", path[i]));
}

static void
codec(const guint8 *data, gsize size)
{
	MapAnswer answer;

	if (!map_codec_parse(data, size, &answer))
		return;
	must(answer.protocol != MAP_UPNP);
	must(!map_codec_is_removed(&answer) || answer.kind == MAP_ANSWER_MAPPING);
	must(answer.code == 0 || *map_codec_code_to_string(answer.protocol, answer.code));
}

static void
http(const char *text, gsize size)
{
	g_autoptr(GString) body = g_string_new(NULL);
	guint status = 0;
	MapHttpParse result = map_http_parse(text, size, TRUE, &status, body);

	must(result != MAP_HTTP_MORE);
	must(result != MAP_HTTP_DONE || (status >= 100 && status <= 599));
	must(body->len <= size);
}

static void
xml_of(const char *text, gsize size, const char *gateway)
{
	MapService services[MAP_XML_SERVICES];
	MapReply reply;
	WgEndpoint host;
	char path[MAP_PATH_MAX];
	guint16 port = 0;
	gboolean foreign;
	guint n;

	must(wg_endpoint_parse_address(gateway, 0, &host));
	n = map_xml_services(text, size, &host, 5000, services, &foreign);
	must(n <= MAP_XML_SERVICES);
	for (guint i = 0; i < n; i++) {
		check_path(services[i].path);
		must(services[i].port != 0);
		must((services[i].kind == MAP_SERVICE_FIREWALL6) ==
		     (wg_endpoint_family(&host) == AF_INET6));
	}
	if (map_xml_location(text, size, &host, &port, path, &foreign)) {
		check_path(path);
		must(port != 0);
	}
	if (map_xml_reply(text, size, &reply))
		must(!wg_endpoint_is_set(&reply.external_address) ||
		     !wg_endpoint_is_bogus(&reply.external_address));
}

static void
xml(const char *text, gsize size)
{
	xml_of(text, size, "192.168.1.1");
	xml_of(text, size, "fe80::1%1");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of exactly that size, so that reading past it is noticed */
	g_autofree guint8 *bytes = g_memdup2(data, size);

	if (size == 0)
		return 0;
	codec(bytes, size);
	http((const char *)bytes, size);
	xml((const char *)bytes, size);
	return 0;
}
