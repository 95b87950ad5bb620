# SPDX-License-Identifier: MIT
# One NAT symmetric, the other open: direct, though nobody could have told the address; in tier 1, in tier 0,
# and with a plain client behind the open one.

setup()
{
	inn_hosts symmetric fullcone
	inn_tier1
}

check()
{
	both 'tier 1' 20
	signald_kill
	inn_fresh
	both 'tier 0' 30
	inn_fresh
	inn_plain_meets 60 30
}

# both TIER SECONDS
both()
{
	inn_agent a yes
	event "$1: both agents run" inn_agent b yes
	took "$2" 'pings pass' passes a b
	direct a b 20
	equal 'the name' "$(peer a b .name)" bob
}
