/* SPDX-License-Identifier: MIT */
/*
 * A UPnP gateway on loopback that behaves as told: it serves each connection in a thread of its
 * own, in whatever way. For one test program each: all of it is static.
 */
#pragma once

#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net-util.h"

#define TYPE1 "urn:schemas-upnp-org:service:WANIPConnection:1"
#define TYPE2 "urn:schemas-upnp-org:service:WANIPConnection:2"

typedef enum {
	BODY_GOOD,
	BODY_HUGE,
	BODY_ENDLESS,
	BODY_SLOW,
	BODY_DEEP,
	BODY_REDIRECT,
	BODY_CUT
} Body;

typedef struct {
	/* how it behaves; set before it is asked */
	Body body;
	const char *location; /* NULL: the right one */
	const char *control;
	const char *type;
	const char *address; /* its own, outside */
	guint taken;	     /* this port is another host's */
	gboolean overwrites; /* … and it does not say so when it is asked for it */
	gboolean liar;	     /* all is another host's, whatever it says */
	gboolean permanent, refuses;
	gboolean blind; /* it does not say whose a port is */
	gboolean cuts;	/* it maps, and does not answer */
	gboolean keeps; /* it does not remove */
	guint reserved;
	/* WANIPv6FirewallControl */
	gboolean firewall_off, forbids;
	gint pinhole; /* the id of ours; 0: none */
	gint pinhole_adds, pinhole_updates, pinhole_deletes;
	/* what it was asked; by its threads */
	gint adds, deletes, gets;
	gint port; /* that it has mapped to us; 0: none */

	int fd;
	guint watch;
	guint16 ssdp_port, http_port;
	GSocketService *service;
} FakeIgd;

static gboolean
put(GOutputStream *out, const char *text)
{
	return g_output_stream_write_all(out, text, strlen(text), NULL, NULL, NULL);
}

static void
put_answer(GOutputStream *out, guint status, const char *body)
{
	g_autofree char *text = g_strdup_printf(
		"HTTP/1.1 %u X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
		strlen(body), body);

	put(out, text);
}

static void
put_fault(GOutputStream *out, guint code)
{
	g_autofree char *body = g_strdup_printf(
		"<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>%u</errorCode>"
		"</UPnPError></detail></s:Fault></s:Body></s:Envelope>",
		code);

	put_answer(out, 500, body);
}

static void
put_description(FakeIgd *w, GOutputStream *out)
{
	g_autofree char *good = g_strdup_printf(
		"<?xml version=\"1.0\"?><root><device><serviceList><service><serviceType>%s"
		"</serviceType><controlURL>%s</controlURL></service></serviceList></device></root>",
		w->type, w->control);

	g_atomic_int_inc(&w->gets);
	switch (w->body) {
	case BODY_GOOD:
		put_answer(out, 200, good);
		return;
	case BODY_HUGE:
		put(out, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n<root>");
		return;
	case BODY_ENDLESS:
		for (gboolean ok = put(out, "HTTP/1.1 200 OK\r\n\r\n<root>"); ok;)
			ok = put(out, "<a>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</a>");
		return;
	case BODY_SLOW:
		for (gboolean ok = put(out, "HTTP/1.1 200 OK\r\n\r\n"); ok; g_usleep(50000))
			ok = put(out, " ");
		return;
	case BODY_DEEP: {
		g_autoptr(GString) deep = g_string_new(NULL);

		for (guint i = 0; i < 20000; i++)
			g_string_append(deep, "<a>");
		put_answer(out, 200, deep->str);
		return;
	}
	case BODY_REDIRECT:
		put(out, "HTTP/1.1 302 Found\r\nLocation: http://203.0.113.9/\r\n"
			 "Content-Length: 0\r\n\r\n");
		return;
	case BODY_CUT:
		put(out, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<root>");
		return;
	}
}

static guint
number_in(const char *request, const char *element)
{
	const char *at = strstr(request, element);

	return at ? (guint)g_ascii_strtoull(at + strlen(element), NULL, 10) : 0;
}

static void
put_entry(FakeIgd *w, GOutputStream *out, const char *request)
{
	guint port = number_in(request, "<NewExternalPort>");
	gboolean ours = port == (guint)g_atomic_int_get(&w->port);
	g_autofree char *body = g_strdup_printf(
		"<r><NewInternalPort>51820</NewInternalPort><NewInternalClient>%s"
		"</NewInternalClient><NewLeaseDuration>%u</NewLeaseDuration></r>",
		ours && !w->liar ? "127.0.0.1" : "127.0.0.2", w->permanent ? 0 : 7200);

	if (w->blind)
		put_fault(out, 401);
	else if (ours || port == w->taken)
		put_answer(out, 200, body);
	else
		put_fault(out, 714);
}

static void
put_added(FakeIgd *w, GOutputStream *out, const char *request)
{
	guint port = w->reserved ? w->reserved : number_in(request, "<NewExternalPort>");
	g_autofree char *body =
		g_strdup_printf("<r><NewReservedPort>%u</NewReservedPort></r>", port);

	g_atomic_int_inc(&w->adds);
	if (w->refuses) {
		put_fault(out, 606);
	} else if (port == w->taken && !w->overwrites) {
		put_fault(out, 718);
	} else if (w->permanent && number_in(request, "<NewLeaseDuration>") != 0) {
		put_fault(out, 725);
	} else {
		g_atomic_int_set(&w->port, (gint)port);
		if (!w->cuts)
			put_answer(out, 200, body);
	}
}

static void
put_pinhole(FakeIgd *w, GOutputStream *out, const char *request)
{
	gint id = g_atomic_int_get(&w->pinhole);
	g_autofree char *named = NULL;

	if (strstr(request, "#AddPinhole")) {
		g_atomic_int_inc(&w->pinhole_adds);
		if (id == 0)
			g_atomic_int_set(&w->pinhole, id = 7);
		named = g_strdup_printf("<r><UniqueID>%d</UniqueID></r>", id);
		put_answer(out, 200, named);
	} else if (id == 0 || id != (gint)number_in(request, "<UniqueID>")) {
		put_fault(out, 704);
	} else if (strstr(request, "#UpdatePinhole")) {
		g_atomic_int_inc(&w->pinhole_updates);
		put_answer(out, 200, "<r/>");
	} else if (strstr(request, "#DeletePinhole")) {
		g_atomic_int_inc(&w->pinhole_deletes);
		g_atomic_int_set(&w->pinhole, 0);
		put_answer(out, 200, "<r/>");
	} else {
		put_answer(out, 200, "<r><PinholePackets>1</PinholePackets></r>");
	}
}

static void
put_firewall(FakeIgd *w, GOutputStream *out)
{
	g_autofree char *body =
		g_strdup_printf("<r><FirewallEnabled>%d</FirewallEnabled>"
				"<InboundPinholeAllowed>%d</InboundPinholeAllowed></r>",
				!w->firewall_off, !w->forbids);

	put_answer(out, 200, body);
}

static void
serve(FakeIgd *w, GOutputStream *out, const char *request)
{
	g_autofree char *address = g_strdup_printf(
		"<r><NewExternalIPAddress>%s</NewExternalIPAddress></r>", w->address);

	if (g_str_has_prefix(request, "GET ")) {
		put_description(w, out);
	} else if (strstr(request, "#GetExternalIPAddress")) {
		put_answer(out, 200, address);
	} else if (strstr(request, "#GetFirewallStatus")) {
		put_firewall(w, out);
	} else if (strstr(request, "Pinhole")) {
		put_pinhole(w, out, request);
	} else if (strstr(request, "#GetSpecificPortMappingEntry")) {
		put_entry(w, out, request);
	} else if (strstr(request, "#AddPortMapping") || strstr(request, "#AddAnyPortMapping")) {
		put_added(w, out, request);
	} else {
		g_atomic_int_inc(&w->deletes);
		if (w->keeps) {
			put_fault(out, 606);
			return;
		}
		g_atomic_int_set(&w->port, 0);
		put_answer(out, 200, "<r/>");
	}
}

static gboolean
on_run(GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
       gpointer user_data)
{
	GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(connection));
	GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(connection));
	char buf[8192] = {0};
	gsize len = 0;

	for (gssize n = 1; n > 0 && len < sizeof buf - 1 && !strstr(buf, "</s:Envelope>") &&
			   !(g_str_has_prefix(buf, "GET") && strstr(buf, "\r\n\r\n"));
	     len += n > 0 ? (gsize)n : 0)
		n = g_input_stream_read(in, buf + len, sizeof buf - 1 - len, NULL, NULL);
	serve(user_data, out, buf);
	return TRUE;
}

static gboolean
on_search(int fd, GIOCondition condition, gpointer user_data)
{
	FakeIgd *w = user_data;
	char buf[1024];
	WgEndpoint from;
	g_autofree char *own = g_strdup_printf("http://127.0.0.1:%u/d", w->http_port);
	g_autofree char *text = g_strdup_printf(
		"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
		"LOCATION: %s\r\n\r\n",
		w->location ? w->location : own);

	if (net_recv(fd, buf, sizeof buf, 0, &from) > 0)
		sendto(fd, text, strlen(text), 0, &from.sa, wg_endpoint_socklen(&from));
	return G_SOURCE_CONTINUE;
}

static void
fake_igd_start(FakeIgd *w)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;
	WgEndpoint at;

	w->fd = net_udp("127.0.0.1:0");
	g_assert_cmpint(getsockname(w->fd, (struct sockaddr *)&sin, &len), ==, 0);
	wg_endpoint_from_sockaddr(&at, &sin, len);
	w->ssdp_port = wg_endpoint_port(&at);
	w->watch = g_unix_fd_add(w->fd, G_IO_IN, on_search, w);
	w->service = g_threaded_socket_service_new(8);
	w->http_port =
		g_socket_listener_add_any_inet_port(G_SOCKET_LISTENER(w->service), NULL, NULL);
	g_signal_connect(w->service, "run", G_CALLBACK(on_run), w);
	w->control = "/control";
	w->type = TYPE1;
	w->address = "20.30.40.50";
}

/* After whoever asks it is gone. */
static void
fake_igd_stop(FakeIgd *w)
{
	g_socket_service_stop(w->service);
	g_socket_listener_close(G_SOCKET_LISTENER(w->service));
	/* its threads hold it until their connections are gone */
	while (G_OBJECT(w->service)->ref_count > 1)
		g_main_context_iteration(NULL, FALSE);
	g_object_unref(w->service);
	g_source_remove(w->watch);
	close(w->fd);
}
