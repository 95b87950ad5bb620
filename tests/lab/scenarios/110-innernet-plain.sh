# SPDX-License-Identifier: MIT
# An agent and a plain innernet client, two port-restricted NATs. The client fetches once a minute, so that its
# half of the work may be that late.

setup()
{
	inn_hosts port-restr port-restr
}

check()
{
	inn_plain b
	within 15 'bob has called' bob_called
	event 'the agent starts' inn_agent a yes
	took 100 'pings pass' passes a b
	inn_met a b
	expect 'innernet reads the store' inn_show a
}

bob_called() { [ "$(inn_count bob PUT)" -gt 0 ]; }
