# SPDX-License-Identifier: MIT
# An agent with ten connected peers costs next to nothing once they are connected.

peers='p1 p2 p3 p4 p5 p6 p7 p8 p9 p10'

setup()
{
	local p i=10
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	nat_router ra port-restr 203.0.113.1 192.168.1.1/24
	node a
	lan_attach a ra 192.168.1.2/24
	wg_up a 1
	# shellcheck disable=SC2086
	node $peers
	for p in $peers; do
		i=$((i + 1))
		net_attach "$p" eth0 "198.51.100.$i"
		wg_up "$p" "$i"
		wg_pair a "$p"
	done
	signald sig
}

check()
{
	local p
	# shellcheck disable=SC2086
	agent a $peers
	for p in $peers; do within 20 "a: $p connected" peer_is a "$p" connected; done
	for p in $peers; do pings a "$p" 3; done
	sleep 15 # searches end some 10 s after the proof
	idle
}

# kB of a line of /proc/PID/status
memory() { nx a awk -v w="$1:" '$1 == w { print $2 }' "/proc/$(daemon_pid a nat-agent)/status"; }
cpu_ticks() { nx a cat "/proc/$(daemon_pid a nat-agent)/stat" | awk '{ sub(".*\\) ", ""); print $12 + $13 }'; }

ticks_of_ten_seconds()
{
	local before
	before=$(cpu_ticks)
	sleep 10
	echo $(($(cpu_ticks) - before))
}

idle()
{
	local ticks
	ticks=$(ticks_of_ten_seconds)
	# Other load wakes it into a cold cache, and a clock's tick is 10 ms: the smaller of two counts.
	[ "$ticks" -le 5 ] || ticks=$(ticks_of_ten_seconds)
	say "RssAnon $(memory RssAnon) kB, VmRSS $(memory VmRSS) kB, $((ticks * 10)) ms of CPU in 10 s"
	[ "$(memory RssAnon)" -lt 5000 ] || fail 'RssAnon is not below 5 MB'
	[ "$(memory VmRSS)" -lt 20000 ] || fail 'VmRSS is not below 20 MB'
	[ "$ticks" -le 5 ] || fail "CPU is not below 0.5 % of a core: $ticks ticks in 10 s"
}
