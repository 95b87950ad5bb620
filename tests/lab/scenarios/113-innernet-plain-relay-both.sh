# SPDX-License-Identifier: MIT
# The same, both NATs symmetric.

setup()
{
	inn_hosts symmetric symmetric
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
