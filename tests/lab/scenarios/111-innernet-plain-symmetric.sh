# SPDX-License-Identifier: MIT
# An agent behind a symmetric NAT, a plain client behind an open one.

setup()
{
	inn_hosts symmetric fullcone
}

check()
{
	inn_plain b
	within 15 'bob has called' bob_called
	event 'the agent starts' inn_agent a yes
	took 30 'pings pass' passes a b
	inn_met a b
	expect 'innernet reads the store' inn_show a
}

bob_called() { [ "$(inn_count bob PUT)" -gt 0 ]; }
