/* SPDX-License-Identifier: MIT */
/*
 * Two connections of one server that are logged in and a third that is not, fed with frames in
 * pieces. The input is a list of: a byte (which connection, text or binary, final), a length, the
 * piece.
 */
#include "signaling/sig-conn.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define N 3

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
wake(gpointer transport)
{
}

static GLogWriterOutput
ignore_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	return G_LOG_WRITER_HANDLED;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	g_log_set_writer_func(ignore_log, NULL, NULL);
	return 0;
}

static SigConn *
log_in(SigHub *hub, guint8 n)
{
	WgKey private = {{n, 1, 2, 3}};
	g_auto(SigFrame) hello = {0};
	g_autofree SigOut *out = NULL;
	g_autofree char *login = NULL;
	WgEndpoint address;
	SigConn *conn;

	wg_endpoint_parse("192.0.2.1:7", &address);
	sig_gate_enter(hub->gate, &address);
	conn = sig_conn_new(hub, &address, NULL);
	sig_conn_open(conn);
	if (n == N)
		return conn;
	out = sig_conn_pop(conn);
	if (!sig_wire_decode((char *)out->data, out->len, &hello, NULL))
		abort();
	login = sig_login_answer(&hello.hello, &private, "a:1", NULL);
	sig_conn_receive(conn, (guint8 *)login, strlen(login), 0, TRUE, FALSE);
	return conn;
}

static void
feed(SigConn **conns, const uint8_t *data, size_t size)
{
	while (size >= 3) {
		const uint8_t how = data[0];
		const size_t len = MIN((size_t)(data[1] << 8 | data[2]), size - 3);

		sig_conn_receive(conns[how % N], data + 3, len, how & 0x40 ? how : 0, !(how & 0x20),
				 how & 0x10);
		data += 3 + len;
		size -= 3 + len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(SigConfig) config = sig_config_parse(NULL, 0, NULL, &(SigArgs){0}, NULL);
	g_autoptr(SigHub) hub = sig_hub_new(&config->limits, NULL, wake);
	static const char *const relays[] = {"turn:192.0.2.7", NULL};
	g_autoptr(SigTurn) turn = sig_turn_new(relays, "north", SIG_TURN_TTL_MIN);
	SigConn *conns[N];

	hub->turn = turn;
	for (guint i = 0; i < N; i++)
		conns[i] = log_in(hub, i + 1);
	feed(conns, data, size);
	for (guint i = 0; i < N; i++)
		sig_conn_free(conns[i]);
	if (sig_directory_n_known(hub->directory) != 0 || sig_gate_total(hub->gate) != 0)
		abort();
	return 0;
}
