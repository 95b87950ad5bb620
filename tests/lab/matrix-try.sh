# SPDX-License-Identifier: MIT
# One try of one pair, for `matrix`: a scenario that asserts nothing, and measures. Its line is in $LAB_DIR/result.
#
#   MATRIX_A, MATRIX_B   profiles; with `+map` behind it, the router maps ports as it is asked
#   MATRIX_WINDOW        seconds from the agents' start in which a pair may become direct (times LAB_SLOW)
#
# Times count from the start of the second agent, by the machine's clock: `connected` is when both agents had
# WireGuard's proof of any path, by their events; `direct` when both hosts had received a handshake's answer or data
# of WireGuard's from elsewhere than the relay, by their network interfaces. Packets are counted by the hosts'
# firewalls until the pair is seen to be direct, else until the window ends: `checks` is all UDP but WireGuard's and
# what goes to the servers.

MATRIX_SERVERS='192.0.2.10, 192.0.2.11'
MATRIX_RELAY=192.0.2.20

setup()
{
	LAB_SIGNAL_PORT=443 # tcp443 lets out nothing else
	internet
	# Two addresses: with one, a mapping per address looks like one for all.
	server sig ${MATRIX_SERVERS/,/}
	server turn $MATRIX_RELAY
	node ra rb a b
	matrix_home a ra "$MATRIX_A" 203.0.113.1 20.30.40.50 192.168.1
	matrix_home b rb "$MATRIX_B" 198.51.100.1 20.30.40.51 192.168.2
	wg_up a 1
	wg_up b 2
	wg_pair a b
	turn_server turn user:secret
	turn_known turn a b
	turn_trust turn a b
	turn_use "turn:user:secret@$MATRIX_RELAY:3478?transport=udp" "turn:user:secret@$MATRIX_RELAY:3478?transport=tcp" \
		"turns:user:secret@$LAB_TURN_NAME:443"
	signald sig
	LAB_AGENT_OPTIONS="--stun ${MATRIX_SERVERS%%,*} --stun ${MATRIX_SERVERS##*, }"
	observe a
	observe b
}

# matrix_home HOST ROUTER PROFILE ADDRESS ADDRESS-OF-ONE-THAT-MAPS LAN
matrix_home()
{
	local at=$4
	[[ $3 != *+map ]] || at=$5
	nat_home "$1" "$2" "${3%+map}" "$at" "$6"
	[[ $3 != *+map ]] || maps "$2"
}

# Counts what the host sends, and notes the first packet of WireGuard's that comes in directly: an answer to a
# handshake or data.
observe()
{
	nx "$1" nft -f - <<-END || fail "counters on $1"
		table inet spent {
			counter checks { }
			counter servers { }
			chain out {
				type filter hook output priority 300;
				oifname { "lo", "wg0" } return
				meta l4proto != udp return
				ip daddr $MATRIX_RELAY return
				@th,64,32 { 0x01000000, 0x02000000, 0x03000000, 0x04000000 } return
				udp dport { 53, 1900, 5350, 5351 } return
				ip daddr { $MATRIX_SERVERS } counter name servers return
				counter name checks
			}
		}
	END
	daemon "$1" first tcpdump -i eth0 -n -tt -c 1 -Q in --immediate-mode -Z root \
		"udp and (udp[8:4] = 0x02000000 or udp[8:4] = 0x04000000) and not host $MATRIX_RELAY"
	wait_until 10 grep -q 'listening on' "$(log_of "$1" first)" || fail "tcpdump on $1"
}

# spent COUNTER: of both hosts
spent()
{
	local n sum=0
	for n in a b; do
		sum=$((sum + $(nx "$n" nft list counter inet spent "$1" | awk '$1 == "packets" { print $2 }')))
	done
	echo "$sum"
}

both_are() { path_is a b "$1" && path_is b a "$1"; }
both_connected() { peer_is a b connected && peer_is b a connected; }

# latest NUMBER NUMBER: of two moments in seconds, milliseconds after the start; `-` where one is missing
latest()
{
	[ -n "$1" ] && [ -n "$2" ] || { echo -; return; }
	awk -v a="$1" -v b="$2" -v t0="$MATRIX_T0_US" 'BEGIN { printf "%d\n", (a > b ? a : b) * 1000 - t0 / 1000 }'
}

# The moment of NODE's first proof of any path
proved()
{
	nx "$1" "$NAT_AGENT" events --json --once --control "$AGENT_CONTROL" |
		jq -r 'select(.event == "state" and (.text | contains("→ connected"))) | .time |
			capture("^(?<s>[^.]*)(?<f>[.][0-9]+)?Z$") | (.s + "Z" | fromdate) + ("0" + (.f // "") | tonumber)' | head -n 1
}

# The moment of the first packet that came in directly
first_direct() { sed -n 's/^\([0-9.]*\) IP .*/\1/p' "$(log_of "$1" first)" | head -n 1; }

# What led to the path
means()
{
	if [[ $(wg_get a b endpoints)$(wg_get b a endpoints) = *20.30.40.* ]]; then
		echo mapping
	elif said_by_either 'a direct path by many ports'; then
		echo ports
	else
		echo checks
	fi
}

events() { nx "$1" "$NAT_AGENT" events --json --once --control "$AGENT_CONTROL" | jq -r .text; }
said_by_either() { { events a; events b; } | grep -q "$1"; }

check()
{
	local kind how=- checks servers attempts lost=- direct=-
	agent a
	MATRIX_T0_US=${EPOCHREALTIME/./}
	agent b
	LAB_EVENT_US=$MATRIX_T0_US
	if wait_until "$MATRIX_WINDOW" both_connected; then
		stream a b
		poll_until $((MATRIX_T0_US + MATRIX_WINDOW * 1000000 * ${LAB_SLOW:-1})) both_are direct || true
	fi
	checks=$(spent checks)
	servers=$(spent servers)
	if [ -f "$LAB_DIR/pid/a.stream.b" ]; then
		nap 2 # what a move may lose, is lost now
		stream_end a b
		stream_counts a b
		lost=$LAB_LOST
	fi
	kind=$(peer a b '.path.kind // "none"')
	[ "$kind" = "$(peer b a '.path.kind // "none"')" ] || kind=differs
	if [ "$kind" = direct ]; then
		how=$(means)
		direct=$(latest "$(first_direct a)" "$(first_direct b)")
	fi
	attempts=$(events a | grep -c 'tries many ports (' || true)
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$MATRIX_A" "$MATRIX_B" "$kind" "$how" \
		"$(latest "$(proved a)" "$(proved b)")" "$direct" "$checks" "$servers" "$attempts" "$lost" \
		"$(peer a b .reason)" "$(peer b a .reason)" >"$LAB_DIR/result"
}
