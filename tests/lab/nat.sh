# SPDX-License-Identifier: MIT
# NAT routers, as nftables rules. Sourced by lib.sh.
#
#   profile          mapping / filtering (RFC 4787)                 port       hairpin
#   fullcone         endpoint-independent / endpoint-independent    preserved  yes
#   addr-restr       endpoint-independent / address-dependent       preserved  yes
#   port-restr       endpoint-independent / address and port        preserved  as told (default no)
#   port-restr-rand  endpoint-independent / address and port        random     as told (default no)
#   udp5s … udp30s   the same, and a mapping unused for 5, 10, 30 s is gone
#   linux            plain masquerade / address and port            preserved  no
#   adm              address-dependent / address and port           random     no
#   adm-adf          address-dependent / address-dependent          random     no
#   symmetric        address and port / address and port            random     no
#   symmetric-seq    address and port / address and port            the next   no
#   symmetric-pool   the same, from one of four addresses by chance random     no
#   symmetric-eif    address and port / endpoint-independent        random     no
#   no-udp           as linux, but no UDP passes
#   tcp443           as linux, but nothing passes but TCP to port 443
#
# And without a NAT (nat_home): `public`, a public address; `hostfw`, the same, and the host's own firewall lets
# in only answers.
#
# How: the kernel picks the external port. A chain behind srcnat notes what it picked in timed
# maps: `out` from inside to outside, `rev` the other way, `revad` with the address contacted. The
# srcnat chain obeys `out`: that makes the mapping endpoint-independent even where two hosts inside
# use one port (`outad`, with the address contacted in its key: address-dependent). The dstnat chain obeys `rev` (everybody may come in) or `revad` (who was contacted
# may). Filtering by address and port is conntrack's own.
#
# Unsolicited packets to the router itself are dropped: accepting them would let a stranger's early
# packet take the conntrack entry that the inside host's mapping needs.

# nat_router NAME PROFILE WAN-ADDRESS LAN-ADDRESS/LEN [hairpin]: a new node between net and a LAN
nat_router()
{
	node "$1"
	nat_setup "$@"
}

# The same on a node that exists already.
nat_setup()
{
	net_attach "$1" wan "$3"
	[ "$2" != symmetric-pool ] || nat_pool_routes "$1" "$3"
	nat_inside "$@"
}

# nat_home HOST ROUTER PROFILE PUBLIC-ADDRESS LAN: both nodes exist; LAN is the first three numbers of the
# LAN's addresses, the host is number 2. Without a NAT the host has the public address, and the router nothing.
nat_home()
{
	case $3 in
	public | hostfw)
		net_attach "$1" eth0 "$4"
		[ "$3" = public ] || firewall "$1"
		;;
	*)
		nat_setup "$2" "$3" "$4" "$5.1/24"
		lan_attach "$1" "$2" "$5.2/24"
		;;
	esac
}

# The other addresses of a pool: 64, 128 and 192 above the router's own
nat_pool()
{
	local i
	for i in 1 2 3; do echo "${1%.*}.$(((${1##*.} + 64 * i) % 256))"; done
}

nat_pool_routes()
{
	local a
	for a in $(nat_pool "$2"); do
		node_ip net <<<"route replace $a/32 dev $1"
		node_ip "$1" <<<"addr add $a/32 dev wan"
	done
}

# nat_behind NAME CARRIER PROFILE WAN-ADDRESS/LEN LAN-ADDRESS/LEN [hairpin]: an existing node becomes
# a router in the LAN of another one, the carrier.
nat_behind()
{
	local name=$1 carrier=$2 profile=$3 wan=$4
	shift 4
	lan_attach "$name" "$carrier" "$wan" wan
	nat_inside "$name" "$profile" "${wan%/*}" "$@"
}

# Same words as nat_router: all but the wan
nat_inside()
{
	local name=$1 lan=$4
	node_sysctl "$name" ipv4/ip_forward=1 ipv6/conf/all/forwarding=1
	node_ip "$name" <<-END
		link add br0 type bridge
		link set dev br0 addrgenmode none
		link set dev br0 up
		addr add $lan dev br0
		addr add fe80::1/64 dev br0 nodad
	END
	nat_becomes "$name" "$2" "$3" "${5:-}"
}

# nat_becomes ROUTER PROFILE WAN-ADDRESS [hairpin]: these rules instead of those that it has, in one
# step; what conntrack knows stays
nat_becomes()
{
	local seconds
	echo "$2 $3 ${4:-}" >"$LAB_DIR/conf/$1.nat"
	nat_rules "$2" "$3" "${4:-}" >"$LAB_DIR/conf/$1.nft"
	nat_load "$1"
	seconds=$(nat_timeout "$2")
	# The kernel's own default is 30 s for what was never answered, 120 s for the rest.
	[ "$seconds" = 120 ] ||
		node_sysctl "$1" netfilter/nf_conntrack_udp_timeout="$seconds" netfilter/nf_conntrack_udp_timeout_stream="$seconds"
}

# nat_open ROUTER: from now on a full cone; flows that are up keep the mapping that they have
nat_open()
{
	local profile ext
	read -r profile ext _ <"$LAB_DIR/conf/$1.nat"
	nat_becomes "$1" fullcone "$ext"
}

# nat_moves ROUTER ADDRESS: another public address, and nothing known of before
nat_moves()
{
	local profile ext hairpin
	read -r profile ext hairpin <"$LAB_DIR/conf/$1.nat"
	node_ip net <<-END
		route del $ext/32 dev $1
		route replace $2/32 dev $1
	END
	node_ip "$1" <<-END
		addr add $2/32 dev wan
		route replace default via 100.64.0.1 dev wan onlink src $2
		addr del $ext/32 dev wan
	END
	nat_becomes "$1" "$profile" "$2" "$hairpin"
	nat_restart "$1"
}

# nat_v6 ROUTER PREFIX(::): routes a /64 to the LAN, behind a stateful firewall, without NAT
nat_v6()
{
	net_routes "$1" "$2/64"
	node_ip "$1" <<-END
		addr add ${2}1/64 dev br0 nodad
		route replace default via fe80::1 dev wan
	END
}

# nat_reboot ROUTER: forgets every mapping, as a power cut does
nat_reboot()
{
	nat_restart "$1"
}

# New tables: the maps are empty.
nat_load()
{
	local t
	{
		for t in 'ip nat' 'inet filter'; do printf 'table %s\ndelete table %s\n' "$t" "$t"; done
		cat "$LAB_DIR/conf/$1.nft"
	} | nx "$1" nft -f - || fail "NAT rules on $1"
}

# Nothing may pass meanwhile: the maps would learn from conntrack what is to be forgotten, or
# conntrack from the maps.
nat_restart()
{
	nx "$1" nft add table inet off '{ chain everything { type filter hook prerouting priority -500; policy drop; }; }' &&
		nat_load "$1" && nx "$1" conntrack -F >>"$LAB_DIR/log/conntrack" 2>&1 &&
		nx "$1" nft delete table inet off || fail "$1 does not start anew"
}

nat_timeout()
{
	case $1 in
	udp*s) printf '%s' "${1//[a-z]/}" ;;
	*) printf 120 ;;
	esac
}

# The rules by which a profile picks a port for a new flow
nat_snat()
{
	case $1 in
	port-restr-rand | udp5s | udp10s | udp30s | adm | adm-adf | symmetric | symmetric-eif)
		echo "oifname \"wan\" meta l4proto udp snat to $2:1024-65535 fully-random"
		;;
	symmetric-pool)
		echo "oifname \"wan\" meta l4proto udp snat to numgen random mod 4 map { 0 : $2$(nat_pool "$2" | awk '{ printf ", %d : %s", NR, $1 }') } fully-random"
		;;
	symmetric-seq)
		# A map, because numgen's number itself would be taken for one in host byte order.
		echo "oifname \"wan\" meta l4proto udp snat to $2 : numgen inc mod 2048 map { $(awk 'BEGIN { for (i = 0; i < 2048; i++) printf "%s%d:%d", i ? "," : "", i, 40000 + i }') }"
		;;
	esac
	echo 'oifname "wan" masquerade'
}

# How a flow gets the mapping that an earlier one of the same host and port has
nat_again()
{
	case $1 in
	fullcone | addr-restr | port-restr | port-restr-rand | udp5s | udp10s | udp30s)
		echo 'oifname "wan" meta l4proto udp snat ip to ip saddr . udp sport map @out'
		;;
	adm | adm-adf) echo 'oifname "wan" meta l4proto udp snat ip to ip saddr . udp sport . ip daddr map @outad' ;;
	esac
}

# Who may come in where conntrack expects nobody
nat_in()
{
	case $1 in
	fullcone | symmetric-eif) echo 'iifname "wan" meta l4proto udp dnat ip to ip daddr . udp dport map @rev' ;;
	addr-restr | adm-adf) echo 'iifname "wan" meta l4proto udp dnat ip to ip daddr . udp dport . ip saddr map @revad' ;;
	esac
}

# What may go out
nat_out()
{
	case $1 in
	no-udp) echo 'iifname "br0" meta l4proto != udp accept' ;;
	tcp443) echo 'iifname "br0" tcp dport 443 accept' ;;
	*) echo 'iifname "br0" accept' ;;
	esac
}

nat_rules()
{
	local profile=$1 ext=$2 hairpin=$3 timeout
	case $profile in
	fullcone | addr-restr) hairpin=${hairpin:-hairpin} ;;
	port-restr | port-restr-rand | linux | adm | adm-adf | symmetric | symmetric-seq | symmetric-pool | symmetric-eif) ;;
	udp5s | udp10s | udp30s | no-udp | tcp443) ;;
	*) fail "no NAT profile named '$profile'" ;;
	esac
	timeout=$(nat_timeout "$profile")
	cat <<-END
		table ip nat {
			map out {
				type ipv4_addr . inet_service : ipv4_addr . inet_service
				flags dynamic,timeout; timeout ${timeout}s; size 65535
			}
			map outad {
				type ipv4_addr . inet_service . ipv4_addr : ipv4_addr . inet_service
				flags dynamic,timeout; timeout ${timeout}s; size 65535
			}
			map rev {
				type ipv4_addr . inet_service : ipv4_addr . inet_service
				flags dynamic,timeout; timeout ${timeout}s; size 65535
			}
			map revad {
				type ipv4_addr . inet_service . ipv4_addr : ipv4_addr . inet_service
				flags dynamic,timeout; timeout ${timeout}s; size 65535
			}
			chain dstnat {
				type nat hook prerouting priority dstnat;
				$(nat_in "$profile")
				${hairpin:+iifname "br0" ip daddr $ext meta l4proto udp dnat ip to ip daddr . udp dport map @rev}
			}
			chain srcnat {
				type nat hook postrouting priority srcnat;
				$(nat_again "$profile")
				${hairpin:+iifname "br0" oifname "br0" ct status dnat meta l4proto udp snat ip to ip saddr . udp sport map @out}
				${hairpin:+iifname "br0" oifname "br0" ct status dnat snat to $ext}
				$(nat_snat "$profile" "$ext")
			}
			chain learn {
				type filter hook postrouting priority 300;
				oifname { "wan", "br0" } ct direction original ip saddr $ext meta l4proto udp jump note
			}
			chain note {
				meta l4proto udp update @out { ct original ip saddr . ct original proto-src : ip saddr . udp sport }
				meta l4proto udp update @outad { ct original ip saddr . ct original proto-src . ip daddr : ip saddr . udp sport }
				meta l4proto udp update @rev { ip saddr . udp sport : ct original ip saddr . ct original proto-src }
				meta l4proto udp update @revad { ip saddr . udp sport . ip daddr : ct original ip saddr . ct original proto-src }
			}
		}
		table inet filter {
			chain input {
				type filter hook input priority filter; policy drop;
				iifname "lo" accept
				ct state established,related accept
				meta l4proto { icmp, icmpv6 } accept
			}
			chain forward {
				type filter hook forward priority filter; policy drop;
				ct state established,related accept
				$(nat_out "$profile")
				ct status dnat accept
				iifname "wan" icmpv6 type echo-request accept
			}
		}
	END
}
