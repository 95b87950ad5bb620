# SPDX-License-Identifier: MIT
# Two agents whose views of each other's generation differ: one is told an old state again and again while the
# other has started anew. When the server tells the truth again, they meet.

setup()
{
	inn_hosts port-restr port-restr
}

check()
{
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	inn_fault stale peer=alice path=/v1/user/state
	wait_until 70 asked_anew alice || fail 'alice does not ask'
	agent_stop b
	nat_reboot rb
	inn_agent b yes
	sleep 10
	event 'the server tells the truth' inn_fault off
	took 60 'pings pass' passes a b
	direct a b 30
}

asked_anew()
{
	LAB_ASKED=${LAB_ASKED:-$(inn_count "$1" GET)}
	[ "$(inn_count "$1" GET)" -gt "$LAB_ASKED" ]
}
