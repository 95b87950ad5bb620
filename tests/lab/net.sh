# SPDX-License-Identifier: MIT
# Links and addresses. Sourced by lib.sh.
#
#   host a ── br0 [router ra] wan ──┐
#                                   ├── net (the internet: routes documentation addresses)
#   host b ── br0 [router rb] wan ──┤
#                     server sig ───┘
#
# On every link to `net`, net is 100.64.0.1 and fe80::1, the node's end fe80::2. A node's public
# addresses are /32 and /128, routed to it; so any address can be anywhere, and move.

# Reads `ip` commands from stdin and runs them inside the node.
node_ip()
{
	local pid
	find_node "$1"
	nsenter -t "$pid" -n ip -b - || fail "ip on $1"
}

# node_sysctl NODE NAME=VALUE…: below /proc/sys/net
node_sysctl()
{
	local node=$1
	shift
	nx "$node" sh -eu -c 'for s; do echo "${s#*=}" >"/proc/sys/net/${s%%=*}"; done' sh "$@" ||
		fail "sysctl $* on $node"
}

# internet: the node `net`
internet()
{
	node net
	node_sysctl net ipv4/ip_forward=1 ipv6/conf/all/forwarding=1
	node_ip net <<-END
		addr add 192.0.2.254/32 dev lo
		addr add 2001:db8:ff::fe/128 dev lo
	END
}

# make_link NODE-A IF-A NODE-B IF-B: a cable; LAB_DELAY_MS (one way), LAB_JITTER_MS, LAB_LOSS
# (percent) and LAB_RATE (Mbit/s) make it a long one, which link_becomes can change
make_link()
{
	if [ -z "${LAB_DELAY_MS:-}" ]; then
		ip link add name "$2" netns "$(node_pid "$1")" type veth \
			peer name "$4" netns "$(node_pid "$3")" || fail "link $1 – $3"
		return
	fi
	[ -x "$NAT_BUILD/tests/lab/delay" ] || fail "$NAT_BUILD/tests/lab/delay is not built"
	echo "$LAB_DELAY_MS ${LAB_JITTER_MS:-0} ${LAB_LOSS:-0} ${LAB_RATE:-0}" >"$LAB_DIR/conf/delay.$2"
	daemon "$1" "delay.$2" "$NAT_BUILD/tests/lab/delay" "$LAB_DIR/conf/delay.$2" "$2" "$4" 9 \
		9<"/proc/$(node_pid "$3")/ns/net"
	wait_until 10 grep -q ready "$(log_of "$1" "delay.$2")" || fail "delay: $(cat "$(log_of "$1" "delay.$2")")"
}

# net_attach NODE IF ADDRESS…: a link to the internet, with these public addresses, as default route
net_attach()
{
	local node=$1 ifname=$2 port=$1 a there= here=
	shift 2
	[ "$ifname" = eth0 ] || [ "$ifname" = wan ] || port=$node.${ifname:0:1}${ifname: -1}
	make_link net "$port" "$node" "$ifname"
	for a; do
		if [[ $a = *:* ]]; then
			there+="route replace $a/128 via fe80::2 dev $port"$'\n'
			here+="addr add $a/128 dev $ifname nodad"$'\n'
			here+="route replace default via fe80::1 dev $ifname src $a"$'\n'
		else
			there+="route replace $a/32 dev $port"$'\n'
			here+="addr add $a/32 dev $ifname"$'\n'
			here+="route replace default via 100.64.0.1 dev $ifname onlink src $a"$'\n'
		fi
	done
	node_ip net <<-END
		link set dev $port addrgenmode none
		link set dev $port up
		addr add 100.64.0.1/32 dev $port
		addr add fe80::1/64 dev $port nodad
		$there
	END
	node_ip "$node" <<-END
		link set dev $ifname addrgenmode none
		link set dev $ifname up
		addr add fe80::2/64 dev $ifname nodad
		$here
	END
}

# net_routes ROUTER PREFIX: the internet routes an IPv6 prefix to the router
net_routes() { node_ip net <<<"route replace $2 via fe80::2 dev $1"; }

# lan_attach HOST ROUTER ADDRESS/LEN [IF [METRIC]]: a link into the router's LAN; the router is the
# default gateway of the address's family, at the LAN's address of the router.
lan_attach()
{
	local host=$1 router=$2 cidr=$3 ifname=${4:-eth0} metric=${5:-100} gw port=$1
	if [ ! -e "$LAB_DIR/nodes/$host/$ifname" ]; then
		: >"$LAB_DIR/nodes/$host/$ifname"
		[ "$ifname" = eth0 ] || port=$host.${ifname:0:1}${ifname: -1}
		ip link add name "$ifname" netns "$(node_pid "$host")" type veth \
			peer name "$port" netns "$(node_pid "$router")" || fail "link $host – $router"
		node_ip "$router" <<<"link set dev $port master br0 up"
		node_ip "$host" <<<"link set dev $ifname up"
	fi
	if [[ $cidr = *:* ]]; then
		gw=fe80::1
	else
		gw=${cidr%/*}
		gw=${gw%.*}.1
	fi
	node_ip "$host" <<-END
		addr add $cidr dev $ifname
		route add default via $gw dev $ifname metric $metric
	END
}

# server NAME ADDRESS…: a node directly on the internet
server()
{
	local name=$1
	shift
	node "$name"
	net_attach "$name" eth0 "$@"
}

# firewall HOST [PORT]: stateful, closed to unsolicited packets but for UDP to PORT
firewall()
{
	nx "$1" nft -f - <<-END || fail "firewall on $1"
		table inet firewall {
			chain input {
				type filter hook input priority 0; policy drop;
				iifname "lo" accept
				iifname "wg*" accept
				ct state established,related accept
				icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
				${2:+udp dport $2 accept}
			}
		}
	END
}
