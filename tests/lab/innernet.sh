# SPDX-License-Identifier: MIT
# An innernet network: its server, its members, plain ones and ones with our agent. Sourced by lib.sh.
#
#   inn_network sig; inn_member a alice 10.66.1.1; inn_member b bob 10.66.1.2
#   inn_tier1                                     # or not: then it is tier 0
#   inn_agent a yes; inn_plain b
#
# The server is tests/innernet/inn-server at 10.66.0.1 inside the tunnel, port 51820 there (TCP) and outside
# (UDP), and the peers' CIDR is 10.66.1.0/24. A member's files are below $LAB_DIR/conf/NODE.innernet:
# wg0.conf, and data/wg0.json; its interface is wg0, and its key is where all nodes have theirs.
# wg_link makes interfaces, but for `inn_agent NODE yes`: there it is the agent who does.

INN_SERVER=${INN_SERVER:-$NAT_BUILD/tests/innernet/inn-server}
INN_PLAIN=${INN_PLAIN:-$NAT_BUILD/tests/innernet/inn-plain}
INN_DOOR=/run/inn-server.sock
INN_TIER1_PORT=51821

# inn_network NODE [PREFIX]: the server on a node with a public address; PREFIX.0.0/16 is the network
inn_network()
{
	local node=$1 prefix=${2:-10.66} public
	[ -x "$INN_SERVER" ] || fail "$INN_SERVER is not built: NAT_BUILD names the build directory"
	LAB_INN_NODE=$node
	LAB_INN_PREFIX=$prefix
	LAB_INN_PUBLIC=$(turn_addresses "$node" | head -n 1)
	wg_key "$node"
	echo "$prefix.0.1" >"$LAB_DIR/conf/$node.ip"
	wg_link "$node" wg0
	node_ip "$node" <<-END
		addr add $prefix.0.1/16 dev wg0
		link set dev wg0 mtu 1280 up
	END
	"$INN_SERVER" init "$LAB_DIR/conf/innernet.db" labnet "$prefix.0.1/16" 51820 \
		"$LAB_INN_PUBLIC:51820" "$LAB_DIR/conf/$node.key" || fail 'inn-server init'
	inn_server_again
	inn_admin cidr humans "$prefix.1.0/24"
}

# What it knew is in its file, and the interface stays: only what it had observed is gone.
inn_server_again()
{
	daemon "$LAB_INN_NODE" inn-server "$INN_SERVER" serve "$LAB_DIR/conf/innernet.db" wg0 "$INN_DOOR"
	wait_until 10 inn_door ping || fail "inn-server: $(tail -n 3 "$(log_of "$LAB_INN_NODE" inn-server)")"
}

inn_server_stop() { daemon_stop "$LAB_INN_NODE" inn-server "${1:-KILL}"; }

inn_door() { nx "$LAB_INN_NODE" "$INN_SERVER" admin "$INN_DOOR" "$@"; }

# inn_admin COMMAND [WORD…]: see inn-server's usage; inn_fault KIND… and inn_fault off
inn_admin() { inn_door "$@" || fail "inn-server refuses: $*"; }
inn_fault() { inn_admin fault "$@"; }
# inn_count NAME [METHOD [PATH [STATUS]]]: how many such calls there have been
inn_count() { inn_admin count "$@"; }

# The server's packets are lost, and those to it: all of them, WireGuard's as well
inn_unreachable()
{
	nx "$LAB_INN_NODE" nft -f - <<-END || fail "cutting off $LAB_INN_NODE"
		table inet cutoff {
			chain in { type filter hook input priority -5; iifname "eth0" drop; }
			chain out { type filter hook output priority -5; oifname "eth0" drop; }
		}
	END
}

inn_reachable() { nx "$LAB_INN_NODE" nft delete table inet cutoff || fail "reaching $LAB_INN_NODE"; }

inn_dir() { printf '%s' "$LAB_DIR/conf/$1.innernet"; }
inn_store() { printf '%s' "$LAB_DIR/conf/$1.innernet/data/wg0.json"; }

# inn_member NODE NAME ADDRESS [PORT]: a redeemed member; PORT (51820) or 'any' is its WireGuard's
inn_member()
{
	local node=$1 name=$2 address=$3 port=${4:-51820} line=
	[ "$port" = any ] || line="listen-port = $port"
	wg_key "$node"
	inn_dirs "$node" "$name" "$address"
	inn_admin add "$name" "$address" key="$(pub "$node")"
	(umask 077 && cat >"$LAB_DIR/conf/$node.innernet/wg0.conf") <<-END
		[interface]
		network-name = "labnet"
		address = "$address/16"
		private-key = "$(<"$LAB_DIR/conf/$node.key")"
		$line

		[server]
		public-key = "$(pub "$LAB_INN_NODE")"
		external-endpoint = "$LAB_INN_PUBLIC:51820"
		internal-endpoint = "$LAB_INN_PREFIX.0.1:51820"
	END
}

inn_dirs()
{
	mkdir -p "$LAB_DIR/conf/$1.innernet/data"
	echo "$2" >"$LAB_DIR/conf/$1.name"
	echo "$3" >"$LAB_DIR/conf/$1.ip"
}

# inn_invite NODE NAME ADDRESS [WORD…]: an invitation, in $(inn_dir NODE)/invite.toml
inn_invite()
{
	local node=$1 name=$2 address=$3
	shift 3
	inn_dirs "$node" "$name" "$address"
	(umask 077 && inn_admin add "$name" "$address" "$@" >"$LAB_DIR/conf/$node.innernet/invite.toml")
}

# inn_redeemed NODE: its key becomes known to the laboratory
inn_redeemed()
{
	(umask 077 && sed -n 's/^private-key = "\(.*\)"/\1/p' "$LAB_DIR/conf/$1.innernet/wg0.conf" >"$LAB_DIR/conf/$1.key")
	wg pubkey <"$LAB_DIR/conf/$1.key" >"$LAB_DIR/conf/$1.pub" || fail "no key in the file of $1"
}

inn_name() { printf '%s' "$(<"$LAB_DIR/conf/$1.name")"; }

# inn_link NODE: the interface as innernet makes it, without key and peers
inn_link()
{
	wg_link "$1" wg0
	node_ip "$1" <<-END
		addr add $(wg_ip "$1")/16 dev wg0
		link set dev wg0 mtu 1280 up
	END
}

inn_has_link() { nx "$1" ip link show dev wg0 >/dev/null 2>&1; }

# inn_plain NODE [ARGUMENTS…]: an innernet daemon, beside an agent or without; its fetches are 60 s apart
inn_plain()
{
	local node=$1
	shift
	[ -x "$INN_PLAIN" ] || fail "$INN_PLAIN is not built: NAT_BUILD names the build directory"
	inn_has_link "$node" || inn_link "$node"
	daemon "$node" inn-plain "$INN_PLAIN" up wg0 --config-dir "$(inn_dir "$node")" \
		--data-dir "$(inn_dir "$node")/data" "$@"
}

inn_plain_stop() { daemon_stop "$1" inn-plain "${2:-TERM}"; }

# inn_hosts_file NODE: the file in the place of /etc/hosts, which is the machine's own
inn_hosts_file() { printf '%s' "$LAB_DIR/conf/$1.innernet/hosts"; }

# inn_show NODE: as `innernet show`; not 0 where the store is none that innernet would read
inn_show() { nx "$1" "$INN_PLAIN" show wg0 --config-dir "$(inn_dir "$1")" --data-dir "$(inn_dir "$1")/data"; }
# inn_stored NODE NAME FILTER: of a peer in the store, by jq
inn_stored() { jq -r ".peers[] | select(.name == \"$2\") | $3" "$(inn_store "$1")"; }

# inn_agent NODE MODE [LINE…]: nat-agent, innernet=MODE (beside, yes); more lines for its [interface wg0]. It
# is given the relay servers that exist (turn.sh).
inn_agent()
{
	local node=$1 mode=$2 turn
	shift 2
	[ "$mode" = yes ] || inn_has_link "$node" || inn_link "$node"
	turn=$(turn_uris | paste -sd ';' - || true)
	(umask 077 && cat >"$LAB_DIR/conf/$node.nat-agent.conf") <<-END
		[agent]
		innernet_config_dir=$(inn_dir "$node")
		innernet_data_dir=$(inn_dir "$node")/data
		hosts_file=$(inn_hosts_file "$node")

		[interface wg0]
		innernet=$mode
		${turn:+turn=$turn}
		$(printf '%s\n' "$@")
	END
	agent_run "$node" -c "$LAB_DIR/conf/$node.nat-agent.conf"
}

# inn_tier1: nat-signald beside the server, in the tunnel, where agents find it by themselves; STUN outside
inn_tier1()
{
	LAB_SIGNAL_NODE=$LAB_INN_NODE
	LAB_SIGNAL_PORT=$INN_TIER1_PORT
	LAB_SIGNAL=ws://$LAB_INN_PREFIX.0.1:$INN_TIER1_PORT
	echo "$LAB_SIGNAL" >"$LAB_DIR/conf/signal"
	signald_start --listen "$LAB_INN_PREFIX.0.1:$INN_TIER1_PORT" --stun "$LAB_INN_PUBLIC:3478" \
		--name "$LAB_INN_PREFIX.0.1" --allow-wg wg0
}

# inn_hosts PROFILE-A PROFILE-B: hosts a and b behind NATs ra and rb, members alice (10.66.1.1) and bob
# (10.66.1.2) of the network of `sig` (192.0.2.10); neither WireGuard nor daemons on a and b yet
inn_hosts()
{
	internet
	server sig 192.0.2.10
	node ra rb a b
	nat_setup ra "$1" 203.0.113.1 192.168.1.1/24
	nat_setup rb "$2" 198.51.100.1 192.168.2.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.2.2/24
	inn_network sig
	inn_member a alice 10.66.1.1
	inn_member b bob 10.66.1.2
}

# inn_relay: a TURN server on `turn` (192.0.2.20), for agents that start after it
inn_relay()
{
	server turn 192.0.2.20
	turn_server turn user:secret
}

# inn_absent: a member who is never there. As long as they look for him, agents ask the server every few seconds.
inn_absent() { inn_admin add dora 10.66.1.99 "key=$(wg genkey | wg pubkey)"; }

# inn_fresh: hosts a and b of inn_hosts as before anything ran on them: their daemons, interfaces and states are gone,
# and so is what the NATs and the server had learnt; all that stays are their files and members
inn_fresh()
{
	local n
	for n in a b; do
		inn_ends "$n" nat-agent
		inn_ends "$n" inn-plain
		! inn_has_link "$n" || node_ip "$n" <<<'link del wg0'
		inn_ends "$n" wireguard-go.wg0
		rm -f "$(inn_store "$n")"
		nx "$n" find /run/state -type f -delete
		# its session with the server as well
		inn_admin disable "$(inn_name "$n")"
		inn_admin enable "$(inn_name "$n")"
		inn_admin candidates "$(inn_name "$n")"
	done
	inn_server_stop
	inn_server_again
	nat_reboot ra
	nat_reboot rb
}

# inn_ends NODE DAEMON: it ends, where it has ever run
inn_ends() { [ ! -f "$LAB_DIR/pid/$1.$2" ] || daemon_stop "$1" "$2"; }

# inn_is NODE STATE [REASON-WORD]: what the agent says of its innernet server
inn_is()
{
	[ "$(status "$1" '.interfaces[0].innernet.state')" = "$2" ] || return 1
	[ -z "${3:-}" ] || status "$1" '.interfaces[0].innernet.reason // empty' | grep -q -e "$3"
}

# inn_says NODE WORD: its log has it
inn_says() { grep -q -e "$2" "$(log_of "$1" nat-agent)"; }

# inn_met AGENT PLAIN: packets pass between an agent and a plain member, and the agent says so
inn_met()
{
	pings "$1" "$2"
	within 10 "$1: $2 connected" peer_is "$1" "$2" connected
	equal "$1's name of $2" "$(peer "$1" "$2" .name)" "$(inn_name "$2")"
}

# inn_plain_meets INTERVAL SECONDS: a plain client on b, and an agent on a, that starts later, meet within SECONDS. Its
# fetches are 5 s apart, and INTERVAL as in the field with LAB_LONG: its half of the work may be that late.
inn_plain_meets()
{
	local interval=5
	[ -z "${LAB_LONG:-}" ] || interval=$1
	inn_plain b --interval "$interval"
	within 15 'bob has called' inn_has_called bob PUT
	event 'the agent starts' inn_agent a yes
	took "$2" 'pings pass' passes a b
	inn_met a b
	expect 'innernet reads the store' inn_show a
}

inn_has_called() { [ "$(inn_count "$@")" -gt 0 ]; }

# inn_wrong WHAT BEGIN END: agents on a and b say that something is wrong with their server, lose no peer by it, and
# are well again when it ends. BEGIN and END are commands.
inn_wrong()
{
	local n
	event "$1" $2
	for n in a b; do
		took 70 "$n says so" inn_trouble "$n"
		say "$(status "$n" '.interfaces[0].innernet | [.state, .reason] | join(": ")')"
	done
	peer_is a b connected || fail "a has lost b"
	peer_is b a connected || fail "b has lost a"
	pings a b
	event 'it ends' $3
	for n in a b; do
		took 70 "$n is well again" inn_is "$n" reachable
		equal 'reason' "$(status "$n" .interfaces[0].innernet.reason)" null
	done
}

inn_trouble() { [ "$(status "$1" .interfaces[0].innernet.reason)" != null ]; }
