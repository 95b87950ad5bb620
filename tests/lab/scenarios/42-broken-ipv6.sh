# SPDX-License-Identifier: MIT
# Both hosts and the server have IPv6 addresses and routes, and the internet swallows every packet:
# everything goes on by IPv4, without waiting for IPv6 to fail.

setup()
{
	two_nats port-restr port-restr
	nat_v6 ra 2001:db8:a::
	nat_v6 rb 2001:db8:b::
	lan_attach a ra 2001:db8:a::2/64
	lan_attach b rb 2001:db8:b::2/64
	nx net nft 'table ip6 swallow { chain f { type filter hook forward priority 0; drop; }; }'
	server ns 192.0.2.53
	dns ns signal.lab.test=192.0.2.10,2001:db8:ff::10
	resolver a 192.0.2.53
	resolver b 192.0.2.53
	LAB_SIGNAL_NAME=signal.lab.test
	signald sig
}

check()
{
	agent a b
	direct a b 10
	equal "a's endpoint of b" "$(wg_get a b endpoints)" 198.51.100.1:51820
}
