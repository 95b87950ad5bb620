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
	took 8 'pings pass' passes a b
	relayed a b
	for n in a b; do expect "$n says why" grep -q -i 'wireguard' <<<"$(peer "$n" "$([ "$n" = a ] && echo b || echo a)" .why)"; done
	stream a b
	sleep 6
	stream_lossless a b
	relayed a b
}
