# SPDX-License-Identifier: MIT
# A plain client behind a symmetric NAT: no path leads there but by a relay that the agent holds and that the
# client takes for one more address. innernet alone never connects these. Both NATs are symmetric; LAB_LONG=1: then
# the agent's is port-restricted.

setup()
{
	inn_hosts symmetric symmetric
	inn_relay
}

check()
{
	inn_plain_meets 60 110
	within 10 "a: by relay" path_is a b relay
	expect_reason a b relayed-no-agent
	[ -n "${LAB_LONG:-}" ] || return 0
	nat_becomes ra port-restr 203.0.113.1
	inn_fresh
	inn_plain_meets 60 110
	within 10 "a: by relay" path_is a b relay
}
