# SPDX-License-Identifier: MIT
# A host moves into another network, behind another NAT: connected again within 15 s in tier 0, where innernet
# needs minutes.

setup()
{
	inn_hosts port-restr port-restr
	nat_router rc port-restr-rand 203.0.113.3 192.168.3.1/24
}

check()
{
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	stream a b
	sleep 1
	node_ip a <<<'link set dev eth0 down'
	sleep 1
	event 'a is in its new network' lan_attach a rc 192.168.3.2/24 eth1
	took 15 'pings pass' passes a b
	gap a b 17000
	direct a b 30
}
