# SPDX-License-Identifier: MIT
# Somebody in the middle passes STUN and drops WireGuard: the pair ends on the relay, says so, and
# does not try again and again.

setup()
{
	relay_lab port-restr port-restr
	drops_wireguard ra
}

says_why() { [[ $(peer "$1" "$([ "$1" = a ] && echo b || echo a)" .why) = *"a firewall drops WireGuard"* ]]; }

check()
{
	event 'both agents start' agent a b
	took 8 'pings pass' passes a b
	relayed a b
	# One failure is an accident: the finding needs a second one, and the next try is far off then.
	for n in a b; do took 30 "$n says why" says_why "$n"; done
	stream a b
	sleep 6
	stream_lossless a b
	relayed a b
}
