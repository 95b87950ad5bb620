/* SPDX-License-Identifier: MIT */
/* UPnP's texts: HTTP's frame, addresses, descriptions, SOAP. */
#include "agent/portmap/map-http.h"
#include "agent/portmap/map-xml.h"

#include <string.h>

#include "tests/unit/net-util.h"

static MapHttpParse
parse(const char *text, gboolean ended, guint *status, GString *body)
{
	return map_http_parse(text, strlen(text), ended, status, body);
}

static void
is(const char *text, gboolean ended, MapHttpParse want, const char *content)
{
	g_autoptr(GString) body = g_string_new("left over");
	guint status = 0;

	g_test_message("%s", text);
	g_assert_cmpint(parse(text, ended, &status, body), ==, want);
	if (content)
		g_assert_cmpstr(body->str, ==, content);
}

static void
test_http(void)
{
	const char *complete = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello";
	g_autoptr(GString) body = g_string_new(NULL);
	guint status;

	is(complete, FALSE, MAP_HTTP_DONE, "hello");
	for (gsize len = 0; len < strlen(complete); len++)
		g_assert_cmpint(map_http_parse(complete, len, FALSE, &status, body), ==,
				MAP_HTTP_MORE);
	g_assert_cmpint(map_http_parse(complete, 20, TRUE, &status, body), ==, MAP_HTTP_BAD);
	is("HTTP/1.0 500 No\n\nfault", FALSE, MAP_HTTP_MORE, NULL);
	is("HTTP/1.0 500 No\n\nfault", TRUE, MAP_HTTP_DONE, "fault");
	is("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n, "
	   "y\r\n0\r\n",
	   FALSE, MAP_HTTP_DONE, "hello, y");
	is("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", FALSE, MAP_HTTP_MORE,
	   NULL);
	is("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", FALSE,
	   MAP_HTTP_BAD, NULL);
	is("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello", FALSE, MAP_HTTP_BAD,
	   NULL);
	is("HTTP/1.1 200 OK\r\nContent-Length: 4294967297\r\n\r\n", FALSE, MAP_HTTP_BAD, NULL);
	is("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", FALSE, MAP_HTTP_BAD, NULL);
	is("SSH-2.0-x\r\n\r\n", FALSE, MAP_HTTP_BAD, NULL);
	is("HTTP/1.1 999999 x\r\n\r\n", FALSE, MAP_HTTP_BAD, NULL);
	is("HTTP/1.1 2x0 OK\r\n\r\n", FALSE, MAP_HTTP_BAD, NULL);
}

static void
url_is(const char *url, guint16 port, const char *path)
{
	WgEndpoint host = net_ep("192.168.1.1");
	char got[MAP_PATH_MAX];
	guint16 got_port = 0;

	g_test_message("%s", url);
	g_assert_cmpint(map_xml_url(url, strlen(url), &host, &got_port, got), ==, port != 0);
	if (port == 0)
		return;
	g_assert_cmpuint(got_port, ==, port);
	g_assert_cmpstr(got, ==, path);
}

static void
test_url(void)
{
	g_autofree char *filler = g_strnfill(300, 'a');
	g_autofree char *too_long = g_strconcat("http://192.168.1.1/", filler, NULL);

	url_is("http://192.168.1.1:5000/root.xml", 5000, "/root.xml");
	url_is("HTTP://192.168.1.1/a?b=c&d", 80, "/a?b=c&d");
	url_is("http://192.168.1.1:5000", 5000, "/");
	url_is("http://192.168.1.2:5000/root.xml", 0, NULL);
	url_is("http://192.168.1.1.evil.example/", 0, NULL);
	url_is("http://router.lan/", 0, NULL);
	url_is("http://user@192.168.1.1/", 0, NULL);
	url_is("https://192.168.1.1/", 0, NULL);
	url_is("http://192.168.1.1:0/", 0, NULL);
	url_is("http://192.168.1.1:99999/", 0, NULL);
	url_is("http://192.168.1.1/a\r\nX: y", 0, NULL);
	url_is("http://192.168.1.1/a b", 0, NULL);
	url_is(too_long, 0, NULL);
	url_is("", 0, NULL);
}

#define IGD "urn:schemas-upnp-org:device:InternetGatewayDevice:2"

static void
test_location(void)
{
	static const char GOOD[] = "HTTP/1.1 200 OK\r\nST: " IGD "\r\n"
				   "Location:  http://192.168.1.1:5000/r\r\n\r\n";
	static const char OTHER[] = "HTTP/1.1 200 OK\r\nST: " IGD "\r\n"
				    "LOCATION: http://203.0.113.66/r\r\n\r\n";
	static const char TV[] = "HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n"
				 "LOCATION: http://192.168.1.1/r\r\n\r\n";
	WgEndpoint host = net_ep("192.168.1.1");
	char path[MAP_PATH_MAX], search[512];
	guint16 port;
	gboolean foreign;
	gsize len;

	g_assert_true(map_xml_location(GOOD, strlen(GOOD), &host, &port, path, &foreign));
	g_assert_cmpuint(port, ==, 5000);
	g_assert_false(map_xml_location(OTHER, strlen(OTHER), &host, &port, path, &foreign));
	g_assert_true(foreign);
	g_assert_false(map_xml_location(TV, strlen(TV), &host, &port, path, &foreign));
	g_assert_false(foreign);
	g_assert_false(map_xml_location(GOOD, 11, &host, &port, path, &foreign));
	wg_endpoint_set_port(&host, 1900);
	len = map_xml_search(search, &host);
	g_assert_cmpuint(len, ==, strlen(search));
	g_assert_nonnull(strstr(search, "HOST: 192.168.1.1:1900\r\n"));
}

#define SERVICE(type, url)                                                                         \
	"<service><serviceType>urn:schemas-upnp-org:service:" type "</serviceType>"                \
	"<controlURL>" url "</controlURL></service>"
#define ROOT(services)                                                                             \
	"<?xml version=\"1.0\"?>\r\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>"      \
	"<deviceList><device><serviceList>" services                                               \
	"</serviceList></device></deviceList></device></root>\r\n"

static guint
services(const char *text, MapService out[MAP_XML_SERVICES], gboolean *foreign)
{
	WgEndpoint host = net_ep("192.168.1.1");

	return map_xml_services(text, strlen(text), &host, 5000, out, foreign);
}

static void
test_services(void)
{
	MapService found[MAP_XML_SERVICES];
	gboolean foreign;

	g_assert_cmpuint(services(ROOT(SERVICE("WANPPPConnection:1", "/ppp")
					       SERVICE("Layer3Forwarding:1", "/l3")
						       SERVICE("WANIPConnection:2", "ctl/ip")),
				  found, &foreign),
			 ==, 2);
	g_assert_cmpint(found[0].kind, ==, MAP_SERVICE_IP2);
	g_assert_cmpstr(found[0].path, ==, "/ctl/ip");
	g_assert_cmpuint(found[0].port, ==, 5000);
	g_assert_cmpint(found[1].kind, ==, MAP_SERVICE_PPP1);
	/* elsewhere on the same host, and on another */
	g_assert_cmpuint(services(ROOT(SERVICE("WANIPConnection:1", "http://192.168.1.1:80/c")),
				  found, &foreign),
			 ==, 1);
	g_assert_cmpuint(found[0].port, ==, 80);
	g_assert_cmpuint(services(ROOT(SERVICE("WANIPConnection:1", "http://203.0.113.9/c")), found,
				  &foreign),
			 ==, 0);
	g_assert_true(foreign);
	/* what would be a header of ours */
	g_assert_cmpuint(
		services(ROOT(SERVICE("WANIPConnection:1", "/c&#13;&#10;X: y")), found, &foreign),
		==, 0);
	/* more than are of use */
	g_assert_cmpuint(
		services(ROOT(SERVICE("WANIPConnection:1", "/1") SERVICE("WANIPConnection:1", "/2")
				      SERVICE("WANIPConnection:1", "/3")
					      SERVICE("WANIPConnection:1", "/4")
						      SERVICE("WANIPConnection:1", "/5")),
			 found, &foreign),
		==, MAP_XML_SERVICES);
	g_assert_cmpuint(services("<root><service>", found, &foreign), ==, 0);
	g_assert_cmpuint(services("", found, &foreign), ==, 0);
}

/* Depth, and entities that grow. */
static void
test_bombs(void)
{
	g_autoptr(GString) deep = g_string_new(NULL);
	static const char LAUGHS[] =
		"<!DOCTYPE r [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
		"<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><root><service><serviceType>&c;"
		"</serviceType></service></root>";
	MapService found[MAP_XML_SERVICES];
	gboolean foreign;

	for (guint i = 0; i < 20000; i++)
		g_string_append(deep, "<a>");
	g_assert_cmpuint(services(deep->str, found, &foreign), ==, 0);
	g_assert_cmpuint(services(LAUGHS, found, &foreign), ==, 0);
}

static void
test_soap(void)
{
	static const char ENTRY[] =
		"<s:Envelope><s:Body><u:GetSpecificPortMappingEntryResponse>"
		"<NewInternalPort>51820</NewInternalPort><NewInternalClient>192.168.1.2"
		"</NewInternalClient><NewLeaseDuration>7100</NewLeaseDuration>"
		"</u:GetSpecificPortMappingEntryResponse></s:Body></s:Envelope>";
	static const char FAULT[] = "<s:Envelope><s:Body><s:Fault><detail><UPnPError>"
				    "<errorCode>718</errorCode></UPnPError></detail></s:Fault>"
				    "</s:Body></s:Envelope>";
	static const char ODD[] = "<r><errorCode>many</errorCode></r>";
	static const char ADDRESS[] = "<r><NewExternalIPAddress>20.30.40.50"
				      "</NewExternalIPAddress><NewReservedPort>99999"
				      "</NewReservedPort></r>";
	static const char NONE[] = "<r><NewExternalIPAddress>0.0.0.0</NewExternalIPAddress></r>";
	WgEndpoint host = net_ep("192.168.1.1"), client = net_ep("192.168.1.2:51820");
	MapService service = {MAP_SERVICE_IP1, 5000, "/ctl"};
	g_autofree char *call =
		map_xml_call(&host, &service, "DeletePortMapping", "NewProtocol", "UDP", NULL);
	const char *body = strstr(call, "\r\n\r\n") + 4;
	g_autofree char *length = g_strdup_printf("Content-Length: %zu\r\n", strlen(body));
	MapReply reply;

	g_assert_true(g_str_has_prefix(call, "POST /ctl HTTP/1.1\r\nHost: 192.168.1.1:5000\r\n"));
	g_assert_nonnull(strstr(call, length));
	g_assert_nonnull(strstr(body, "<NewProtocol>UDP</NewProtocol></u:DeletePortMapping>"));
	g_assert_true(map_xml_reply(ENTRY, strlen(ENTRY), &reply));
	g_assert_true(wg_endpoint_equal(&reply.client, &client));
	g_assert_true(reply.has_lease);
	g_assert_cmpuint(reply.lease_s, ==, 7100);
	g_assert_true(map_xml_reply(FAULT, strlen(FAULT), &reply));
	g_assert_cmpuint(reply.fault, ==, 718);
	g_assert_true(map_xml_reply(ODD, strlen(ODD), &reply));
	g_assert_cmpuint(reply.fault, ==, 1);
	g_assert_true(map_xml_reply(ADDRESS, strlen(ADDRESS), &reply));
	g_assert_true(wg_endpoint_is_set(&reply.external_address));
	g_assert_cmpuint(reply.reserved_port, ==, 0);
	g_assert_true(map_xml_reply(NONE, strlen(NONE), &reply));
	g_assert_false(wg_endpoint_is_set(&reply.external_address));
	g_assert_false(map_xml_reply("<a><b></a>", 10, &reply));
}

/* A router that is asked by IPv6 at its link-local address names another one: port and path count.
 */
static void
test_v6(void)
{
	static const char XML[] =
		"<r><s><service><serviceType>urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
		"</serviceType><controlURL>http://[2001:db8::1]:81/f</controlURL></"
		"service><service>"
		"<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>"
		"<controlURL>/c</controlURL></service></s></r>";
	static const char V4[] = "http://192.168.1.1:80/x", V6[] = "http://[2001:db8::1]:80/x";
	static const char REPLY[] =
		"<r><UniqueID>65535</UniqueID><FirewallEnabled>0</FirewallEnabled>"
		"<InboundPinholeAllowed>0</InboundPinholeAllowed></r>";
	WgEndpoint gateway = net_ep("[fe80::1%1]:0"), own = net_ep("192.168.1.1");
	MapService found[MAP_XML_SERVICES];
	char path[MAP_PATH_MAX];
	g_autofree char *get = map_xml_get(&gateway, 80, "/x");
	guint16 port;
	gboolean foreign;
	MapReply reply;

	g_assert_true(map_xml_url(V6, strlen(V6), &gateway, &port, path));
	g_assert_cmpuint(port, ==, 80);
	g_assert_false(map_xml_url(V4, strlen(V4), &gateway, &port, path));
	g_assert_false(map_xml_url(V6, strlen(V6), &own, &port, path));
	g_assert_cmpuint(map_xml_services(XML, strlen(XML), &gateway, 5000, found, &foreign), ==,
			 1);
	g_assert_cmpint(found[0].kind, ==, MAP_SERVICE_FIREWALL6);
	g_assert_cmpuint(found[0].port, ==, 81);
	g_assert_cmpuint(map_xml_services(XML, strlen(XML), &own, 5000, found, &foreign), ==, 1);
	g_assert_cmpint(found[0].kind, ==, MAP_SERVICE_IP1);
	g_assert_nonnull(strstr(get, "Host: [fe80::1]:80\r\n"));
	g_assert_true(map_xml_reply(REPLY, strlen(REPLY), &reply));
	g_assert_true(reply.has_unique_id && reply.firewall_off && reply.no_pinholes);
	g_assert_cmpuint(reply.unique_id, ==, 65535);
	g_assert_true(map_xml_reply("<r><UniqueID>65536</UniqueID></r>", 33, &reply));
	g_assert_false(reply.has_unique_id);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/map-xml/http", test_http);
	g_test_add_func("/map-xml/url", test_url);
	g_test_add_func("/map-xml/location", test_location);
	g_test_add_func("/map-xml/services", test_services);
	g_test_add_func("/map-xml/v6", test_v6);
	g_test_add_func("/map-xml/bombs", test_bombs);
	g_test_add_func("/map-xml/soap", test_soap);
	return g_test_run();
}
