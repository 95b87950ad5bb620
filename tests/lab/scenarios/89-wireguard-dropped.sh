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
	sleep 6
	stream_lossless a b relayed
	relayed a b
}
