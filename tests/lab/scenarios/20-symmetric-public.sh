# SPDX-License-Identifier: MIT
# A host behind a symmetric NAT and one with a public address: the latter learns where the former's
# packets come from (a peer-reflexive candidate).

setup()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	nat_router ra symmetric 203.0.113.1 192.168.1.1/24
	node a
	lan_attach a ra 192.168.1.2/24
	server b 198.51.100.7
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
}

check()
{
	agent a b
	direct a b
	equal "a's endpoint of b" "$(wg_get a b endpoints)" 198.51.100.7:51820
	expect_reason a b direct-public-peer
	expect_reason b a direct-public-here
	equal "b's type of a" "$(peer b a .path.remote.type)" prflx
}
