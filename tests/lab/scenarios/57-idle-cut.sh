# SPDX-License-Identifier: MIT
# A path at rest that no data ever passed gets its mapping's keepalive and next to nothing else. It dies in silence;
# when traffic starts, the hole is counted from its first packet.

setup()
{
	relay_lab port-restr port-restr
}

check()
{
	agent a b
	within 10 'a: b connected, direct' path_is a b direct
	within 10 'b: a connected, direct' path_is b a direct
	sleep 18 # searches end some 10 s after the proof
	rest
	cut_path 203.0.113.1 198.51.100.1
	sleep 2
	event 'the first packet' stream a b
	took 10 'pings pass' passes a b
	sleep 1
	# A ping every 50 ms, and those of the beginning are lost: the first answer's number is the hole.
	stream_end a b
	say "the hole: $(($(first_answer) * 50)) ms"
	[ "$(first_answer)" -le $((100 * ${LAB_SLOW:-1})) ] || fail 'the hole is longer than 5 s'
	relayed a b
}

first_answer() { sed -n 's/.*icmp_seq=\([0-9]*\) .*time=.*/\1/p' "$(log_of a stream.b)" | head -n 1; }

# What leaves either NAT towards the other one
rest()
{
	local seconds=8 stun all
	[ -z "${LAB_LONG:-}" ] || seconds=60
	capture net ra 'udp and host 203.0.113.1 and host 198.51.100.1'
	sleep "$seconds"
	capture_stop net ra
	stun=$(captured net ra "$LAB_STUN" | wc -l)
	all=$(captured net ra udp | wc -l)
	say "$seconds s of rest: $all packets between the two, $stun of them STUN"
	[ "$stun" -le 4 ] || fail 'a path at rest gets STUN'
	# Until the NATs' timeout is known, a keepalive leaves each end each 4 s.
	[ "$all" -le $((8 + seconds / 2)) ] || fail 'a path at rest gets more than keepalives'
}
