# SPDX-License-Identifier: MIT
# Two agents that own their innernet interfaces, two port-restricted NATs, nat-signald beside the server:
# the agents find it there by themselves (tier 1). innernet's own tools go on reading what the agents keep.

setup()
{
	inn_hosts port-restr port-restr
	inn_tier1
}

check()
{
	event 'the agents start' inn_agent a yes
	inn_agent b yes
	took 20 'pings pass' passes a b
	direct a b
	equal "a's signaling" "$(status a .interfaces[0].signaling.url)" ws://10.66.0.1:51821
	within 10 'a is at nat-signald' signaling_is a connected
	equal 'the name' "$(peer a b .name)" bob
	equal "the server's name" "$(peer a sig .name)" innernet-server
	equal 'MTU' "$(nx a ip -o link show dev wg0 | sed 's/.* mtu \([0-9]*\) .*/\1/')" 1280
	equal 'addresses of bob' "$(wg_get a b allowed-ips)" 10.66.1.2/32
	expect 'innernet reads the store' inn_show a
	equal 'names of the peers' "$(grep '^[0-9]' "$(inn_hosts_file a)" | paste -sd ,)" \
		'10.66.0.1 innernet-server.wg0.wg,10.66.1.1 alice.wg0.wg,10.66.1.2 bob.wg0.wg'
	equal 'keys stay' "$(nx a wg show wg0 public-key)" "$(pub a)"
	agent_stop a
	pings b a
	expect 'innernet reads what was left' inn_show a
}
