# SPDX-License-Identifier: MIT
# What scenarios assert. Every one waits with a deadline and ends the scenario when it does not
# come true. Sourced by lib.sh.

# expect WHAT CMD…
expect()
{
	local what=$1
	shift
	"$@" >>"$LAB_DIR/log/expect" 2>&1 || fail "$what"
	say "$what"
}

# within SECONDS WHAT CMD…
within()
{
	local limit=$1 what=$2 t0=${EPOCHREALTIME/./}
	shift 2
	wait_until "$limit" "$@" || fail "not within $limit s: $what"
	say "$what (after $(((${EPOCHREALTIME/./} - t0) / 1000)) ms)"
}

# equal WHAT GOT WANTED
equal() { [ "$2" = "$3" ] && say "$1 is '$3'" || fail "$1 is '$2', not '$3'"; }

# direct A B [SECONDS]: both ends say connected and direct, and packets pass both ways
direct() { joined direct "$@"; }

# relayed A B [SECONDS]: the same by relay; at one end at least, WireGuard sends to a bridge
relayed()
{
	joined relay "$@"
	[[ $(wg_get "$1" "$2" endpoints) = 127.* || $(wg_get "$2" "$1" endpoints) = 127.* ]] ||
		fail "neither $1 nor $2 bridges"
}

# The kind is waited for as well: a pair may be connected before its best path is found.
joined()
{
	local kind=$1 a=$2 b=$3 limit=${4:-10}
	within "$limit" "$a: $b connected, $kind" path_is "$a" "$b" "$kind"
	within 5 "$b: $a connected, $kind" path_is "$b" "$a" "$kind"
	joined_one "$kind" "$a" "$b"
	joined_one "$kind" "$b" "$a"
	pings "$a" "$b"
	pings "$b" "$a"
}

direct_one() { joined_one direct "$@"; }

# path_is NODE PEER KIND: connected, and by this kind of path
path_is() { [ "$(peer "$1" "$2" '[.state, .path.kind] | join(" ")')" = "connected $3" ]; }

# What status says of a connected peer is what the device says. The two are read one after the other,
# and the agent may have moved the tunnel in between: then they are read again.
joined_one()
{
	local want=$1 json kind type why endpoint remote
	shift
	wait_until 5 agreed "$@" || fail "$1: WireGuard's endpoint of $2 is '$(wg_get "$1" "$2" endpoints)', status says '$endpoint'"
	[ "$kind" = "$want" ] || fail "$1: path to $2 is '$kind'"
	case $want:$type in
	relay:* | direct:host | direct:srflx | direct:prflx | direct:configured | direct:roamed) ;;
	*) fail "$1: remote type of $2 is '$type'" ;;
	esac
	[ -n "$why" ] || fail "$1: no word why $2 is $want"
	say "$1 → $2: $kind, $type $remote at $endpoint: $why"
}

# For joined_one, whose variables it sets
agreed()
{
	local device state
	device=$(wg_get "$1" "$2" endpoints)
	json=$(peer "$1" "$2" 'select(.path != null) | [.state, .path.kind, (.path.remote.type // "-"), .why, .endpoint, (.path.remote.endpoint // "-")] | @tsv')
	IFS=$'\t' read -r state kind type why endpoint remote <<<"$json"
	[ "$state" = connected ] && [ "$device" = "$endpoint" ] && [ "$(wg_get "$1" "$2" endpoints)" = "$device" ]
}

# expect_reason A B REASON [SECONDS]: A's status says of B why it is in its state
expect_reason()
{
	within "${4:-10}" "$1: $2 is $3" has_reason "$1" "$2" "$3"
	say "$1: $2: $(peer "$1" "$2" .why)"
}

has_reason() { [ "$(peer "$1" "$2" .reason)" = "$3" ]; }

# pings A B [COUNT]: through the tunnel; the first one gets time to wake a session
pings()
{
	nx "$1" ping -n -q -c "${3:-3}" -i 0.05 -W $((2 * ${LAB_SLOW:-1})) "$(wg_ip "$2")" >>"$LAB_DIR/log/ping" 2>&1 ||
		fail "no ping through the tunnel from $1 to $2"
}

pings6()
{
	nx "$1" ping -6 -n -q -c "${3:-3}" -i 0.05 -W $((2 * ${LAB_SLOW:-1})) "$(wg_ip6 "$2")" >>"$LAB_DIR/log/ping" 2>&1 ||
		fail "no IPv6 ping through the tunnel from $1 to $2"
}

# capture NODE IF [FILTER]: into $LAB_DIR/NODE.IF.pcap
capture()
{
	local node=$1 ifname=$2
	shift 2
	daemon "$node" "tcpdump.$ifname" tcpdump -i "$ifname" -n -s 96 -U --immediate-mode -Z root \
		-w "$LAB_DIR/$node.$ifname.pcap" "${@:-udp}"
	wait_until 10 grep -q 'listening on' "$(log_of "$node" "tcpdump.$ifname")" || fail "tcpdump on $node"
}

capture_stop() { daemon_stop "$1" "tcpdump.$2" INT; }

# STUN by its cookie, WireGuard by its first four bytes (IPv4)
LAB_STUN='udp[12:4] = 0x2112a442'
LAB_WIREGUARD='(udp[8:4] = 0x01000000 or udp[8:4] = 0x02000000 or udp[8:4] = 0x03000000 or udp[8:4] = 0x04000000)'

# captured NODE IF FILTER: one line per packet: source > destination
captured()
{
	tcpdump -n -r "$LAB_DIR/$1.$2.pcap" "$3" 2>/dev/null | awk '{ sub(":$", "", $5); print $3, $5 }'
}

# one_mapping ROUTER ADDRESS: all STUN and WireGuard that left from ADDRESS left from one port. STUN servers
# are asked from there too, and from sockets that only test how the NAT behaves.
one_mapping()
{
	local stun wireguard
	stun=$(captured "$1" wan "src host $2 and $LAB_STUN and not dst portrange 3478-3479" | cut -d' ' -f1)
	wireguard=$(captured "$1" wan "src host $2 and $LAB_WIREGUARD" | cut -d' ' -f1)
	[ -n "$stun" ] || fail "no STUN was captured at $1"
	[ -n "$wireguard" ] || fail "no WireGuard was captured at $1"
	equal "number of mappings at $1" "$(printf '%s\n%s\n' "$stun" "$wireguard" | sort -u | wc -l)" 1
	captured "$1" wan "src host $2 and $LAB_STUN and dst port 3478" | cut -d' ' -f1 | grep -qxF "${stun%%$'\n'*}" ||
		fail "no server was asked from $stun"
}

# peer_at NODE PEER ENDPOINT: in WireGuard and in the status
peer_at() { [ "$(wg_get "$1" "$2" endpoints)" = "$3" ] && [ "$(peer "$1" "$2" .endpoint)" = "$3" ]; }

signaling_is() { [ "$(status "$1" '.interfaces[0].signaling.state')" = "$2" ]; }

# one_line WHAT WORD: $LAB_DIR/out is a single line of nat-agent or nat-signald, naming WORD
one_line()
{
	equal "$1: lines" "$(wc -l <"$LAB_DIR/out")" 1
	grep -q -e "$2" "$LAB_DIR/out" || fail "$1: '$2' is not named: $(cat "$LAB_DIR/out")"
	say "$1: $(cat "$LAB_DIR/out")"
}

# field_is NODE FIELD VALUE: of the first interface in the status
field_is() { [ "$(status "$1" ".interfaces[0].$2")" = "$3" ]; }

# passes NODE PEER: one ping through the tunnel
passes() { nx "$1" ping -n -q -c 1 -W 1 "$(wg_ip "$2")"; }

# relay_is NODE STATE [SERVER-WORD]: one of the relays in the status is in this state
relay_is()
{
	status "$1" '.interfaces[0].relays[] | [.server, .state] | join(" ")' | grep -q -e "${3:-}.* $2\$"
}

# relay_says NODE WORD: the status names this problem of a relay
relay_says() { status "$1" '.interfaces[0].relays[].problem // empty' | grep -q -i -e "$2"; }
