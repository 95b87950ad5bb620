# SPDX-License-Identifier: MIT
# The same with an unmodified innernet server alone: the agents meet by what the candidates carry (tier 0).

setup()
{
	inn_hosts port-restr port-restr
}

check()
{
	inn_agent a yes
	event 'both agents run' inn_agent b yes
	took 30 'pings pass' passes a b
	direct a b 20
	equal 'the name' "$(peer a b .name)" bob
	expect 'alice has a beacon first' beacon_first alice
	expect 'and no more than ten candidates' few alice
	expect 'innernet reads the store' inn_show a
	quiet
}

beacon_first() { inn_admin show "$1" | sed -n 2p | grep -q '^candidate \[100::[0-9a-f:]*\]:28225$'; }
few() { [ "$(inn_admin show "$1" | grep -c ^candidate)" -le 10 ]; }

# A network at rest is not asked much.
quiet()
{
	local before
	sleep 15
	before=$(inn_count alice)
	sleep 15
	[ $(($(inn_count alice) - before)) -le 3 ] || fail "alice calls $(($(inn_count alice) - before)) times in 15 s"
}
