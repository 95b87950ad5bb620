# SPDX-License-Identifier: MIT
# Tier 1, one NAT symmetric, the other open: direct, though nobody could have told the address.

setup()
{
	inn_hosts symmetric fullcone
	inn_tier1
}

check()
{
	inn_agent a yes
	event 'both agents run' inn_agent b yes
	took 20 'pings pass' passes a b
	direct a b 20
	equal 'the name' "$(peer a b .name)" bob
}
