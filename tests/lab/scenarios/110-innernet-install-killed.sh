# SPDX-License-Identifier: MIT
# nat-agent innernet install, killed at any time, or with an answer lost, and run again: it ends well, and the
# server gets to know one key of each member, the one that is on disk.
. "$LAB_SRC/install.sh"

members='m1 m2 m3 m4 m5 m6'

setup()
{
	local n i=10
	internet
	server sig 192.0.2.10
	inn_network sig
	for n in $members dropped hung; do
		server "$n" 203.0.113.$((i++))
		inn_invite "$n" "name-$n" 10.66.1.$i
	done
}

# All of them side by side
check()
{
	local n i=0 pids=() pid
	# the key is entered and the server does not say so: at once, and until it has changed keys
	inn_fault drop peer=name-dropped path=/v1/user/redeem count=1
	inn_fault hang peer=name-hung path=/v1/user/redeem count=1
	for n in $members dropped hung; do
		installer "$n" "$i" &
		pids+=("$!")
		i=$((i + 1))
	done
	for pid in "${pids[@]}"; do wait "$pid" || fail "not installed: $(tail -n 1 "$LAB_DIR"/out.*)"; done
	for n in $members dropped hung; do is_member "$n" "name-$n"; done
}

installer()
{
	local round
	case $1 in
	m*) for round in 1 2; do killed "$1" "$round" "$(moment "$2")"; done ;;
	esac
	install "$1"
}

# killed NODE ROUND SECONDS
killed()
{
	say "$1 is killed after $3 s"
	daemon "$1" "install.$2" "$NAT_AGENT" innernet install --interface wg0 --config-dir "$(inn_dir "$1")" \
		"$(inn_dir "$1")/invite.toml"
	nap "$3"
	daemon_stop "$1" "install.$2" KILL
}

# moment N: between the first instant and the end of the server's 5 s, in turns in
# the first tenth of a second, the first second, and the rest
moment()
{
	case $(($1 % 3)) in
	0) printf '0.%03d' $((RANDOM % 100)) ;;
	1) printf '0.%03d' $((RANDOM % 1000)) ;;
	2) printf '%d.%03d' $((RANDOM % 7)) $((RANDOM % 1000)) ;;
	esac
}
