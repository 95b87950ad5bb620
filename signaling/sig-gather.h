/* SPDX-License-Identifier: MIT */
/*
 * SigGather: what a connection has to say, as WebSocket frames one after the other in one buffer,
 * so that a socket is written to once for all of them: one segment of TCP, one record of TLS, one
 * call of the kernel. Pure.
 */
#pragma once

#include "signaling/sig-conn.h"

/* Bytes from which on no further frame is taken: what one connection has to say after a pause still
 * fits, and a full queue is written in turns with those of others. */
#define SIG_GATHER_BOUND 8192
/* Bytes at most. */
#define SIG_GATHER_MAX (SIG_GATHER_BOUND + SIG_WIRE_MAX + 4)

/* Appends a ping if one is due, the frames that wait, and the close frame behind the last of them.
 * FALSE when some may be left. */
gboolean sig_gather(SigConn *conn, GByteArray *to);
