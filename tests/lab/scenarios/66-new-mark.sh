# SPDX-License-Identifier: MIT
# The interface gets a firewall mark while the agent runs, and from then on only marked packets have
# a way out, as in a full tunnel: whatever the agent sends must carry it.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a b
	direct a b
	nx a wg set wg0 fwmark 0x77
	sleep 2 # the time it may take to follow
	node_ip a <<-END
		rule add to 10.77.0.0/24 table main priority 10
		rule add to 192.168.1.0/24 table main priority 11
		rule add not fwmark 0x77 table 77 priority 12
		route add unreachable default table 77
	END
	expect 'unmarked packets have no way out' nx a sh -c '! ping -n -q -c 1 -W 1 192.0.2.10'
	pings a b
	# b is new to the NATs and to a: all has to be done again, with the mark.
	agent_stop b
	wg_unlink b
	wg_up b 2
	wg_peer b a
	signald_kill TERM
	signald_again
	agent b
	within 20 'signaling, with the mark' signaling_is a connected
	within 20 'b: a connected' peer_is b a connected
	direct a b
}
