# SPDX-License-Identifier: MIT
# Two hosts in one LAN, behind a NAT that does not hairpin: they meet inside it. Both use the same
# port, so one of them has another one outside.

LAB_HAIRPIN=

setup()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	nat_router r port-restr 203.0.113.1 192.168.1.1/24 $LAB_HAIRPIN
	node a b
	lan_attach a r 192.168.1.2/24
	lan_attach b r 192.168.1.3/24
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
}

check()
{
	agent a b
	direct a b
	within 5 'a goes straight to b' peer_at a b 192.168.1.3:51820
	within 5 'b goes straight to a' peer_at b a 192.168.1.2:51820
	expect_reason a b direct-own-addresses
	equal "type of b" "$(peer a b .path.remote.type)" host
	pings a b
}
