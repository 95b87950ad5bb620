# SPDX-License-Identifier: MIT
# A host leaves its network, has none for 3 s, and comes up in another one, behind another NAT.

setup()
{
	relay_lab port-restr port-restr
	nat_router rc port-restr-rand 203.0.113.3 192.168.3.1/24
}

check()
{
	agent a b
	direct a b
	stream a b
	sleep 1
	node_ip a <<<'link set dev eth0 down'
	sleep 3
	event 'a is in its new network' lan_attach a rc 192.168.3.2/24 eth1
	took 10 'pings pass' passes a b
	gap a b 9000
	direct a b 30
}
