# SPDX-License-Identifier: MIT
# A relay server that answers nonsense, by UDP and TCP: the agent neither crashes nor stalls nor
# believes any of it.

setup()
{
	two_nats port-restr port-restr
	server turn 192.0.2.20
	daemon turn garbage "$NAT_BUILD/tests/lab/garbage" 192.0.2.20 3478
	within 5 'the server serves' grep -q ready "$(log_of turn garbage)"
	cut_path 203.0.113.1 198.51.100.1 # so that the relay is wanted
	turn_use 'turn:user:secret@192.0.2.20:3478?transport=udp' 'turn:user:secret@192.0.2.20:3478?transport=tcp'
	signald sig
}

check()
{
	local i
	agent a b
	for i in 1 2 3 4 5; do
		sleep 1
		expect "a answers ($i)" nx a timeout $((3 * ${LAB_SLOW:-1})) sh -c '"$@" >/dev/null; [ $? -le 1 ]' sh \
			"$NAT_AGENT" status --control "$AGENT_CONTROL"
		relay_is a up && fail 'the relay is believed'
	done
	within 20 'status says so' relay_says a .
	mend_path 203.0.113.1 198.51.100.1
	direct a b 60
	daemon_alive a nat-agent && daemon_alive b nat-agent || fail 'an agent has died'
}
