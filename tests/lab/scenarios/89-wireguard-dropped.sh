# SPDX-License-Identifier: MIT
# Somebody in the middle passes STUN and drops WireGuard: the pair ends on the relay, says so, and
# does not try again and again.

setup()
{
	relay_lab port-restr port-restr
	drops_wireguard ra
}

check()
{
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	# One failure is an accident: the finding needs a second one, and the next try is far off then.
	expect_reason a b relayed-wireguard-blocked 30
	expect_reason b a relayed-wireguard-blocked 30
	stream a b
	sleep 4
	stream_lossless a b relayed
	# Where the machine is slow, half a minute has passed, and this may be amid that next try.
	within 10 'a: b by relay' path_is a b relay
	within 10 'b: a by relay' path_is b a relay
}
