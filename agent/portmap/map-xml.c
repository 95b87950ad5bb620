/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-xml.h"

#include <stdarg.h>
#include <string.h>

#include "agent/portmap/map-http.h"

#define VALUE_MAX 512
#define ENVELOPE                                                                                   \
	"<?xml version=\"1.0\"?>\r\n<s:Envelope "                                                  \
	"xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "                                   \
	"s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"

static const char *const TYPES[] = {
	[MAP_SERVICE_IP2] = "urn:schemas-upnp-org:service:WANIPConnection:2",
	[MAP_SERVICE_IP1] = "urn:schemas-upnp-org:service:WANIPConnection:1",
	[MAP_SERVICE_PPP1] = "urn:schemas-upnp-org:service:WANPPPConnection:1",
	[MAP_SERVICE_FIREWALL6] = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
};

const char *
map_service_type(MapServiceKind kind)
{
	return TYPES[kind];
}

gboolean
map_service_from_type(const char *type, MapServiceKind *out)
{
	for (guint i = 0; type && i < G_N_ELEMENTS(TYPES); i++) {
		if (strcmp(type, TYPES[i]) == 0) {
			*out = (MapServiceKind)i;
			return TRUE;
		}
	}
	return FALSE;
}

/* ---- URLs ---- */

static gboolean
is_path_char(char c)
{
	return g_ascii_isalnum(c) || (c && strchr("/-_.~!$&'()*+,;=:@%?", c));
}

static gboolean
copy_path(const char *text, gsize len, char path[MAP_PATH_MAX])
{
	gsize n = 0;

	if (len == 0 || *text != '/')
		path[n++] = '/';
	if (len + n >= MAP_PATH_MAX)
		return FALSE;
	for (gsize i = 0; i < len; i++)
		if (!is_path_char(text[i]))
			return FALSE;
	memcpy(path + n, text, len);
	path[n + len] = '\0';
	return TRUE;
}

gboolean
map_xml_url(const char *url, gsize len, const WgEndpoint *host, guint16 *port,
	    char path[MAP_PATH_MAX])
{
	static const char SCHEME[] = "http://";
	char text[WG_ENDPOINT_STRLEN];
	const char *authority = url + sizeof SCHEME - 1;
	gsize n = 0, left;
	WgEndpoint there;

	if (len < sizeof SCHEME - 1 || g_ascii_strncasecmp(url, SCHEME, sizeof SCHEME - 1) != 0)
		return FALSE;
	left = len - (sizeof SCHEME - 1);
	while (n < left && authority[n] != '/')
		n++;
	if (n == 0 || n >= sizeof text)
		return FALSE;
	memcpy(text, authority, n);
	text[n] = '\0';
	if (!wg_endpoint_parse(text, &there) && !wg_endpoint_parse_address(text, 80, &there))
		return FALSE;
	if (wg_endpoint_port(&there) == 0 ||
	    wg_endpoint_family(&there) != wg_endpoint_family(host) ||
	    (wg_endpoint_family(host) == AF_INET && !wg_endpoint_same_address(&there, host)))
		return FALSE;
	*port = wg_endpoint_port(&there);
	return copy_path(authority + n, left - n, path);
}

/* As it stands in requests: a scope means nothing to the other end. */
static const char *
format_host(const WgEndpoint *host, char text[WG_ENDPOINT_STRLEN])
{
	WgEndpoint bare = *host;

	if (wg_endpoint_family(host) == AF_INET6)
		bare.v6.sin6_scope_id = 0;
	return wg_endpoint_format(&bare, text);
}

/* ---- SSDP ---- */

gsize
map_xml_search(char buf[512], const WgEndpoint *to)
{
	char host[WG_ENDPOINT_STRLEN];
	int len = g_snprintf(buf, 512,
			     "M-SEARCH * HTTP/1.1\r\n"
			     "HOST: %s\r\n"
			     "MAN: \"ssdp:discover\"\r\n"
			     "MX: 1\r\n"
			     "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
			     "\r\n",
			     format_host(to, host));

	return (gsize)MIN(len, 511);
}

gboolean
map_xml_location(const char *text, gsize len, const WgEndpoint *gateway, guint16 *port,
		 char path[MAP_PATH_MAX], gboolean *foreign)
{
	static const char DEVICE[] = "urn:schemas-upnp-org:device:InternetGatewayDevice:";
	gsize st_len = 0, url_len = 0;
	const char *st, *url;

	*foreign = FALSE;
	if (len < 12 || memcmp(text, "HTTP/1.", 7) != 0 || memcmp(text + 8, " 200", 4) != 0)
		return FALSE;
	st = map_http_field(text, len, "ST", &st_len);
	url = map_http_field(text, len, "LOCATION", &url_len);
	if (!st || !url || st_len < sizeof DEVICE - 1 || memcmp(st, DEVICE, sizeof DEVICE - 1) != 0)
		return FALSE;
	*foreign = !map_xml_url(url, url_len, gateway, port, path);
	return !*foreign;
}

/* ---- XML ---- */

/* Reads leaves: elements whose text is their content. */
typedef struct {
	void (*leaf)(const char *name, const char *value, gpointer user_data);
	void (*open)(const char *name, gpointer user_data);  /* may be NULL */
	void (*close)(const char *name, gpointer user_data); /* the same */
	gpointer user_data;
	GString *text;
	guint depth;
} Reader;

static const char *
local_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? colon + 1 : name;
}

static void
on_start(GMarkupParseContext *context, const gchar *element, const gchar **names,
	 const gchar **values, gpointer user_data, GError **error)
{
	Reader *reader = user_data;

	g_string_truncate(reader->text, 0);
	if (++reader->depth > MAP_XML_DEPTH)
		g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT,
				    "too deep");
	else if (reader->open)
		reader->open(local_name(element), reader->user_data);
}

static void
on_end(GMarkupParseContext *context, const gchar *element, gpointer user_data, GError **error)
{
	Reader *reader = user_data;

	g_strstrip(reader->text->str);
	reader->leaf(local_name(element), reader->text->str, reader->user_data);
	g_string_truncate(reader->text, 0);
	reader->depth--;
	if (reader->close)
		reader->close(local_name(element), reader->user_data);
}

static void
on_text(GMarkupParseContext *context, const gchar *text, gsize len, gpointer user_data,
	GError **error)
{
	Reader *reader = user_data;

	if (reader->text->len + len <= VALUE_MAX)
		g_string_append_len(reader->text, text, (gssize)len);
}

static gboolean
read_xml(const char *text, gsize len, Reader *reader)
{
	static const GMarkupParser PARSER = {on_start, on_end, on_text, NULL, NULL};
	g_autoptr(GMarkupParseContext) context =
		g_markup_parse_context_new(&PARSER, G_MARKUP_TREAT_CDATA_AS_TEXT, reader, NULL);
	gboolean ok;

	reader->text = g_string_new(NULL);
	reader->depth = 0;
	/* some put a NUL or line ends behind it */
	while (len > 0 && (text[len - 1] == '\0' || g_ascii_isspace(text[len - 1])))
		len--;
	ok = g_markup_parse_context_parse(context, text, (gssize)len, NULL) &&
	     g_markup_parse_context_end_parse(context, NULL);
	g_string_free(reader->text, TRUE);
	return ok;
}

/* ---- the description ---- */

typedef struct {
	const WgEndpoint *gateway;
	guint16 port; /* of the description, or of its URLBase */
	MapService *services;
	guint n;
	gboolean foreign;
	/* the service that is being read */
	gboolean has_kind, has_url;
	MapServiceKind kind;
	guint16 at_port;
	char path[MAP_PATH_MAX];
} Description;

static void
control_url(Description *d, const char *url)
{
	gsize len = strlen(url);

	d->at_port = d->port;
	d->has_url = strstr(url, "://") ? map_xml_url(url, len, d->gateway, &d->at_port, d->path)
					: len > 0 && copy_path(url, len, d->path);
	if (strstr(url, "://") && !d->has_url && d->has_kind)
		d->foreign = TRUE;
}

static void
add_service(Description *d)
{
	guint at = d->n;
	gboolean v6 = wg_endpoint_family(d->gateway) == AF_INET6;

	if (!d->has_kind || !d->has_url || d->n == MAP_XML_SERVICES ||
	    v6 != (d->kind == MAP_SERVICE_FIREWALL6))
		return;
	while (at > 0 && d->services[at - 1].kind > d->kind)
		at--;
	memmove(d->services + at + 1, d->services + at, (d->n - at) * sizeof *d->services);
	d->services[at] = (MapService){.kind = d->kind, .port = d->at_port};
	memcpy(d->services[at].path, d->path, sizeof d->path);
	d->n++;
}

static void
description_leaf(const char *name, const char *value, gpointer user_data)
{
	Description *d = user_data;
	char path[MAP_PATH_MAX];

	if (strcmp(name, "serviceType") == 0)
		d->has_kind = map_service_from_type(value, &d->kind);
	else if (strcmp(name, "controlURL") == 0)
		control_url(d, value);
	else if (strcmp(name, "URLBase") == 0 && *value &&
		 !map_xml_url(value, strlen(value), d->gateway, &d->port, path))
		d->foreign = TRUE;
}

static void
description_open(const char *name, gpointer user_data)
{
	Description *d = user_data;

	if (strcmp(name, "service") == 0)
		d->has_kind = d->has_url = FALSE;
}

static void
description_close(const char *name, gpointer user_data)
{
	if (strcmp(name, "service") == 0)
		add_service(user_data);
}

guint
map_xml_services(const char *text, gsize len, const WgEndpoint *gateway, guint16 port,
		 MapService out[MAP_XML_SERVICES], gboolean *foreign)
{
	Description d = {.gateway = gateway, .port = port, .services = out};
	Reader reader = {
		.leaf = description_leaf,
		.open = description_open,
		.close = description_close,
		.user_data = &d,
	};
	gboolean ok = read_xml(text, len, &reader);

	*foreign = d.foreign;
	return ok ? d.n : 0;
}

/* ---- SOAP ---- */

char *
map_xml_get(const WgEndpoint *gateway, guint16 port, const char *path)
{
	WgEndpoint host = *gateway;
	char text[WG_ENDPOINT_STRLEN];

	wg_endpoint_set_port(&host, port);
	return g_strdup_printf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
			       "User-Agent: nat-agent/" NAT_VERSION " UPnP/1.1\r\n\r\n",
			       path, format_host(&host, text));
}

char *
map_xml_call(const WgEndpoint *gateway, const MapService *service, const char *action, ...)
{
	g_autoptr(GString) body = g_string_new(ENVELOPE);
	const char *type = map_service_type(service->kind), *name;
	WgEndpoint host = *gateway;
	char text[WG_ENDPOINT_STRLEN];
	va_list args;

	g_string_append_printf(body, "<u:%s xmlns:u=\"%s\">", action, type);
	va_start(args, action);
	while ((name = va_arg(args, const char *)))
		g_string_append_printf(body, "<%s>%s</%s>", name, va_arg(args, const char *), name);
	va_end(args);
	g_string_append_printf(body, "</u:%s></s:Body></s:Envelope>\r\n", action);
	wg_endpoint_set_port(&host, service->port);
	return g_strdup_printf(
		"POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
		"User-Agent: nat-agent/" NAT_VERSION " UPnP/1.1\r\n"
		"Content-Type: text/xml; charset=\"utf-8\"\r\n"
		"SOAPAction: \"%s#%s\"\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n%s",
		service->path, format_host(&host, text), type, action, body->len, body->str);
}

static guint32
read_u32(const char *value, guint32 max)
{
	guint64 number;

	return g_ascii_string_to_unsigned(value, 10, 0, max, &number, NULL) ? (guint32)number : 0;
}

static gboolean
read_id(const char *value, guint16 *out)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT16, &number, NULL))
		return FALSE;
	*out = (guint16)number;
	return TRUE;
}

static gboolean
is_no(const char *value)
{
	return strcmp(value, "0") == 0 || strcmp(value, "false") == 0 || strcmp(value, "no") == 0;
}

typedef struct {
	MapReply *out;
	guint16 client_port;
} Replying;

static void
reply_leaf(const char *name, const char *value, gpointer user_data)
{
	Replying *r = user_data;
	WgEndpoint *to = NULL;

	if (strcmp(name, "errorCode") == 0)
		/* whatever it is, it is one */
		r->out->fault = MAX(read_u32(value, 9999), 1);
	else if (strcmp(name, "NewExternalIPAddress") == 0)
		to = &r->out->external_address;
	else if (strcmp(name, "NewInternalClient") == 0)
		to = &r->out->client;
	else if (strcmp(name, "NewInternalPort") == 0)
		r->client_port = (guint16)read_u32(value, G_MAXUINT16);
	else if (strcmp(name, "NewReservedPort") == 0)
		r->out->reserved_port = (guint16)read_u32(value, G_MAXUINT16);
	else if (strcmp(name, "NewLeaseDuration") == 0) {
		r->out->lease_s = read_u32(value, G_MAXUINT32);
		r->out->has_lease = TRUE;
	} else if (strcmp(name, "UniqueID") == 0)
		r->out->has_unique_id = read_id(value, &r->out->unique_id);
	else if (strcmp(name, "FirewallEnabled") == 0)
		r->out->firewall_off = is_no(value);
	else if (strcmp(name, "InboundPinholeAllowed") == 0)
		r->out->no_pinholes = is_no(value);
	if (to && (!wg_endpoint_parse_address(value, 0, to) ||
		   (to == &r->out->external_address && wg_endpoint_is_bogus(to))))
		memset(to, 0, sizeof *to);
}

gboolean
map_xml_reply(const char *text, gsize len, MapReply *out)
{
	Replying replying = {.out = out};
	Reader reader = {.leaf = reply_leaf, .user_data = &replying};

	memset(out, 0, sizeof *out);
	if (!read_xml(text, len, &reader))
		return FALSE;
	if (wg_endpoint_is_set(&out->client))
		wg_endpoint_set_port(&out->client, replying.client_port);
	return TRUE;
}
