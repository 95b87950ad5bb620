/* SPDX-License-Identifier: MIT */
/*
 * The signaling wire protocol's frames (PROTOCOL.md): pure codec, shared by server and agent.
 */
#pragma once

#include <glib.h>

#define SIG_WIRE_SUBPROTOCOL "nat-agent.v1"
#define SIG_WIRE_MAX 16384 /* bytes of any frame */
