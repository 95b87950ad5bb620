# SPDX-License-Identifier: MIT
# The laboratory: nodes, daemons, deadlines and the end of it all. Sourced by bash (set -u).
#
# A node is a network, mount, PID and UTS namespace with one holder (node.c) as its PID 1. When it
# dies, the kernel kills whatever runs in the node and takes its interfaces, rules and mounts
# along, so that cleaning up means ending the holders, and nothing else on the machine is touched.
# Each node has a private /run: WireGuard's UAPI socket, control sockets, locks, states. All
# nodes see the machine's other files, read them, and write below $LAB_DIR only.
#
# A scenario's holders die with the scenario (parent death signal), even after SIGKILL. A lab made
# by hand (LAB_KEEP=1) lives on until `lab down`. What must be ended is recorded in
# /run/nat-lab/NAME/: only root writes there, and a PID counts together with its start time.

# Times are read and written with a point, wherever the machine stands.
export LC_ALL=C.UTF-8
# What `su` leaves out for root.
export PATH=$PATH:/usr/sbin:/sbin

LAB_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_ROOT=$(cd "$LAB_SRC/../.." && pwd)
LAB_RUN=${LAB_RUN:-/run/nat-lab}
NAT_BUILD=${NAT_BUILD:-$LAB_ROOT/build}
NAT_AGENT=${NAT_AGENT:-$NAT_BUILD/agent/nat-agent}
NAT_SIGNALD=${NAT_SIGNALD:-$NAT_BUILD/signaling/nat-signald}
LAB_NODE=$NAT_BUILD/tests/lab/node

# shellcheck source=net.sh
. "$LAB_SRC/net.sh"
# shellcheck source=nat.sh
. "$LAB_SRC/nat.sh"
# shellcheck source=trouble.sh
. "$LAB_SRC/trouble.sh"
# shellcheck source=turn.sh
. "$LAB_SRC/turn.sh"
# shellcheck source=wg.sh
. "$LAB_SRC/wg.sh"
# shellcheck source=innernet.sh
. "$LAB_SRC/innernet.sh"
# shellcheck source=portmap.sh
. "$LAB_SRC/portmap.sh"
# shellcheck source=expect.sh
. "$LAB_SRC/expect.sh"
# shellcheck source=measure.sh
. "$LAB_SRC/measure.sh"
# shellcheck source=metrics.sh
. "$LAB_SRC/metrics.sh"

# Says something in the scenario's log, with the seconds since lab_init.
say()
{
	local now=${EPOCHREALTIME/./}
	printf '%7.3f  %s\n' "$(((now - LAB_T0) / 1000))e-3" "$*"
}

# Ends the scenario as failed. Everything that a test asserts goes through here.
fail()
{
	say "FAILED: $*" >&2
	exit 1
}

# microseconds, for measuring
now_us() { printf '%s' "${EPOCHREALTIME/./}"; }

# lab_init [NAME]: a fresh lab; LAB_DIR holds logs, keys and configurations, root only.
lab_init()
{
	[ "$(id -u)" = 0 ] || { echo "lab: needs root (network namespaces): use sudo" >&2; exit 2; }
	[ -e /dev/net/tun ] || modprobe tun || { echo "lab: no /dev/net/tun, and no module for it" >&2; exit 1; }
	LAB_NAME=${1:-nl$$}
	LAB_T0=${EPOCHREALTIME/./}
	LAB_DIR=${LAB_LOGS:-$(mktemp -d "${TMPDIR:-/tmp}/nat-lab.XXXXXX")}
	mkdir -p "$LAB_DIR/nodes" "$LAB_DIR/log" "$LAB_DIR/conf" "$LAB_DIR/pid"
	mkfifo "$LAB_DIR/ready" "$LAB_DIR/nap"
	(umask 077 && mkdir -p "$LAB_RUN" && mkdir "$LAB_RUN/$LAB_NAME") ||
		{ echo "lab: '$LAB_NAME' exists already: tests/lab/lab down $LAB_NAME" >&2; exit 1; }
	echo "$LAB_DIR" >"$LAB_RUN/$LAB_NAME/dir"
	echo "$LAB_T0" >"$LAB_RUN/$LAB_NAME/t0"
	proc_id $$ >"$LAB_RUN/$LAB_NAME/owner"
	: >"$LAB_RUN/$LAB_NAME/holders"
	if [ -z "${LAB_KEEP:-}" ]; then
		trap 'lab_end' EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM HUP
	fi
}

# lab_open NAME: take up a lab that another command has made
lab_open()
{
	LAB_NAME=$1
	[ -f "$LAB_RUN/$LAB_NAME/dir" ] ||
		{ echo "lab: no lab named '$LAB_NAME': tests/lab/lab up" >&2; exit 1; }
	LAB_DIR=$(<"$LAB_RUN/$LAB_NAME/dir")
	LAB_T0=$(<"$LAB_RUN/$LAB_NAME/t0")
}

# "PID STARTTIME": names a process for good, where a bare PID may come back as another's.
proc_id()
{
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	# The name in parentheses may hold anything, so count after the last one.
	set -- "$1" ${stat##*) }
	echo "$1 ${21}"
}

same_proc() { [ "$(proc_id "$1" || true)" = "$1 $2" ]; }

# Ends the lab's processes and forgets them. The logs stay; whoever made LAB_DIR removes it.
lab_end()
{
	local status=$? pid start
	trap '' INT TERM HUP
	trap - EXIT
	[ -z "${LAB_AT_END:-}" ] || $LAB_AT_END || true
	lab_kill "$LAB_NAME"
	return "$status"
}

# lab_kill NAME: for lab_end and for a later `down`
lab_kill()
{
	local run=$LAB_RUN/${1:?} pid start
	[ -f "$run/holders" ] || return 0
	while read -r pid start; do
		# gone already: with the one before it, whose child it watched
		! same_proc "$pid" "$start" || kill -9 "$pid" || true
	done <"$run/holders" 2>/dev/null
	while read -r pid start; do
		while same_proc "$pid" "$start"; do sleep 0.01; done
	done <"$run/holders"
	rm -f "$run/holders" "$run/owner" "$run/dir" "$run/t0"
	rmdir "$run"
	rmdir "$LAB_RUN" 2>/dev/null || true
}

# node NAME…: all at once, because each takes some milliseconds
node()
{
	local n name pid
	[ -x "$LAB_NODE" ] || fail "$LAB_NODE is not built: NAT_BUILD names the build directory"
	mkdir "${@/#/$LAB_DIR/nodes/}"
	exec 7<>"$LAB_DIR/ready" # stays open: a pipe that nobody holds forgets
	for n; do
		[ "${#n}" -le 13 ] || fail "node name '$n' is longer than 13 characters"
		"$LAB_NODE" hold "$LAB_NAME-$n" "$LAB_DIR/ready" </dev/null >"$LAB_DIR/log/$n.holder" 2>&1 7>&- &
		disown
	done
	for n; do
		read -r -t $((20 * ${LAB_SLOW:-1})) name pid <&7 ||
			fail "a node of $* did not start: $(cat "$LAB_DIR"/log/*.holder)"
		echo "$pid" >"$LAB_DIR/nodes/${name#"$LAB_NAME-"}/pid"
		proc_id "$pid" >>"$LAB_RUN/$LAB_NAME/holders"
	done
	exec 7>&-
}

node_pid()
{
	local pid
	find_node "$1"
	printf '%s' "$pid"
}

# find_node NODE: into the caller's pid. A fork costs more than most of what scenarios do, so what
# they do at every turn has none but the command's own.
find_node() { read -r pid <"$LAB_DIR/nodes/$1/pid" || fail "no node named '$1'"; }

# nx NODE CMD…: runs a command inside the node
nx()
{
	local pid
	find_node "$1"
	shift
	nsenter -t "$pid" -n -m -p -u -- "$@"
}

# daemon NODE NAME CMD…: starts it in the background; its log is $LAB_DIR/log/NODE.NAME
daemon()
{
	local node=$1 name=$2 pid
	find_node "$node"
	shift 2
	rm -f "$LAB_DIR/pid/$node.$name"
	"$LAB_NODE" daemon "$pid" "$LAB_DIR/pid/$node.$name" "$@" </dev/null >>"$LAB_DIR/log/$node.$name" 2>&1 &
	disown # no word from the shell when it is killed
	wait_until 10 test -s "$LAB_DIR/pid/$node.$name" || fail "$name did not start on $node: $(tail -n 3 "$LAB_DIR/log/$node.$name")"
}

daemon_pid() { printf '%s' "$(<"$LAB_DIR/pid/$1.$2")"; }
daemon_alive()
{
	local inner
	read -r inner <"$LAB_DIR/pid/$1.$2"
	nx "$1" kill -0 "$inner" 2>/dev/null
}
log_of() { printf '%s' "$LAB_DIR/log/$1.$2"; }

# daemon_stop NODE NAME [SIGNAL]: returns when it is gone
daemon_stop()
{
	nx "$1" kill "-${3:-TERM}" "$(daemon_pid "$1" "$2")" 2>/dev/null || return 0
	wait_until 10 daemon_gone "$1" "$2" ||
		fail "$2 on $1 still runs 10 s after SIG${3:-TERM}"
}

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

# daemon_pause NODE NAME: it stands still
daemon_pause() { nx "$1" kill -STOP "$(daemon_pid "$1" "$2")"; }
daemon_resume() { nx "$1" kill -CONT "$(daemon_pid "$1" "$2")"; }

daemon_gone() { ! daemon_alive "$@"; }

# wait_until SECONDS CMD…: polls. LAB_SLOW multiplies all deadlines, for a slow machine.
wait_until()
{
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000 * ${LAB_SLOW:-1}))
	shift
	poll_until "$end" "$@"
}

# poll_until MICROSECOND CMD…: often at first, then so seldom that asking is not what loads the machine
poll_until()
{
	local end=$1 turns=0
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		case $((++turns)) in
		[1-5]) nap 0.02 ;;
		[0-9] | 1[0-4]) nap 0.1 ;;
		[1-3][0-9]) nap 0.25 ;;
		*) nap 0.5 ;;
		esac
	done
}

# nap SECONDS: sleeps without a process
nap() { read -r -t "$1" <>"$LAB_DIR/nap" || true; }
