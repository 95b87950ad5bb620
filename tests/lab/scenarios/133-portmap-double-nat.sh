# SPDX-License-Identifier: MIT
# A router behind a carrier's NAT says what it has for an outside address: a private one, then a wrong one. Either
# is told, and neither is offered to peers.

setup()
{
	internet
	server sig 192.0.2.10
	node ca ra rb a b
	nat_setup ca port-restr 203.0.113.1 100.80.0.1/16
	nat_behind ra ca port-restr 100.80.0.2/16 192.168.1.1/24
	nat_setup rb port-restr 198.51.100.1 192.168.2.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.2.2/24
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
	maps ra enable_upnp=no
}

candidates() { status a '.interfaces[0].candidates[].endpoint'; }

check()
{
	agent a b
	within 20 'a: a NAT behind the router' mapping_is a double-nat
	direct a b 20
	status_text a >"$LAB_DIR/out"
	expect 'people see it' grep -q 'another NAT' "$LAB_DIR/out"
	agent_stop a
	daemon_stop ra miniupnpd
	maps ra ext_ip=20.30.40.77
	agent a
	within 20 'a: the router is mistaken' mapping_is a contradicted pcp 20.30.40.77:51820
	! candidates | grep -q 20.30.40.77 || fail 'it is offered'
	direct a b 20
}
