# SPDX-License-Identifier: MIT
# The relay server in use dies under traffic: the other one takes over. Both are dead: the pair
# is not connected, and says so. One comes back, and so does the tunnel.

setup()
{
	relay_lab symmetric symmetric
	server turn2 192.0.2.21
	turn_server turn2 user:secret
}

used() { case $(relay_address a b) in 192.0.2.20:*) echo turn ;; 192.0.2.21:*) echo turn2 ;; esac; }

check()
{
	local first second=turn
	agent a b
	relayed a b
	first=$(used)
	[ "$first" = turn ] && second=turn2
	stream a b
	sleep 3
	event "the server in use ($first) is killed" turn_kill "$first"
	took 15 'pings pass' passes a b
	relayed a b
	equal 'the server in use' "$(used)" "$second"
	gap a b 10000
	event 'the other one is killed' turn_kill "$second"
	# Idle, the path is not asked often: WireGuard's own silence counts.
	stream a b
	took 60 'a knows it' not_connected a b
	event "$first comes back" turn_again "$first"
	took 60 'pings pass' passes a b
	relayed a b 30
}

not_connected() { ! peer_is "$1" "$2" connected; }
