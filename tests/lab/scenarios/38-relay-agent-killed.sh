# SPDX-License-Identifier: MIT
# kill -9 of the agent that bridges a relayed peer: the tunnel stands still (data passes that agent),
# and is back a moment after its start. Then the other end's.

setup()
{
	relay_lab symmetric symmetric
}

check()
{
	local n
	agent a b
	relayed a b
	for n in a b; do
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
		case $(wg_get "$n" "$([ "$n" = a ] && echo b || echo a)" endpoints) in
		127.*) fail "$n leaves a loopback endpoint behind" ;;
		esac
	done
}
