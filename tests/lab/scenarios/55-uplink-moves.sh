# SPDX-License-Identifier: MIT
# A host changes its network while the tunnel is up: its default route moves to another uplink behind
# another NAT, then its address changes. Both ends are direct again, with WireGuard's new endpoint.

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
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
}

check()
{
	agent a b
	direct a b
	equal "b's endpoint of a" "$(wg_get b a endpoints)" 203.0.113.1:51820
	node_ip a <<<'link set dev eth0 down'
	within 15 'b to a: pings pass by the other uplink' passes b a
	within 15 "b has a's endpoint there" peer_at b a 203.0.113.3:51820
	direct a b
	node_ip a <<-END
		addr del 192.168.3.2/24 dev eth1
		addr add 192.168.3.77/24 dev eth1
		route replace default via 192.168.3.1 dev eth1
	END
	within 15 'a to b: pings pass from the new address' passes a b
	direct a b
}
