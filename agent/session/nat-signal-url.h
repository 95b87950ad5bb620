/* SPDX-License-Identifier: MIT */
/*
 * NatSignalUrl: ws:// or wss:// with host and port, taken apart. Pure.
 */
#pragma once

#include <glib.h>

typedef struct {
	char *url;	 /* as it was written */
	char *host;	 /* lower case, IPv6 without brackets */
	guint16 port;	 /* 80 or 443 when the URL has none */
	char *authority; /* what the login proves: "host:port" (signaling/PROTOCOL.md) */
} NatSignalUrl;

/* The error is one line that shows the URL, escaped. */
NatSignalUrl *nat_signal_url_parse(const char *text, GError **error);
void nat_signal_url_free(NatSignalUrl *url);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatSignalUrl, nat_signal_url_free)
