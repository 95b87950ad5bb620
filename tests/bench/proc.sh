# SPDX-License-Identifier: MIT
# What a daemon of the lab costs. Sourced after lib.sh.

# PIDs as the machine sees them: the node's own numbers mean nothing in our /proc
outer_pid()
{
	local pid inner
	inner=$(daemon_pid "$1" "$2")
	for pid in $(pgrep --ns "$(node_pid "$1")" --nslist pid); do
		[ "$(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status")" = "$inner" ] && echo "$pid" && return
	done
	fail "$2 on $1 does not run"
}

# nanoseconds on a CPU, all threads
cpu_ns() { cat "/proc/$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f", s }'; }

# percent NS SECONDS: of a core
percent() { awk -v ns="$1" -v s="$2" 'BEGIN { printf "%.3f", ns / s / 1e7 }'; }
