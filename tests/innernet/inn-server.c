/* SPDX-License-Identifier: MIT */
/*
 * inn-server: an innernet server for tests, with a door for who wants to see it fail.
 */
#include "db-file.h"
#include "server.h"

#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <string.h>

static int
usage(void)
{
	g_printerr(
		"usage: inn-server init DB NAME ADDRESS/PREFIX PORT EXTERNAL-ENDPOINT "
		"[PRIVATE-KEY-FILE]\n"
		"       inn-server serve DB IF DOOR           (IF: WireGuard, up; '-' for none)\n"
		"       inn-server admin DOOR COMMAND [WORD…]\n"
		"commands:\n"
		"  add NAME ADDRESS [key=KEY] [cidr=NAME] [admin] [expires=SECONDS]\n"
		"                          prints the invitation; redeemed already where KEY is "
		"given\n"
		"  disable NAME [remotely] · enable NAME · rename NAME NEW · admin NAME on|off\n"
		"  rekey NAME [KEY]        another key at once, in the device as well; printed\n"
		"  expire NAME SECONDS     from now on\n"
		"  cidr NAME NET · associate CIDR CIDR [no]\n"
		"  candidates NAME [ANYTHING…] · endpoint NAME ANYTHING|none · observe NAME "
		"ENDPOINT\n"
		"  list · show NAME · sample\n"
		"  calls                   lines of NAME METHOD PATH STATUS COUNT\n"
		"  count [WORD…]           the sum of lines that begin so\n"
		"  fault KIND [peer=NAME] [path=PREFIX] [count=N] · fault off\n"
		"     KIND: status=N garbage body=FILE huge endless cut drop hang without-caller "
		"stale\n"
		"           no-http redirect\n");
	return 2;
}

static gboolean
read_key(const char *path, WgKey *key, GError **error)
{
	g_autofree char *text = NULL;

	if (path == NULL) {
		wg_key_generate_private(key);
		return TRUE;
	}
	if (!g_file_get_contents(path, &text, NULL, error))
		return FALSE;
	if (wg_key_parse(g_strstrip(text), key))
		return TRUE;
	g_set_error(error, DB_ERROR, 400, "%s: no key", path);
	return FALSE;
}

static gboolean
init(char **argv, GError **error)
{
	g_autoptr(Db) db = NULL;
	g_autofree char *endpoint = text_endpoint(argv[4]);
	guint64 port;
	TextNet net;
	WgKey key;

	if (!text_net_parse(argv[2], &net) || endpoint == NULL ||
	    !g_ascii_string_to_unsigned(argv[3], 10, 1, G_MAXUINT16, &port, NULL)) {
		g_set_error_literal(error, DB_ERROR, 400, "no address, port or endpoint");
		return FALSE;
	}
	if (!read_key(argv[5], &key, error))
		return FALSE;
	db = db_new(argv[0], argv[1], &net, (guint16)port, &key, endpoint);
	wg_key_clear(&key);
	return db_save(db, error);
}

static gboolean
on_term(gpointer loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_CONTINUE;
}

static gboolean
serve(char **argv, GError **error)
{
	const char *ifname = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	Db *db = db_load(argv[0], error);
	g_autoptr(Server) server = db == NULL ? NULL : server_new_take(db, ifname);

	if (server == NULL || !server_start(server, ifname, argv[2], error))
		return FALSE;
	g_unix_signal_add(SIGTERM, on_term, loop);
	g_unix_signal_add(SIGINT, on_term, loop);
	g_print("inn-server: serving\n");
	g_main_loop_run(loop);
	return TRUE;
}

static gboolean
admin(char **argv, GError **error)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(argv[0]);
	g_autoptr(GSocketConnection) stream =
		g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, error);
	g_autoptr(GDataInputStream) in = NULL;
	g_autofree char *words = g_strjoinv("\x1f", argv + 1),
			*line = g_strconcat(words, "\n", NULL);
	g_autofree char *head = NULL, *rest = NULL;

	if (stream == NULL ||
	    !g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(stream)), line,
				       strlen(line), NULL, NULL, error))
		return FALSE;
	in = g_data_input_stream_new(g_io_stream_get_input_stream(G_IO_STREAM(stream)));
	head = g_data_input_stream_read_line(in, NULL, NULL, error);
	if (g_strcmp0(head, "ok") != 0) {
		if (error != NULL && *error == NULL)
			g_set_error(error, DB_ERROR, 400, "%s", head == NULL ? "no answer" : head);
		return FALSE;
	}
	rest = g_data_input_stream_read_upto(in, "", 0, NULL, NULL, NULL);
	g_print("%s", rest == NULL ? "" : rest);
	return TRUE;
}

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	gboolean ok;

	if (argc >= 7 && argc <= 8 && strcmp(argv[1], "init") == 0)
		ok = init(argv + 2, &error);
	else if (argc == 5 && strcmp(argv[1], "serve") == 0)
		ok = serve(argv + 2, &error);
	else if (argc >= 4 && strcmp(argv[1], "admin") == 0)
		ok = admin(argv + 2, &error);
	else
		return usage();
	if (!ok)
		g_printerr("inn-server: %s\n", error->message);
	return ok ? 0 : 1;
}
