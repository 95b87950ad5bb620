# SPDX-License-Identifier: MIT
# The router's IPv6 firewall, without PCP: UPnP's WANIPv6FirewallControl, found by SSDP over the link, opens it for
# WireGuard's port; it stays over a restart, and teardown closes it, as one by PCP
# beside a mapping by UPnP.

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
	maps ra enable_natpmp=no ipv6_disable=no
}

pinhole() { field_is a port_mapping.ipv6_pinhole "$1"; }
# nft shows miniupnpd's rules as bytes
let_in() { nx ra nft list chain inet miniupnpd miniupnpd | grep -c 0x20010db8000a00000000000000000002; }
let_in_is() { [ "$(let_in)" = "$1" ]; }

torn_down()
{
	agent_stop a KILL
	teardown a || fail "teardown: $(cat "$LAB_DIR/out")"
	equal 'let in after the teardown' "$(let_in)" 0
}

check()
{
	# miniupnpd speaks PCP by IPv6 all the same
	agent a
	within 20 'a: IPv6 is let in by PCP' pinhole true
	within 20 'a: IPv4 is mapped' mapping_is a up upnp
	torn_down
	nx ra nft insert rule inet filter input udp dport 5351 drop || fail 'no PCP'
	agent a
	within 20 'a: IPv6 is let in' pinhole true
	within 5 'the router lets it in' let_in_is 1
	agent_stop a KILL
	equal 'let in without an agent' "$(let_in)" 1
	agent a
	within 20 'a: IPv6 is let in still' pinhole true
	equal 'one pinhole' "$(let_in)" 1
	torn_down
}
