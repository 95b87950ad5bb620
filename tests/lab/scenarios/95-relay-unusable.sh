# SPDX-License-Identifier: MIT
# Relay servers that are of no use: wrong secret, no such name, nobody there, nobody listening. Status
# says so of each, and the pair is direct as soon as it can be.

setup()
{
	relay_lab port-restr port-restr
	cut_path 203.0.113.1 198.51.100.1 # so that the relay is wanted
	turn_use 'turn:user:opensesame@192.0.2.20:3478?transport=udp' 'turn:user:secret@nowhere.lab.test:3478' \
		'turn:user:secret@192.0.2.99:3478' 'turn:user:secret@192.0.2.10:3479?transport=tcp'
}

check()
{
	agent a b
	within 30 'a: each server has a problem' problems a 4
	expect_reason a b failed-checks 60
	within 60 'and why no relay' no_relay_failed
	expect 'credentials are named' relay_says a 'credential\|401\|unauthori'
	within 30 "each problem is the server's own" own_problems
	expect 'no secret is shown' sh -c '! grep -q "opensesame\|:secret" "$@"' sh "$(log_of a nat-agent)" <(status a)
	mend_path 203.0.113.1 198.51.100.1
	direct a b 60
}

no_relay_failed() { [ "$(peer a b .no_relay)" = failed ]; }
own_problems() { [ "$(status a '[.interfaces[0].relays[].problem] | unique | length')" = 4 ]; }
problems() { [ "$(status "$1" '[.interfaces[0].relays[] | select(.problem != null)] | length')" = "$2" ]; }
