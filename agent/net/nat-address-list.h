/* SPDX-License-Identifier: MIT */
/*
 * NatAddressList: a GSocketConnectable that names a host (TLS verifies that name) and already knows
 * its addresses: whoever connects to it asks no resolver and no proxy, and GSocketClient races the
 * addresses, 250 ms apart (RFC 8305). What it connects is a NatBoundedStream.
 */
#pragma once

#include <gio/gio.h>

#include "wgctl/wg-endpoint.h"

#define NAT_TYPE_ADDRESS_LIST (nat_address_list_get_type())
G_DECLARE_FINAL_TYPE(NatAddressList, nat_address_list, NAT, ADDRESS_LIST, GNetworkAddress)

GSocketConnectable *nat_address_list_new(const char *host, guint16 port, const WgEndpoint *addrs,
					 gsize n);
