# SPDX-License-Identifier: MIT
# NAT routers, as nftables rules. Sourced by lib.sh.
#
#   profile      mapping / filtering (RFC 4787)                 port       hairpin
#   fullcone     endpoint-independent / endpoint-independent    preserved  yes
#   addr-restr   endpoint-independent / address-dependent       preserved  yes
#   port-restr   endpoint-independent / address and port        preserved  as told (default no)
#   linux        plain masquerade / address and port            preserved  no
#   symmetric    address and port / address and port            random     no
#
# How: the kernel picks the external port. A chain behind srcnat notes what it picked in timed
# maps: `out` from inside to outside, `rev` the other way, `revad` with the address contacted. The
# srcnat chain obeys `out`: that makes the mapping endpoint-independent even where two hosts inside
# use one port. The dstnat chain obeys `rev` (everybody may come in) or `revad` (who was contacted
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
	local name=$1 profile=$2 ext=$3 lan=$4 hairpin=${5:-}
	net_attach "$name" wan "$ext"
	node_sysctl "$name" ipv4/ip_forward=1 ipv6/conf/all/forwarding=1
	node_ip "$name" <<-END
		link add br0 type bridge
		link set dev br0 addrgenmode none
		link set dev br0 up
		addr add $lan dev br0
		addr add fe80::1/64 dev br0 nodad
	END
	nat_rules "$profile" "$ext" "$hairpin" >"$LAB_DIR/conf/$name.nft"
	nx "$name" nft -f - <"$LAB_DIR/conf/$name.nft" || fail "NAT rules ($profile) on $name"
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
	nx "$1" nft flush ruleset && nx "$1" nft -f - <"$LAB_DIR/conf/$1.nft" || fail "reboot of $1"
	nx "$1" conntrack -F >/dev/null 2>&1 || fail "conntrack -F on $1"
}

nat_rules()
{
	local profile=$1 ext=$2 hairpin=$3 in='' snat="oifname \"wan\" masquerade"
	case $profile in
	fullcone)
		hairpin=${hairpin:-hairpin}
		in='iifname "wan" meta l4proto udp dnat ip to ip daddr . udp dport map @rev'
		;;
	addr-restr)
		hairpin=${hairpin:-hairpin}
		in='iifname "wan" meta l4proto udp dnat ip to ip daddr . udp dport . ip saddr map @revad'
		;;
	port-restr | linux) ;;
	symmetric)
		snat="oifname \"wan\" meta l4proto udp snat to $ext:1024-65535 fully-random
		oifname \"wan\" masquerade"
		;;
	*) fail "no NAT profile named '$profile'" ;;
	esac
	cat <<-END
		table ip nat {
			map out {
				type ipv4_addr . inet_service : ipv4_addr . inet_service
				flags dynamic,timeout; timeout 120s; size 65535
			}
			map rev {
				type ipv4_addr . inet_service : ipv4_addr . inet_service
				flags dynamic,timeout; timeout 120s; size 65535
			}
			map revad {
				type ipv4_addr . inet_service . ipv4_addr : ipv4_addr . inet_service
				flags dynamic,timeout; timeout 120s; size 65535
			}
			chain dstnat {
				type nat hook prerouting priority dstnat;
				$in
				${hairpin:+iifname "br0" ip daddr $ext meta l4proto udp dnat ip to ip daddr . udp dport map @rev}
			}
			chain srcnat {
				type nat hook postrouting priority srcnat;
				$(nat_keeps_mapping "$profile" && echo 'oifname "wan" meta l4proto udp snat ip to ip saddr . udp sport map @out')
				${hairpin:+iifname "br0" oifname "br0" ct status dnat meta l4proto udp snat ip to ip saddr . udp sport map @out}
				${hairpin:+iifname "br0" oifname "br0" ct status dnat snat to $ext}
				$snat
			}
			chain learn {
				type filter hook postrouting priority 300;
				oifname { "wan", "br0" } ct direction original ip saddr $ext meta l4proto udp jump note
			}
			chain note {
				meta l4proto udp update @out { ct original ip saddr . ct original proto-src : ip saddr . udp sport }
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
				iifname "br0" accept
				ct status dnat accept
				iifname "wan" icmpv6 type echo-request accept
			}
		}
	END
}

nat_keeps_mapping()
{
	case $1 in
	fullcone | addr-restr | port-restr) true ;;
	*) false ;;
	esac
}
