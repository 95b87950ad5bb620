/* SPDX-License-Identifier: MIT */
/* Server: a process that is started, ended and started again on the same port, and measured. */
#pragma once

#include <glib.h>
#include <netinet/in.h>
#include <sys/types.h>

typedef struct Server Server;

/* command: argv of the server, to which "-c FILE" is added; NULL-terminated, borrowed. Its
 * configuration and its log are made in `dir`. */
Server *server_new(const char *dir, char **command);
/* Kills it if it runs. */
void server_free(Server *server);

const struct sockaddr_in *server_address(const Server *server);
void server_start(Server *server);
/* Whether the first one says in its log that it serves. */
gboolean server_serves(const Server *server);
/* SIGTERM or SIGKILL; it is ending from now on. */
void server_kill(Server *server, int signal);
gboolean server_is_ending(const Server *server);
/* How often it was told to end: what a connection has met is judged by this. */
guint server_generation(const Server *server);
/* TRUE once, when it has ended. *why: NULL, or what was wrong with the end (transfer full). */
gboolean server_reap(Server *server, char **why);

guint server_files(const Server *server);  /* open ones */
guint server_memory(const Server *server); /* kB, anonymous and resident */
