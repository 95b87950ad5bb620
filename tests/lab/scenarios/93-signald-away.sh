# SPDX-License-Identifier: MIT
# kill -9 of nat-signald while a pair is relayed: the tunnel does not notice, and the state
# is one again when it is back: when a direct path has become possible, another search finds it.

setup()
{
	relay_lab symmetric symmetric
}

check()
{
	agent a b
	relayed a b
	sleep 1
	stream a b
	signald_kill
	within 5 'a notices' not_signaling a
	sleep 2
	signald_again
	within 30 'a is back' signaling_is a connected
	within 30 'b is back' signaling_is b connected
	sleep 2
	stream_lossless a b relayed
	relayed a b
	event 'the NAT of a opens' nat_open ra
	# It would look by itself in a while (relay-symmetric).
	expect 'a looks anew' nx a "$NAT_AGENT" restart "$(pub b)" --control "$AGENT_CONTROL"
	took 60 'a: direct' path_is a b direct
	direct a b
}

not_signaling() { ! signaling_is "$1" connected; }
