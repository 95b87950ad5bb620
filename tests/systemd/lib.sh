# SPDX-License-Identifier: MIT
# For the scripts that run inside tests/systemd/boot.
# shellcheck shell=bash
passed=0
failed=0

# check WHAT COMMAND…: one line
check()
{
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "ok ${suite:-systemd}: $what"
		passed=$((passed + 1))
	else
		echo "FAILED ${suite:-systemd}: $what"
		printf '%s\n' "$out" | sed 's/^/    /' | tail -n 30
		journal | sed 's/^/    /'
		failed=$((failed + 1))
	fi
}

journal() { journalctl -q --no-pager -n 15 2>/dev/null; }

# wait_for COMMAND…: until it holds, 30 s at most. [ 'COMMAND' = WORD ] compares its output.
wait_for()
{
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		if [ "$1" = '[' ]; then
			[ "$($2)" "$3" "$4" ] && return 0
		else
			"$@" && return 0
		fi
		sleep 0.05
	done
	echo "not within 30 s: $*"
	return 1
}

# under_ping NETNS ADDRESS COMMAND…: not one ping is lost meanwhile
under_ping()
{
	local netns=$1 address=$2 pid status=0
	shift 2
	ip netns exec "$netns" ping -n -q -c 1 -w 20 "$address" >/dev/null || return 1
	ip netns exec "$netns" ping -n -i 0.02 "$address" >/tmp/ping 2>&1 & # no function: we want its number
	pid=$!
	"$@" || status=1
	sleep 1 # for 50 pings more: what is cut for good has lost them by then
	kill -INT "$pid"
	wait "$pid"
	none_lost /tmp/ping || { echo 'pings were lost:'; tail -n 4 /tmp/ping; status=1; }
	return "$status"
}

# none_lost FILE: every ping was answered, but for the last ones (800 ms, on a machine that has other things to
# do) that were under way as ping ended; under_ping sends 50 more when all is over, so that a way that is cut for
# good is not among these
none_lost()
{
	awk '/icmp_seq=/ && /time=/ { sub(/.*icmp_seq=/, ""); if (!seen[$1 + 0]++) n++; if ($1 + 0 > last) last = $1 + 0 }
		/packets transmitted/ { sent = $1 }
		END { print sent, "sent,", n, "of", last; exit !(n >= 10 && n == last && sent - last <= 40) }' "$1"
}

# install_units FILE…: as meson made them, but for a program in /usr/local/sbin
install_units()
{
	local unit
	for unit; do
		sed 's#[^ =]*/\(nat-[a-z]*\) \(run\|-c\)#/usr/local/sbin/\1 \2#g' "$unit" >"/etc/systemd/system/${unit##*/}"
	done
}

# user_wireguard NAME [NETNS]: a WireGuard in user space listens to wg. Before that wg(8) may not look: it removes
# the socket of one that has bound it and does not listen yet.
user_wireguard() { wait_for listening_wireguard "$@"; }
listening_wireguard() { ${2:+ip netns exec "$2"} ss -Hlx | grep -q "/run/wireguard/$1\.sock"; }

# said UNIT TEXT: in its journal, which may come late
said() { journalctl -q -u "$1" | grep -q -e "$2"; }

# property UNIT NAME
property() { systemctl show -p "$2" --value "$1"; }

# The unit's watchdog, sooner than as shipped; calm_watchdog ends it
hasten_watchdog()
{
	mkdir -p "/run/systemd/system/$1.d"
	printf '[Service]\nWatchdogSec=5\n' >"/run/systemd/system/$1.d/watchdog.conf"
	systemctl daemon-reload
}

calm_watchdog()
{
	rm -f "/run/systemd/system/$1.d/watchdog.conf"
	systemctl daemon-reload
}

# signs_of_life UNIT: two, one after the other
signs_of_life()
{
	local i last
	for i in 1 2; do
		last=$(property "$1" WatchdogTimestampMonotonic)
		wait_for later_sign "$1" "$last" || return 1
	done
}

later_sign() { [ "$(property "$1" WatchdogTimestampMonotonic)" != "$2" ]; }

process_gone() { [ ! -e "/proc/$1" ]; }

end()
{
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	exit
}
