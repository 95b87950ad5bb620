# SPDX-License-Identifier: MIT
# The server can't be reached: agents that start then know their peers from the store, and their last known
# candidates connect them.

setup()
{
	inn_hosts fullcone port-restr
}

check()
{
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	agent_stop a
	agent_stop b
	# the address of the server does not even answer
	inn_unreachable
	nx a wg set wg0 peer "$(pub b)" remove
	inn_agent a yes
	event 'both run again, without the server' inn_agent b yes
	took 60 'pings pass' passes a b
	within 60 'status names the trouble' inn_is a unreachable
	equal 'the name' "$(peer a b .name)" bob
	inn_reachable
	within 90 'the server is there again' inn_is a reachable
	pings a b
}
