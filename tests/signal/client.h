/* SPDX-License-Identifier: MIT */
/*
 * Client: one client of a server where clients send each other messages. What the benches compare
 * differs in the protocol alone (sig-client: nat-signald's; mqtt-client: a broker's). An open value
 * type that lives inside its owner's; one thread.
 *
 * A client that has ended can be started again, yet not from one of its own callbacks.
 */
#pragma once

#include "tests/signal/stream.h"
#include "wgctl/wg-key.h"

typedef struct Client Client;

/* All but login_sent, ready and ended may be NULL. Any may close the client. */
typedef struct {
	/* Whatever is sent now arrives in the login's flight. */
	void (*login_sent)(Client *client);
	void (*ready)(Client *client);
	void (*message)(Client *client, const WgKey *from, const guint8 *body, gsize len);
	void (*presence)(Client *client, const WgKey *key, gboolean online);
	void (*unavailable)(Client *client, const WgKey *key);
	void (*error)(Client *client, const char *code);
	void (*drain)(Client *client, guint within_s);
	/* The other end has closed, or the connection broke: the last callback. Not called for what
	 * we end by client_stop(). */
	void (*ended)(Client *client);
} ClientFuncs;

typedef struct {
	/* The connection begins: writes what a client says first. */
	void (*start)(Client *client);
	/* Handles one unit of what came: bytes of it, 0: it is not whole yet, -1: nonsense. */
	gssize (*take)(Client *client, const guint8 *data, gsize len);
	void (*send)(Client *client, const WgKey *to, const guint8 *body, gsize len);
} Protocol;

struct Client {
	Stream stream;
	const Protocol *protocol;
	const ClientFuncs *funcs;
	WgKey private_key, public_key;
	GByteArray *in;	  /* the part of a unit that is not whole yet; NULL: none */
	guint8 state;	  /* the protocol's */
	gboolean ready;	  /* logged in */
	guint close_code; /* of the server's close frame, 0: none came */
};

extern const Protocol sig_protocol, mqtt_protocol;

/* Makes the keys. */
void client_init(Client *client, const Protocol *protocol, const ClientFuncs *funcs);
void client_clear(Client *client);

gboolean client_start(Client *client, int epoll, const struct sockaddr_in *from,
		      const struct sockaddr_in *to, StreamTls *tls);
/* For each event of epoll's, whose data.ptr is the client. */
void client_event(Client *client);
void client_send(Client *client, const WgKey *to, const guint8 *body, gsize len);
/* Ends the connection at once. reset: by RST. */
void client_stop(Client *client, gboolean reset);
gboolean client_is_open(const Client *client);

/* sig_protocol alone */
void sig_client_interest(Client *client, const WgKey *add, gsize n_add, const WgKey *remove,
			 gsize n_remove);
/* In `pieces` WebSocket frames. */
void sig_client_send_pieces(Client *client, const WgKey *to, const guint8 *body, gsize len,
			    guint pieces);
/* Begins a message, of which the rest will never come. */
void sig_client_send_half(Client *client);
void sig_client_ping(Client *client);
/* The closing handshake: ended() follows. */
void sig_client_close(Client *client);
