# SPDX-License-Identifier: MIT
# A host moves into another network, behind another NAT: connected again within 5 s in tier 1; when it moves back,
# within 15 s in tier 0, where innernet needs minutes.

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
	moves 'a is in its new network' 5 eth0 lan_attach a rc 192.168.3.2/24 eth1
	signald_kill
	inn_fresh
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	moves 'a is back' 15 eth1 comes_back
}

# moves WHAT SECONDS INTERFACE COMMAND…: the interface goes down, and after a second the command is done
moves()
{
	local what=$1 seconds=$2
	stream a b
	sleep 1
	node_ip a <<<"link set dev $3 down"
	shift 3
	sleep 1
	event "$what" "$@"
	took "$seconds" 'pings pass' passes a b
	gap a b $(((seconds + 2) * 1000))
	direct a b 30
}

comes_back()
{
	node_ip a <<-END
		link set dev eth0 up
		route add default via 192.168.1.1 dev eth0 metric 100
	END
}
