# SPDX-License-Identifier: MIT
# Both hosts behind NATs in one carrier's network, whose own NAT does not let anybody inside reach
# its public address (no hairpin): no direct path that STUN can see, so they are relayed.

LAB_KIND=relayed

setup()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	server turn 192.0.2.20
	node ca ra rb a b
	nat_setup ca port-restr 203.0.113.1 100.80.0.1/16 "${LAB_HAIRPIN:-}"
	nat_behind ra ca port-restr 100.80.0.2/16 192.168.1.1/24
	nat_behind rb ca port-restr 100.80.0.3/16 192.168.2.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.2.2/24
	wg_up a 1
	wg_up b 2
	wg_pair a b
	turn_server turn user:secret
	signald sig
}

check()
{
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	"$LAB_KIND" a b
}
