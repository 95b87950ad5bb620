# SPDX-License-Identifier: MIT
# WireGuard, nat-signald, nat-agent and DNS inside nodes. Sourced by lib.sh.
#
# Host number N has 10.77.0.N and fd77::N on its wg0. Keys are in $LAB_DIR/conf/NODE.key and .pub.

LAB_SIGNAL_PORT=8080
AGENT_CONTROL=/run/nat-agent/control.sock

# kernel where the module is, else go (wireguard-go); LAB_WG=go forces the latter
wg_kind()
{
	if [ -z "${LAB_WG:-}" ]; then
		LAB_WG=go
		if nx net ip link add wgprobe type wireguard 2>/dev/null; then
			nx net ip link del wgprobe
			LAB_WG=kernel
		fi
	fi
	printf '%s' "$LAB_WG"
}

# wg_link NODE [IF]: makes the bare interface
wg_link()
{
	local node=$1 ifname=${2:-wg0}
	wg_kind >/dev/null
	if [ "$LAB_WG" = kernel ]; then
		node_ip "$node" <<<"link add $ifname type wireguard"
	else
		# Its own word is waited for: wg removes the socket of one that has bound it and does not
		# listen yet, and that one ends then.
		local before
		before=$(wg_go_starts "$node" "$ifname")
		daemon "$node" "wireguard-go.$ifname" env LOG_LEVEL=verbose wireguard-go -f "$ifname"
		wait_until 10 wg_go_started "$node" "$ifname" "$before" ||
			fail "wireguard-go on $node: $(tail -n 3 "$(log_of "$node" "wireguard-go.$ifname")")"
	fi
}

# How often wireguard-go has begun to listen to wg there
wg_go_starts() { grep -c 'UAPI listener started' "$(log_of "$1" "wireguard-go.$2")" 2>/dev/null || true; }
wg_go_started() { [ "$(wg_go_starts "$1" "$2")" -gt "${3:-0}" ]; }

# wg_unlink NODE [IF]: the interface goes, as `ip link del` or wg-quick down makes it go
wg_unlink()
{
	node_ip "$1" <<<"link del ${2:-wg0}"
	[ "$LAB_WG" = kernel ] || daemon_stop "$1" "wireguard-go.${2:-wg0}"
}

wg_key()
{
	local node=$1 ifname=${2:-wg0}
	[ "$ifname" = wg0 ] || node=$node.$ifname
	[ -f "$LAB_DIR/conf/$node.key" ] ||
		(umask 077 && wg genkey >"$LAB_DIR/conf/$node.key" &&
			wg pubkey <"$LAB_DIR/conf/$node.key" >"$LAB_DIR/conf/$node.pub")
}

# find_pub NODE VARIABLE: the public key into the caller's variable
find_pub() { read -r "$2" <"$LAB_DIR/conf/$1.pub"; }

pub()
{
	local key
	find_pub "$1" key
	printf '%s' "$key"
}

wg_number() { printf '%s' "$(<"$LAB_DIR/conf/$1.number")"; }
# Of a member of an innernet network, what that gave it (innernet.sh).
wg_ip()
{
	if [ -f "$LAB_DIR/conf/$1.ip" ]; then
		printf '%s' "$(<"$LAB_DIR/conf/$1.ip")"
	else
		printf '10.77.0.%s' "$(wg_number "$1")"
	fi
}
wg_ip6() { printf 'fd77::%s' "$(wg_number "$1")"; }

# wg_up NODE NUMBER [PORT [FWMARK]]: wg0 with key, port and addresses, no peers yet
wg_up()
{
	local node=$1 number=$2 port=${3:-51820} mark=${4:-0}
	wg_key "$node"
	echo "$number" >"$LAB_DIR/conf/$node.number"
	wg_link "$node" wg0
	nx "$node" wg set wg0 private-key "$LAB_DIR/conf/$node.key" listen-port "$port" fwmark "$mark" ||
		fail "wg set on $node"
	node_ip "$node" <<-END
		addr add 10.77.0.$number/24 dev wg0
		addr add fd77::$number/64 dev wg0 nodad
		link set dev wg0 mtu 1420 up
	END
}

# wg_peer NODE PEER [wg set's words…]: PEER becomes a peer of NODE, without endpoint
wg_peer()
{
	local node=$1 peer=$2 key
	shift 2
	find_pub "$peer" key
	nx "$node" wg set wg0 peer "$key" allowed-ips "$(wg_ip "$peer")/32,$(wg_ip6 "$peer")/128" "$@" ||
		fail "wg set peer $peer on $node"
}

# wg_pair A B…: every node knows every other
wg_pair()
{
	local a b
	for a; do
		for b; do
			[ "$a" = "$b" ] || wg_peer "$a" "$b"
		done
	done
}

# two_interfaces: a and b behind a NAT each, and c on the internet; a has wg0 for b and wg1, with a key
# and port of its own, for c
two_interfaces()
{
	two_nats port-restr port-restr
	server c 198.51.100.7
	wg_up c 3
	wg_key a wg1
	wg_link a wg1
	nx a wg set wg1 private-key "$LAB_DIR/conf/a.wg1.key" listen-port 51821 \
		peer "$(pub c)" allowed-ips 10.78.0.3/32
	nx c wg set wg0 peer "$(pub a.wg1)" allowed-ips 10.78.0.1/32
	node_ip a <<-END
		addr add 10.78.0.1/24 dev wg1
		link set wg1 up
	END
	node_ip c <<-END
		addr add 10.78.0.3/32 dev wg0
		route add 10.78.0.1/32 dev wg0
	END
}

# wg_get NODE PEER FIELD [IF]: endpoints, persistent-keepalive, latest-handshakes, …
wg_get()
{
	local pid key value wanted
	find_node "$1"
	find_pub "$2" wanted
	while read -r key value; do
		[ "$key" != "$wanted" ] || printf '%s' "$value"
	done < <(exec nsenter -t "$pid" -n -m -- wg show "${4:-wg0}" "$3")
}

wg_handshaken() { [ "$(wg_get "$1" "$2" latest-handshakes)" -gt 0 ]; }

# signald NODE [ARGUMENTS…]: at every public address of the node; LAB_SIGNAL becomes its URL by the first IPv4
# address (or $LAB_SIGNAL_NAME), LAB_SIGNAL6 the one by IPv6
signald()
{
	local node=$1 a args=("${@:2}") scheme=ws
	[[ " $* " != *' --tls-cert '* ]] || scheme=wss
	LAB_SIGNAL6=
	LAB_SIGNAL=
	LAB_SIGNAL_NODE=$node
	for a in $(nx "$node" ip -o addr show dev eth0 scope global | awk '{ sub("/.*", "", $4); print $4 }'); do
		case $a in
		*:*)
			args+=(--listen "[$a]:$LAB_SIGNAL_PORT" --stun "[$a]:3478" --name "[$a]")
			LAB_SIGNAL6=$scheme://[$a]:$LAB_SIGNAL_PORT
			;;
		*)
			args+=(--listen "$a:$LAB_SIGNAL_PORT" --stun "$a:3478" --name "$a")
			LAB_SIGNAL=$scheme://$a:$LAB_SIGNAL_PORT
			;;
		esac
	done
	if [ -n "${LAB_SIGNAL_NAME:-}" ]; then
		args+=(--name "$LAB_SIGNAL_NAME")
		LAB_SIGNAL=$scheme://$LAB_SIGNAL_NAME:$LAB_SIGNAL_PORT
	fi
	LAB_SIGNAL=${LAB_SIGNAL:-$LAB_SIGNAL6}
	printf '%s\n' "$LAB_SIGNAL" >"$LAB_DIR/conf/signal"
	signald_start "${args[@]}"
}

signald_start()
{
	[ -x "$NAT_SIGNALD" ] || fail "$NAT_SIGNALD is not built: NAT_BUILD names the build directory"
	LAB_SIGNALD_ARGS=("$@")
	daemon "$LAB_SIGNAL_NODE" nat-signald "$NAT_SIGNALD" "$@"
	wait_until 10 signald_listens || fail "nat-signald does not listen: $(tail -n 3 "$(log_of "$LAB_SIGNAL_NODE" nat-signald)")"
}

signald_listens()
{
	nx "$LAB_SIGNAL_NODE" sh -c 'exec ss -Htln "sport = :$0" | grep -q .' "$LAB_SIGNAL_PORT"
}

signald_kill() { daemon_stop "$LAB_SIGNAL_NODE" nat-signald "${1:-KILL}"; }
signald_signal() { nx "$LAB_SIGNAL_NODE" kill "-$1" "$(daemon_pid "$LAB_SIGNAL_NODE" nat-signald)"; }
signald_again() { signald_start "${LAB_SIGNALD_ARGS[@]}"; }

# agent NODE… : starts nat-agent for wg0 on each, and does not wait for anything. It is given the
# relay servers that exist (turn.sh). LAB_AGENT_OPTIONS: more of its options.
agent()
{
	local n uri turn=()
	while read -r uri; do turn+=(--turn "$uri"); done < <(turn_uris)
	for n; do agent_run "$n" --interface wg0 --signal "${LAB_SIGNAL:-$(<"$LAB_DIR/conf/signal")}" "${turn[@]}" ${LAB_AGENT_OPTIONS:-}; done
}

# agent_run NODE ARGUMENTS…: with these instead. LAB_AGENT_UNDER: a command that starts it, such as
# setpriv --bounding-set=-sys_admin
agent_run()
{
	local node=$1
	shift
	[ -x "$NAT_AGENT" ] || fail "$NAT_AGENT is not built: NAT_BUILD names the build directory"
	# shellcheck disable=SC2086
	daemon "$node" nat-agent ${LAB_AGENT_UNDER:-} env G_MESSAGES_DEBUG="${LAB_DEBUG:-}" NAT_AGENT_DEBUG=1 "$NAT_AGENT" run "$@" --control "$AGENT_CONTROL"
}

agent_stop() { daemon_stop "$1" nat-agent "${2:-TERM}"; }

# status NODE [FILTER]: the agent's status as JSON, through jq
status()
{
	local pid json
	find_node "$1"
	# Asked from outside, and by what starts quickest: it is what scenarios do most. 1 only says that
	# not every peer is connected.
	json=$(exec "$NAT_AGENT" status --json --control "/proc/$pid/root$AGENT_CONTROL" \
		2>>"$LAB_DIR/log/status") || [ $? = 1 ] || return 3
	gojq -r "${2:-.}" <<<"$json"
}

status_text() { nx "$1" "$NAT_AGENT" status --control "$AGENT_CONTROL" || true; }

# peer NODE PEER [FILTER]: what NODE's status says of PEER
peer()
{
	local key
	find_pub "$2" key
	status "$1" ".interfaces[].peers[] | select(.public_key == \"$key\") | ${3:-.}"
}

peer_is() { [ "$(peer "$1" "$2" .state)" = "$3" ]; }

# dns NODE NAME=ADDRESS…: answers these names at the node's addresses, nothing else
dns()
{
	local node=$1 nv
	shift
	{
		printf 'no-resolv\nno-hosts\nno-poll\nbind-dynamic\nuser=root\ngroup=root\npid-file=\nport=53\n'
		for nv; do printf 'host-record=%s,%s\n' "${nv%%=*}" "${nv#*=}"; done
	} >"$LAB_DIR/conf/$node.dnsmasq"
	daemon "$node" dnsmasq dnsmasq -k --conf-file="$LAB_DIR/conf/$node.dnsmasq"
	wait_until 10 nx "$node" sh -c 'ss -Hulpn "sport = :53" | grep -q dnsmasq' ||
		fail "dnsmasq: $(cat "$(log_of "$node" dnsmasq)")"
}

# resolver NODE ADDRESS: the node asks this server, and only the node
resolver()
{
	echo "nameserver $2" >"$LAB_DIR/conf/$1.resolv"
	echo 'options timeout:1 attempts:2' >>"$LAB_DIR/conf/$1.resolv"
	nx "$1" sh -c 'f=$(readlink -m /etc/resolv.conf); [ -e "$f" ] || { mkdir -p "${f%/*}"; : >"$f"; }
		mount --bind "$0" "$f"' "$LAB_DIR/conf/$1.resolv" || fail "resolv.conf of $1"
}

# two_nats PROFILE-A PROFILE-B: hosts a and b behind NATs ra (203.0.113.1) and rb (198.51.100.1), or at these
# addresses themselves (nat_home), server sig (192.0.2.10), wg0 on both hosts, no agent yet
two_nats()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	node ra rb a b
	nat_home a ra "$1" 203.0.113.1 192.168.1
	nat_home b rb "$2" 198.51.100.1 192.168.2
	wg_up a 1
	wg_up b 2
	wg_pair a b
}
