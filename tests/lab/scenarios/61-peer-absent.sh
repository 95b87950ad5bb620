# SPDX-License-Identifier: MIT
# The peer's agent is not there: the state is `waiting`, and says why; it is connected within 5 s of
# the agent's start. Nothing is written into WireGuard meanwhile.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a
	within 5 'a waits' peer_is a b waiting
	within 5 'a is at the signaling server' signaling_is a connected
	sleep 3
	equal 'state of b' "$(peer a b .state)" waiting
	equal 'path to b' "$(peer a b .path)" null
	expect_reason a b waiting-for-peer
	equal "a's endpoint of b" "$(wg_get a b endpoints)" '(none)'
	equal "a's keepalive for b" "$(wg_get a b persistent-keepalive)" off
	equal 'exit status of status' "$(nx a "$NAT_AGENT" status --control "$AGENT_CONTROL" >/dev/null; echo $?)" 1
	agent b
	within 5 'a: b connected' peer_is a b connected
	direct a b
}
