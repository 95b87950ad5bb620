# SPDX-License-Identifier: MIT
# A host with two uplinks. WireGuard's packets leave by the route that the kernel picks for the
# destination, so only that uplink's address may take part, and the other one stays silent.

setup()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	nat_router ra port-restr 203.0.113.1 192.168.1.1/24
	nat_router rc port-restr 203.0.113.3 192.168.3.1/24
	nat_router rb port-restr 198.51.100.1 192.168.2.1/24
	node a b
	lan_attach a ra 192.168.1.2/24 eth0 100
	lan_attach a rc 192.168.3.2/24 eth1 200
	lan_attach b rb 192.168.2.2/24
	server c 198.51.100.7
	wg_up a 1
	wg_up b 2
	wg_up c 3
	wg_peer a b
	wg_peer b a
	wg_peer a c
	wg_peer c a
	# One destination goes by the second uplink: a is where the routes say, for each peer anew.
	node_ip a <<<'route add 198.51.100.7/32 via 192.168.3.1 dev eth1'
	signald sig
	capture rc wan
	capture ra wan
}

check()
{
	agent a b c
	direct a b
	direct a c
	equal "b's endpoint of a" "$(wg_get b a endpoints)" 203.0.113.1:51820
	equal "c's endpoint of a" "$(wg_get c a endpoints)" 203.0.113.3:51820
	capture_stop rc wan
	capture_stop ra wan
	equal 'packets to b by the second uplink' "$(captured rc wan 'dst host 198.51.100.1' | wc -l)" 0
	equal 'packets to c by the first uplink' "$(captured ra wan 'dst host 198.51.100.7' | wc -l)" 0
}
