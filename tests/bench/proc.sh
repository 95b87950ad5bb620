# SPDX-License-Identifier: MIT
# What a daemon of the lab costs. Sourced after lib.sh.

# nanoseconds on a CPU, all threads
cpu_ns() { cat "/proc/$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f", s }'; }

# percent NS SECONDS: of a core
percent() { awk -v ns="$1" -v s="$2" 'BEGIN { printf "%.3f", ns / s / 1e7 }'; }
