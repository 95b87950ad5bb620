# SPDX-License-Identifier: MIT
# kill -9 of the agents while the tunnel is up: traffic goes on, and when they are back nothing
# flaps. Nothing needs cleaning by hand.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a b
	direct a b
	sleep 1 # lets the switch to the proved path settle before every endpoint counts
	stream a b
	stream b a
	agent_stop a KILL
	sleep 2
	equal 'exit status of status without an agent' \
		"$(nx a "$NAT_AGENT" status --control "$AGENT_CONTROL" >/dev/null 2>&1; echo $?)" 3
	agent a
	within 5 'a: b connected' peer_is a b connected
	sleep 2
	agent_stop a KILL
	agent_stop b KILL
	sleep 2
	agent b a
	within 5 'a: b connected' peer_is a b connected
	within 5 'b: a connected' peer_is b a connected
	agent_stop a TERM
	sleep 1
	agent a
	within 5 'a: b connected' peer_is a b connected
	sleep 2
	stream_lossless a b
	stream_lossless b a
	direct_one a b
	direct_one b a
}
