# SPDX-License-Identifier: MIT
# A plain client behind a symmetric NAT: no path leads there but by a relay that the agent holds and that the
# client takes for one more address. innernet alone never connects these.

setup()
{
	inn_hosts port-restr symmetric
	inn_relay
}

check()
{
	inn_plain b
	within 15 'bob has called' bob_called
	event 'the agent starts' inn_agent a yes
	took 110 'pings pass' passes a b
	inn_met a b
	equal "the path" "$(peer a b .path.kind)" relay
	expect 'innernet reads the store' inn_show a
}

bob_called() { [ "$(inn_count bob PUT)" -gt 0 ]; }
