# SPDX-License-Identifier: MIT
# The router's IPv6 firewall, without PCP: UPnP's WANIPv6FirewallControl, found by SSDP over the link, opens it for
# WireGuard's port; it stays over a restart, and teardown closes it, as one by PCP
# beside a mapping by UPnP.

setup() { firewalled_home enable_natpmp=no; }

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
