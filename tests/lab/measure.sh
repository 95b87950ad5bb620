# SPDX-License-Identifier: MIT
# How long things take, and what a stream of pings has seen. Sourced by lib.sh.

# event WHAT CMD…: does it; took counts from here
event()
{
	local what=$1
	shift
	LAB_EVENT_US=${EPOCHREALTIME/./}
	"$@" || fail "$what"
	say "event: $what"
}

# took SECONDS WHAT CMD…: waits for it; LAB_TOOK_MS is how long after the event it came true. Any
# number of these may follow one event, each counts from there.
took()
{
	local limit=$1 what=$2 end
	shift 2
	end=$((LAB_EVENT_US + limit * 1000000 * ${LAB_SLOW:-1}))
	poll_until "$end" "$@" || fail "not within $limit s of the event: $what"
	LAB_TOOK_MS=$(((${EPOCHREALTIME/./} - LAB_EVENT_US) / 1000))
	say "$what ($LAB_TOOK_MS ms after the event)"
}

# slowly SECONDS: so many times longer on a slow machine
slowly() { awk -v s="$1" -v n="${LAB_SLOW:-1}" 'BEGIN { print s * n }'; }

# stream A B [INTERVAL]: a ping every 50 ms from now on, and every value that WireGuard's endpoint
# takes
stream()
{
	daemon "$1" "stream.$2" ping -D -n -i "${3:-0.05}" "$(wg_ip "$2")"
	daemon "$1" "watch.$2" sh -c 'while :; do wg show wg0 endpoints; sleep "$0"; done' "$(slowly 0.1)"
}

stream_end()
{
	daemon_stop "$1" "watch.$2"
	daemon_stop "$1" "stream.$2" INT
}

stream_forget() { rm -f "$(log_of "$1" "stream.$2")" "$(log_of "$1" "watch.$2")"; }

# stream_counts A B: of a stream that has ended: LAB_SENT, LAB_LOST (before the last answer: what
# was on its way at the end is not lost), LAB_LAST (the last answered), LAB_GAP_MS: the longest time
# without an answer, less the interval; LAB_AGE_MS: how long the last answer was ago at the end
stream_counts()
{
	local log received
	log=$(log_of "$1" "stream.$2")
	LAB_SENT=$(sed -n 's/ packets transmitted.*//p' "$log")
	read -r received LAB_LAST LAB_GAP_MS LAB_AGE_MS < <(sed -n 's/^\[\([0-9.]*\)\].*icmp_seq=\([0-9]*\) .*time=.*/\1 \2/p' "$log" |
		awk -v sent="${LAB_SENT:-0}" '!seen[$2]++ {
				n++
				if ($2 > last) last = $2
				if (n == 1) { first = $1; first_seq = $2 }
				else if ($1 - before > gap) { gap = $1 - before }
				before = $1
			}
			END {
				if (last > first_seq) interval = (before - first) / (last - first_seq)
				else interval = 1000 # nothing to go by: there is no stream
				print n + 0, last + 0, int((gap - interval) * 1000), int((sent - last) * interval * 1000)
			}')
	LAB_LOST=$((LAB_LAST - received))
	[ "${LAB_SENT:-0}" -gt 10 ] || fail "the ping stream did not end well: $(tail -n 2 "$log")"
}

# gap A B [MS]: ends the stream: how long its longest hole was, how many were lost, which must not
# be more than MS
gap()
{
	stream_end "$1" "$2"
	stream_counts "$1" "$2"
	say "$1 → $2: longest hole $LAB_GAP_MS ms, $LAB_LOST of $LAB_LAST pings lost, endpoint changed $(flaps "$1" "$2") times"
	[ "$LAB_GAP_MS" -le $((${3:-1000000} * ${LAB_SLOW:-1})) ] || fail "the hole is longer than $3 ms"
	stream_forget "$1" "$2"
}

# stream_lossless A B [CHANGES]: ends the stream: not one ping lost, and the endpoint changed that
# often (default: never). CHANGES is `relayed` for never away from the relay, and `upgrade` for once
# from relayed to direct and never back: among relayed pairs a better one (by 20 ms, which load makes
# easily) may be taken at any time.
stream_lossless()
{
	stream_end "$1" "$2"
	stream_counts "$1" "$2"
	[ "$LAB_LOST" = 0 ] || fail "pings were lost: $LAB_LOST of the first $LAB_LAST, $LAB_SENT sent"
	[ "$LAB_AGE_MS" -lt $((500 * ${LAB_SLOW:-1})) ] || fail "no answer to the last $((LAB_SENT - LAB_LAST)) pings"
	no_flap "$1" "$2" "${3:-0}"
	say "not one of $LAB_LAST pings lost"
	stream_forget "$1" "$2"
}

# flaps A B [KINDS]: how often the endpoint that A has for B became another while watched; with KINDS:
# how often it changed between relayed and direct
flaps()
{
	awk -F '\t' -v key="$(pub "$2")" -v kinds="${3:-}" '
		$1 == key { now = kinds && $2 ~ /^127\./ ? "relay" : kinds ? "direct" : $2
			if (n++ && now != before) changes++; before = now }
		END { print changes + 0 }' "$(log_of "$1" "watch.$2")"
}

# no_flap A B CHANGES: not more often than that; `relayed`, `upgrade`: see stream_lossless
no_flap()
{
	local n most=$3 kinds=
	case $3 in
	upgrade) most=1 kinds=kinds ;;
	relayed) most=0 kinds=kinds ;;
	esac
	n=$(flaps "$1" "$2" $kinds)
	[ "$n" -le "$most" ] || fail "$1's endpoint of $2 changed $n times: $(grep -F "$(pub "$2")" "$(log_of "$1" "watch.$2")" | uniq | sed 's/.*\t//' | tr '\n' ' ')"
	say "$1's endpoint of $2 changed $n times${kinds:+ between relayed and direct}"
}

# transfer A B BYTES [SECONDS]: TCP through the tunnel from A to B, all of it
transfer()
{
	local got=$LAB_DIR/got.$1.$2 t0
	rm -f "$got"
	daemon "$2" "receive.$1" sh -c 'nc -l -p 5001 | wc -c >"$0"' "$got"
	wait_until 5 nx "$2" sh -c 'ss -Htln "sport = :5001" | grep -q .' || fail "nc on $2"
	t0=$(now_us)
	nx "$1" sh -c 'head -c "$0" /dev/zero | timeout "$1" nc -N "$2" 5001' "$3" \
		$((${4:-20} * ${LAB_SLOW:-1})) "$(wg_ip "$2")" || fail "TCP from $1 to $2 did not end within ${4:-20} s"
	wait_until 5 test -s "$got" || fail "$2 has got nothing"
	equal "bytes from $1 to $2" "$(<"$got")" "$3"
	say "$(($3 * 8 / ($(now_us) - t0 + 1))) Mbit/s"
}

# bulk A B [BYTES]: TCP through the tunnel from A to B until bulk_end: so many bytes (100000: 16 Mbit/s) each
# 50 ms. Pings beside it are not lost in this machine's own queues as long as it is 5000.
bulk()
{
	local got=$LAB_DIR/got.$1.$2 go=$LAB_DIR/bulk.$1.$2
	rm -f "$got" "$go.n"
	: >"$go"
	daemon "$2" "receive.$1" sh -c 'nc -l -p 5001 | wc -c >"$0.new"; mv "$0.new" "$0"' "$got"
	wait_until 5 nx "$2" sh -c 'ss -Htln "sport = :5001" | grep -q .' || fail "nc on $2"
	daemon "$2" "progress.$1" sh -c 'while :; do ss -Htin "sport = :5001" | grep -o "bytes_received:[0-9]*"; date +%s.%N; sleep "$0"; done' "$(slowly 0.1)"
	daemon "$1" "send.$2" sh -c 'while [ -e "$0" ]; do head -c "$2" /dev/zero; echo "$2" >>"$0.n"; sleep "$3"; done | nc -N "$1" 5001' \
		"$go" "$(wg_ip "$2")" "${3:-100000}" "$(slowly 0.05)"
}

# bulk_end A B SECONDS: all of it arrives, and it never stood still for longer than that
bulk_end()
{
	local go=$LAB_DIR/bulk.$1.$2 stall
	rm -f "$go"
	wait_until 20 test -s "$LAB_DIR/got.$1.$2" || fail "TCP from $1 to $2 does not end"
	daemon_stop "$2" "progress.$1"
	equal "bytes from $1 to $2" "$(<"$LAB_DIR/got.$1.$2")" "$(awk '{ n += $1 } END { printf "%d", n }' "$go.n")"
	rm -f "$go.n"
	stall=$(awk -F : '/bytes/ { got = $2; next }
		got != before { before = got; since = $1 }
		since && $1 - since > stall { stall = $1 - since }
		END { printf "%d", stall * 1000 }' "$(log_of "$2" "progress.$1")")
	rm -f "$(log_of "$2" "progress.$1")"
	say "TCP from $1 to $2 stood still for $stall ms at most"
	[ "$stall" -le $(($3 * 1000 * ${LAB_SLOW:-1})) ] || fail "TCP from $1 to $2 stood still for $stall ms"
}
