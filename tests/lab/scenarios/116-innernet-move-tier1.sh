# SPDX-License-Identifier: MIT
# The same in tier 1: within 2 s.

setup()
{
	inn_hosts port-restr port-restr
	inn_tier1
	nat_router rc port-restr-rand 203.0.113.3 192.168.3.1/24
}

check()
{
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	within 10 'a is at nat-signald' signaling_is a connected
	stream a b
	sleep 1
	node_ip a <<<'link set dev eth0 down'
	sleep 1
	event 'a is in its new network' lan_attach a rc 192.168.3.2/24 eth1
	took 2 'pings pass' passes a b
	gap a b 4000
	direct a b 30
}
