# SPDX-License-Identifier: MIT
# No IPv4 anywhere but inside the tunnel; a stateful firewall in each router, no NAT.

setup()
{
	internet
	server sig 2001:db8:ff::10
	node ra rb a b
	nat_setup ra port-restr 203.0.113.1 192.168.1.1/24
	nat_setup rb port-restr 198.51.100.1 192.168.2.1/24
	nat_v6 ra 2001:db8:a::
	nat_v6 rb 2001:db8:b::
	lan_attach a ra 2001:db8:a::2/64
	lan_attach b rb 2001:db8:b::2/64
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
}

check()
{
	agent a b
	direct a b
	expect_reason a b direct-no-nat
	pings6 a b
	equal "a's endpoint of b" "$(wg_get a b endpoints)" '[2001:db8:b::2]:51820'
	equal "b's endpoint of a" "$(wg_get b a endpoints)" '[2001:db8:a::2]:51820'
}
