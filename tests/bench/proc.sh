# SPDX-License-Identifier: MIT
# What a daemon of the lab costs. Sourced after lib.sh.

# nanoseconds on a CPU, all threads
cpu_ns() { cat "/proc/$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f", s }'; }

# percent NS SECONDS: of a core
percent() { awk -v ns="$1" -v s="$2" 'BEGIN { printf "%.3f", ns / s / 1e7 }'; }

# memory PID NAME: kB
memory() { awk -v w="$2:" '$1 == w { print $2 }' "/proc/$1/status" "/proc/$1/smaps_rollup" | head -n 1; }

wakeups() { awk '/^voluntary_ctxt_switches/ { s += $2 } END { print s }' "/proc/$1"/task/*/status; }
