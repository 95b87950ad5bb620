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
		echo "ok systemd: $what"
		passed=$((passed + 1))
	else
		echo "FAILED systemd: $what"
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

process_gone() { [ ! -e "/proc/$1" ]; }

end()
{
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	exit
}
