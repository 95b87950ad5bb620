/* SPDX-License-Identifier: MIT */
/* UPnP against a gateway on loopback that behaves as told: it serves each connection in a thread of
 * its own, in whatever way. */
#include "agent/portmap/map-upnp.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/net-util.h"

#define DEADLINE_US (60 * G_USEC_PER_SEC)
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
	guint reserved;
	/* what it was asked; by its threads */
	gint adds, deletes, gets;
	gint port; /* that it has mapped to us; 0: none */

	int fd;
	guint watch;
	guint16 ssdp_port, http_port;
	GSocketService *service;
	MapPlace place;
	MapUpnp *upnp;
} World;

/* ---- the gateway ---- */

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
put_description(World *w, GOutputStream *out)
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
put_entry(World *w, GOutputStream *out, const char *request)
{
	guint port = number_in(request, "<NewExternalPort>");
	gboolean ours = port == (guint)g_atomic_int_get(&w->port);
	g_autofree char *body = g_strdup_printf(
		"<r><NewInternalPort>51820</NewInternalPort><NewInternalClient>%s"
		"</NewInternalClient><NewLeaseDuration>%u</NewLeaseDuration></r>",
		ours && !w->liar ? "127.0.0.1" : "127.0.0.2", w->permanent ? 0 : 7200);

	if (ours || port == w->taken)
		put_answer(out, 200, body);
	else
		put_fault(out, 714);
}

static void
put_added(World *w, GOutputStream *out, const char *request)
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
		put_answer(out, 200, body);
	}
}

static void
serve(World *w, GOutputStream *out, const char *request)
{
	g_autofree char *address = g_strdup_printf(
		"<r><NewExternalIPAddress>%s</NewExternalIPAddress></r>", w->address);

	if (g_str_has_prefix(request, "GET ")) {
		put_description(w, out);
	} else if (strstr(request, "#GetExternalIPAddress")) {
		put_answer(out, 200, address);
	} else if (strstr(request, "#GetSpecificPortMappingEntry")) {
		put_entry(w, out, request);
	} else if (strstr(request, "#AddPortMapping") || strstr(request, "#AddAnyPortMapping")) {
		put_added(w, out, request);
	} else {
		g_atomic_int_inc(&w->deletes);
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
	World *w = user_data;
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

/* ---- the test ---- */

static void
on_changed(gpointer user_data)
{
}

static void
set_up(World *w, gconstpointer data)
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
	w->place.gateway = net_ep("127.0.0.1");
	w->place.own = net_ep("127.0.0.1:51820");
	w->upnp = map_upnp_new(&w->place, w->ssdp_port, on_changed, w);
}

static void
tear_down(World *w, gconstpointer data)
{
	map_upnp_free(w->upnp);
	g_socket_service_stop(w->service);
	g_socket_listener_close(G_SOCKET_LISTENER(w->service));
	/* its threads hold it until their connections are gone, which they are with the MapUpnp */
	while (G_OBJECT(w->service)->ref_count > 1)
		g_main_context_iteration(NULL, FALSE);
	g_object_unref(w->service);
	g_source_remove(w->watch);
	close(w->fd);
}

static gboolean
on_turn(gpointer user_data)
{
	return G_SOURCE_REMOVE;
}

static void
turn(void)
{
	g_timeout_add(10, on_turn, NULL);
	g_main_context_iteration(NULL, TRUE);
}

#define UNTIL(condition)                                                                           \
	for (gint64 end_ = g_get_monotonic_time() + DEADLINE_US; !(condition);) {                  \
		g_assert_cmpint(g_get_monotonic_time(), <, end_);                                  \
		turn();                                                                            \
	}

static void
start(World *w)
{
	map_upnp_start(w->upnp, NULL);
	map_upnp_want(w->upnp, TRUE);
}

static void
reaches(World *w, MapUpnpState state, const char *problem)
{
	UNTIL(map_upnp_state(w->upnp) == state);
	g_assert_cmpstr(map_upnp_problem(w->upnp), ==, problem);
	g_assert_cmpint(map_grant_is_set(map_upnp_grant(w->upnp)), ==, state == MAP_UPNP_HELD);
}

static guint
held_port(World *w)
{
	return wg_endpoint_port(&map_upnp_grant(w->upnp)->external);
}

static void
test_igd(World *w, gconstpointer type)
{
	WgEndpoint expected = net_ep("20.30.40.50:51820");

	w->type = type;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_true(wg_endpoint_equal(&map_upnp_grant(w->upnp)->external, &expected));
	g_assert_cmpuint(map_upnp_grant(w->upnp)->lifetime_s, ==, 7200);
	g_assert_cmpint(w->adds, ==, 1);
}

static void
test_any(World *w, gconstpointer data)
{
	w->type = TYPE2;
	w->reserved = 40000;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpuint(held_port(w), ==, 40000);
}

/* Nothing is asked for before it is wanted, and it is given back when it is wanted no more. */
static void
test_wanted(World *w, gconstpointer data)
{
	map_upnp_start(w->upnp, NULL);
	reaches(w, MAP_UPNP_READY, NULL);
	g_assert_cmpint(w->adds, ==, 0);
	map_upnp_want(w->upnp, TRUE);
	reaches(w, MAP_UPNP_HELD, NULL);
	map_upnp_want(w->upnp, FALSE);
	reaches(w, MAP_UPNP_READY, NULL);
	UNTIL(g_atomic_int_get(&w->deletes) == 1);
}

/* A port that is another host's is left to it, whether the router would give it to us or not. */
static void
test_conflict(World *w, gconstpointer overwrites)
{
	w->taken = 51820;
	w->overwrites = overwrites != NULL;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpuint(held_port(w), !=, 51820);
	g_assert_cmpint(w->adds, ==, 1);
}

static void
test_liar(World *w, gconstpointer data)
{
	w->liar = TRUE;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, "the router says it has mapped the port, and has not");
}

static void
test_permanent(World *w, gconstpointer data)
{
	w->permanent = TRUE;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpuint(map_upnp_grant(w->upnp)->lifetime_s, ==, 0);
}

static void
test_refused(World *w, gconstpointer data)
{
	w->refuses = TRUE;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, "switched off for this host");
}

static void
test_no_address(World *w, gconstpointer address)
{
	w->address = address;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, MAP_NO_ADDRESS);
	g_assert_cmpint(w->adds, ==, 0);
}

typedef struct {
	const char *name;
	Body body;
	const char *problem;
} Bad;

static const Bad BADS[] = {
	{"huge", BODY_HUGE, "the router's UPnP answers nonsense"},
	{"endless", BODY_ENDLESS, "the router's UPnP answers nonsense"},
	{"slow", BODY_SLOW, "the router's UPnP does not answer in time"},
	{"deep", BODY_DEEP, "the router's UPnP maps no ports"},
	{"redirect", BODY_REDIRECT, "the router's UPnP has no description"},
	{"cut", BODY_CUT, "the router's UPnP breaks off"},
};

static void
test_bad(World *w, gconstpointer data)
{
	const Bad *bad = data;

	w->body = bad->body;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, bad->problem);
	g_assert_cmpint(g_atomic_int_get(&w->gets), ==, 1);
}

static void
test_other_host(World *w, gconstpointer control)
{
	if (control)
		w->control = control;
	else
		w->location = "http://203.0.113.9:80/d";
	start(w);
	reaches(w, MAP_UPNP_REFUSED, "the router's UPnP names another host");
	g_assert_cmpint(w->gets, ==, control ? 1 : 0);
}

static void
test_absent(World *w, gconstpointer data)
{
	w->location = "";
	start(w);
	UNTIL(map_upnp_state(w->upnp) >= MAP_UPNP_REFUSED);
}

/* What an earlier run has held is taken up without a search, and given back by itself. */
static void
on_removed(gboolean removed, gpointer user_data)
{
	*(int *)user_data = removed ? 1 : -1;
}

static void
test_kept(World *w, gconstpointer data)
{
	MapGrant kept;
	int removed = 0;

	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	kept = *map_upnp_grant(w->upnp);
	map_upnp_free(w->upnp);
	w->upnp = map_upnp_new(&w->place, w->ssdp_port, on_changed, w);
	map_upnp_start(w->upnp, &kept);
	map_upnp_want(w->upnp, TRUE);
	g_assert_cmpuint(held_port(w), ==, 51820);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpint(w->gets, ==, 1);
	g_assert_true(map_upnp_remove(&w->place, &kept, on_removed, &removed));
	UNTIL(removed != 0);
	g_assert_cmpint(removed, ==, 1);
	g_assert_cmpint(w->port, ==, 0);
}

#define ADD(path, data, func) g_test_add("/map-upnp/" path, World, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("igd-1", TYPE1, test_igd);
	ADD("igd-2", TYPE2, test_igd);
	ADD("any-port", NULL, test_any);
	ADD("wanted", NULL, test_wanted);
	ADD("conflict", NULL, test_conflict);
	ADD("overwrites", "", test_conflict);
	ADD("liar", NULL, test_liar);
	ADD("permanent", NULL, test_permanent);
	ADD("refused", NULL, test_refused);
	ADD("no-address", "0.0.0.0", test_no_address);
	ADD("odd-address", "lots", test_no_address);
	ADD("other-host", NULL, test_other_host);
	ADD("other-control", "http://203.0.113.9/c", test_other_host);
	ADD("absent", NULL, test_absent);
	ADD("kept", NULL, test_kept);
	for (gsize i = 0; i < G_N_ELEMENTS(BADS); i++) {
		g_autofree char *path = g_strconcat("/map-upnp/", BADS[i].name, NULL);

		g_test_add(path, World, &BADS[i], set_up, test_bad, tear_down);
	}
	return g_test_run();
}
