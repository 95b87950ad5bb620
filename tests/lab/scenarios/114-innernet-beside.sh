# SPDX-License-Identifier: MIT
# innernet's daemon and the agent on the same hosts (beside): the agent's endpoints survive the daemon's
# fetches, which erase the beacon each time, and the daemon is not disturbed.

setup()
{
	inn_hosts port-restr port-restr
}

check()
{
	inn_plain a --interval 2 --no-nat-traversal
	inn_plain b --interval 2 --no-nat-traversal
	inn_agent a beside
	event 'all of them run' inn_agent b beside
	took 60 'pings pass' passes a b
	direct a b 30
	equal 'the name' "$(peer a b .name)" bob
	stream a b
	sleep 10
	gap a b 3000
	direct a b 5
	expect 'alice goes on fetching' not_failed a
	expect 'innernet reads its store' inn_show a
}

not_failed() { ! grep -q '^failed' "$(log_of "$1" inn-plain)"; }
