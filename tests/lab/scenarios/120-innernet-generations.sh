# SPDX-License-Identifier: MIT
# Two agents whose views of each other's generation differ: one is told an old state again and again while the other
# has started anew. When the server tells the truth again, they meet. LAB_LONG=1: the same where both are told so.

setup()
{
	inn_hosts port-restr port-restr
	inn_absent
}

check()
{
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	inn_fault stale peer=alice path=/v1/user/state
	anew alice
	agent_stop b
	nat_reboot rb
	inn_agent b yes
	anew bob
	event 'the server tells the truth' inn_fault off
	took 60 'pings pass' passes a b
	direct a b 30
	[ -n "${LAB_LONG:-}" ] || return 0
	inn_fault stale path=/v1/user/state
	anew alice
	anew bob
	agent_stop a
	agent_stop b
	nat_reboot ra
	nat_reboot rb
	inn_agent a yes
	inn_agent b yes
	anew alice
	anew bob
	event 'the server tells the truth' inn_fault off
	took 60 'pings pass' passes a b
	direct a b 30
}

# anew NAME: until it has asked for the state once more
anew()
{
	local n
	n=$(inn_count "$1" GET /v1/user/state)
	wait_until 70 asked "$1" "$n" || fail "$1 does not ask"
}

asked() { [ "$(inn_count "$1" GET /v1/user/state)" -gt "$2" ]; }
