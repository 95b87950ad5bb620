# SPDX-License-Identifier: MIT
# Tier 1, both NATs symmetric: by a relay.

setup()
{
	inn_hosts symmetric symmetric
	inn_tier1
	inn_relay
}

check()
{
	inn_agent a yes
	event 'both agents run' inn_agent b yes
	took 20 'pings pass' passes a b
	relayed a b 20
	equal 'the name' "$(peer a b .name)" bob
}
