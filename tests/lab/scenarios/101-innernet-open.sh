# SPDX-License-Identifier: MIT
# Two port-restricted NATs. Two agents that own their innernet interfaces, with nat-signald beside the server,
# where they find it by themselves (tier 1); with an unmodified innernet server alone, where they meet by what
# the candidates carry (tier 0); an agent and a plain client. innernet's own tools go on reading what the agents
# keep.

setup()
{
	inn_hosts port-restr port-restr
	inn_tier1
}

check()
{
	tier1
	signald_kill
	inn_fresh
	tier0
	quiet
	inn_fresh
	inn_plain_meets 60 100
}

tier1()
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

tier0()
{
	inn_agent a yes
	event 'both agents run' inn_agent b yes
	took 30 'pings pass' passes a b
	direct a b 20
	expect_reason a b direct-unknown-nat
	equal 'the name' "$(peer a b .name)" bob
	expect 'alice has a beacon first' beacon_first alice
	expect 'and no more than ten candidates' few alice
	expect 'innernet reads the store' inn_show a
}

beacon_first() { inn_admin show "$1" | sed -n 2p | grep -q '^candidate \[100::[0-9a-f:]*\]:28225$'; }
few() { [ "$(inn_admin show "$1" | grep -c ^candidate)" -le 10 ]; }

# A network at rest is not asked much.
quiet()
{
	local before
	sleep 10
	before=$(inn_count alice)
	sleep 12
	[ $(($(inn_count alice) - before)) -le 4 ] || fail "alice calls $(($(inn_count alice) - before)) times in 12 s"
}
