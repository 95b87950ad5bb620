# SPDX-License-Identifier: MIT
# kill -9 of the agent that bridges a relayed peer: the tunnel stands still (data passes that agent),
# and is back a moment after its start. LAB_LONG=1: then the other end's.

setup()
{
	relay_lab symmetric symmetric
}

other() { [ "$1" = a ] && echo b || echo a; }

check()
{
	local n bridge
	agent a b
	relayed a b
	bridge=a
	[[ $(wg_get a b endpoints) = 127.* ]] || bridge=b
	for n in $bridge ${LAB_LONG:+$(other $bridge)}; do
		sleep 1
		agent_stop "$n" KILL
		sleep 1
		event "the agent of $n is back" agent "$n"
		took 10 'pings pass' passes a b
		relayed a b
	done
	for n in a b; do
		agent_stop "$n" TERM
		# What SaveConfig would write must not be a bridge that is gone.
		case $(wg_get "$n" "$(other "$n")" endpoints) in
		127.*) fail "$n leaves a loopback endpoint behind" ;;
		esac
	done
}
