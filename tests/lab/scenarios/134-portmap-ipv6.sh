# SPDX-License-Identifier: MIT
# A host behind a router's IPv6 firewall, which lets in nobody who was not asked: PCP opens it for WireGuard's port,
# and closes it when the agent ends without a tunnel.

setup()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	node ra a
	nat_setup ra symmetric 20.30.40.50 192.168.1.1/24
	nat_v6 ra 2001:db8:a::
	lan_attach a ra 192.168.1.2/24
	lan_attach a ra 2001:db8:a::2/64
	wg_up a 1
	signald sig
	maps ra enable_upnp=no ipv6_disable=no
}

pinhole() { field_is a port_mapping.ipv6_pinhole "$1"; }
# nft shows miniupnpd's rules as bytes
let_in() { nx ra nft list chain inet miniupnpd miniupnpd | grep -c 0x20010db8000a00000000000000000002; }
let_in_is() { [ "$(let_in)" = "$1" ]; }

check()
{
	agent a
	within 20 'a: IPv6 is let in' pinhole true
	within 5 'the router lets it in' let_in_is 1
	agent_stop a
	within 5 'no longer' let_in_is 0
}
