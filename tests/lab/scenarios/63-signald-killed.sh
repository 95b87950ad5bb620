# SPDX-License-Identifier: MIT
# kill -9 of nat-signald: no tunnel notices, the status says it, and the agents come back to it.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a b
	direct a b
	sleep 1
	stream a b
	signald_kill
	within 5 'a notices' not_signaling a
	[ -n "$(status a '.interfaces[0].signaling.reason // empty')" ] || fail 'no word why signaling is down'
	say "why: $(status a .interfaces[0].signaling.reason)"
	equal 'state of b' "$(peer a b .state)" connected
	sleep 3
	signald_again
	within 30 'a is back' signaling_is a connected
	within 30 'b is back' signaling_is b connected
	sleep 2
	stream_lossless a b
	# And it is of use again: a third party connects.
	agent_stop b
	wg_unlink b
	wg_up b 2
	wg_peer b a
	agent b
	within 20 'b, with a new interface, connected' peer_is b a connected
	pings b a
}

not_signaling() { ! signaling_is "$1" connected; }
