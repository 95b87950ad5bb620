# SPDX-License-Identifier: MIT
# Each NAT profile behaves as the table in nat.sh says. Needs nothing of ours: coturn's discovery
# tool (RFC 5780) asks coturn's server.

profiles='fullcone addr-restr port-restr linux symmetric port-restr-rand adm symmetric-seq symmetric-eif
udp5s udp10s no-udp tcp443 adm-adf symmetric-pool udp30s'

setup()
{
	local p i=0
	internet
	server stun 192.0.2.10 192.0.2.11
	node r{1..16} h{1..16} public hostfw r20 h20 i20 i1 i3 carrier rc hc
	for p in $profiles; do
		i=$((i + 1))
		nat_setup "r$i" "$p" "203.0.113.$i" "192.168.$i.1/24"
		lan_attach "h$i" "r$i" "192.168.$i.2/24"
	done
	nat_home public - public 203.0.113.30 -
	nat_home hostfw - hostfw 203.0.113.31 -
	nat_setup r20 port-restr 203.0.113.20 192.168.20.1/24 hairpin
	lan_attach h20 r20 192.168.20.2/24
	lan_attach i20 r20 192.168.20.3/24
	lan_attach i3 r3 192.168.3.3/24
	lan_attach i1 r1 192.168.1.3/24
	nat_setup carrier port-restr 203.0.113.21 100.80.0.1/16 hairpin
	nat_behind rc carrier linux 100.80.0.2/16 192.168.1.1/24
	lan_attach hc rc 192.168.1.2/24
	daemon stun turnserver turnserver -n --stun-only -L 192.0.2.10 -L 192.0.2.11 --no-cli --no-tls \
		--no-dtls --log-file stdout --userdb=/run/turndb --pidfile /run/turnserver.pid
	within 10 'coturn listens' nx stun sh -c 'ss -Hulpn "sport = :3478" | grep -q turnserver'
}

# Both take seconds of waiting for answers that must not come: all at once.
ask()
{
	local h
	for h; do daemon "$h" discover turnutils_natdiscovery -m -f 192.0.2.10; done
	for h; do wait_until 30 daemon_gone "$h" discover || fail "discovery at $h hangs"; done
}

found() { grep -o "NAT with .*$1" "$(log_of "$2" discover)" | sed 's/NAT with //; s/ Dependent//; s/ and /+/; s/ Independent//; s/!//'; }

check()
{
	ask h{1..11} h{14..16} hc
	behaves 1 'Endpoint' 'Endpoint'
	behaves 2 'Endpoint' 'Address'
	behaves 3 'Endpoint' 'Address+Port'
	behaves 4 'Endpoint' 'Address+Port'
	behaves 5 'Address+Port' 'Address+Port'
	behaves 6 'Endpoint' 'Address+Port'
	behaves 7 'Address' 'Address+Port'
	behaves 8 'Address+Port' 'Address+Port'
	behaves 9 'Address+Port' 'Endpoint'
	behaves 10 'Endpoint' 'Address+Port'
	behaves 11 'Endpoint' 'Address+Port'
	behaves 14 'Address' 'Address'
	behaves 15 'Address+Port' 'Address+Port'
	behaves 16 'Endpoint' 'Address+Port'
	equal 'behind a carrier: mapping' "$(found Mapping hc)" 'Endpoint Mapping'
	hairpin h1 i1 203.0.113.1
	hairpin h20 i20 203.0.113.20
	no_hairpin h3 203.0.113.3
	one_port_inside
	ports
	pool
	without_nat
	forgotten
	equal 'UDP through no-udp' "$(outside h12 7000 192.0.2.10)" ''
	equal 'UDP through tcp443' "$(outside h13 7000 192.0.2.10)" ''
	equal 'TCP to port 80 through no-udp and tcp443' "$(tcp h12 80)$(tcp h13 80)" truefalse
	equal 'TCP to port 443 through no-udp and tcp443' "$(tcp h12 443)$(tcp h13 443)" truetrue
	runtime
}

# outside HOST PORT SERVER: the address and port that the server sees: a Binding request, and the
# XOR-MAPPED-ADDRESS that comes first in the answer
outside()
{
	local b
	read -r -a b < <(printf '\0\1\0\0\x21\x12\xa4\x42laboratory12' |
		nx "$1" nc -u -W 1 -w 1 -p "$2" "$3" 3478 | od -An -v -tu1 -w256)
	[ "${#b[@]}" -lt 32 ] || printf '%d.%d.%d.%d:%d' $((b[28] ^ 0x21)) $((b[29] ^ 0x12)) $((b[30] ^ 0xa4)) \
		$((b[31] ^ 0x42)) $(((b[26] << 8 | b[27]) ^ 0x2112))
}

tcp()
{
	nx stun sh -c 'exec nc -N -l "$0" </dev/null' "$2" >/dev/null &
	wait_until 5 nx stun sh -c 'ss -Htln "sport = :$0" | grep -q .' "$2" || fail "nc on stun"
	nx "$1" nc -z -w 1 192.0.2.10 "$2" && echo true || echo false
	kill $! 2>/dev/null
}

ports()
{
	local first second
	equal 'port-restr keeps the port' "$(outside h3 7000 192.0.2.10)" 203.0.113.3:7000
	[ "$(outside h6 7000 192.0.2.10)" != 203.0.113.6:7000 ] || fail 'port-restr-rand keeps the port'
	first=$(outside h8 7000 192.0.2.10)
	second=$(outside h8 7000 192.0.2.11)
	equal 'symmetric-seq: the next port' "${second##*:}" "$((${first##*:} + 1))"
}

# Flows leave from several addresses of the pool, and answers come back from each. All by one: once in four
# to the 20th power.
pool()
{
	local i n
	for i in {1..20}; do nx h15 nc -u -w 0 -p $((7100 + i)) 192.0.2.10 3478 <"$LAB_DIR/hello" || true; done
	n=$(nx r15 conntrack -L -p udp --orig-src 192.168.15.2 2>/dev/null |
		sed -n 's/.*sport=71[0-9]*.* dst=\(203[0-9.]*\).*/\1/p' | sort -u | grep -c .)
	[ "$n" -gt 1 ] || fail 'symmetric-pool: one address for 20 flows'
	for i in {1..8}; do
		[ -n "$(outside h15 $((7200 + i)) 192.0.2.10)" ] || fail 'symmetric-pool: no answer'
	done
	say "symmetric-pool: $n addresses for 20 flows"
}

# Public addresses, seen as they are; a stranger's datagram comes in unless the firewall keeps it out.
without_nat()
{
	local h
	equal 'public: from outside' "$(outside public 7000 192.0.2.10)" 203.0.113.30:7000
	equal 'hostfw: from outside' "$(outside hostfw 7000 192.0.2.10)" 203.0.113.31:7000
	for h in public hostfw; do
		daemon "$h" listen nc -u -l -p 7000
		wait_until 5 nx "$h" sh -c 'ss -Hulpn "sport = :7000" | grep -q nc' || fail "nc on $h"
	done
	nx stun nc -u -w 1 -p 7001 203.0.113.31 7000 <"$LAB_DIR/hello" || true
	nx stun nc -u -w 1 -p 7001 203.0.113.30 7000 <"$LAB_DIR/hello" || true
	within 3 'a stranger reaches the public host' grep -q hello "$(log_of public listen)"
	equal 'what he gets through to hostfw' "$(cat "$(log_of hostfw listen)")" ''
}

# A mapping lives as long as its profile says, and no longer.
forgotten()
{
	local before5 before10 before30
	before5=$(outside h10 7000 192.0.2.10)
	before10=$(outside h11 7000 192.0.2.10)
	before30=$(outside h16 7000 192.0.2.10)
	sleep 7
	equal 'udp10s: the port after 7 s' "$(outside h11 7000 192.0.2.11)" "$before10"
	equal 'udp30s: the port after 7 s' "$(outside h16 7000 192.0.2.11)" "$before30"
	equal 'udp30s: what the kernel is told' "$(nx r16 cat /proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream)" 30
	[ "$(outside h10 7000 192.0.2.11)" != "$before5" ] || fail 'udp5s: the same port after 7 s'
	say 'udp5s: another port after 7 s'
}

# What changes while it runs
runtime()
{
	local before
	before=$(outside h5 7000 192.0.2.10)
	nat_open r5
	equal 'opened: the mapping of a flow that was up' "$(outside h5 7000 192.0.2.10)" "$before"
	equal 'opened: the mapping of another' "$(outside h5 7000 192.0.2.11)" "$before"
	nat_moves r3 203.0.113.103
	equal 'moved: the mapping' "$(outside h3 7000 192.0.2.10)" 203.0.113.103:7000
	cut_path 203.0.113.103 192.0.2.10
	equal 'cut: the mapping' "$(outside h3 7000 192.0.2.10)" ''
	mend_path 203.0.113.103 192.0.2.10
	equal 'mended: the mapping' "$(outside h3 7000 192.0.2.10)" 203.0.113.103:7000
	small_mtu r3 wan r3 1280
	expect '1280 bytes pass' nx h3 ping -n -q -c 1 -W 1 -M do -s 1252 192.0.2.10
	equal 'what is said of 1281 bytes' "$(nx h3 ping -n -c 1 -W 1 -M do -s 1253 192.0.2.10 | grep -c 'Frag needed')" 0
	equal 'replies of 1281 bytes' "$(nx stun ping -n -c 1 -W 1 -M do -s 1253 203.0.113.103 2>&1 | grep -c 'Frag needed\|bytes from')" 0
	drops_wireguard r3
	equal 'STUN where WireGuard is dropped' "$(outside h3 7000 192.0.2.10)" 203.0.113.103:7000
	equal 'a handshake there' "$(datagram '\001\0\0\0')" 0
	equal 'anything else there' "$(datagram '\001\0\0\1')" 1
	passes_wireguard r3
	equal 'a handshake afterwards' "$(datagram '\001\0\0\0')" 1
}

# datagram BYTES: how many of one arrive from h3 at the server
datagram()
{
	nx stun sh -c 'exec timeout 1 tcpdump -n -i eth0 -c 1 -Z root --immediate-mode "udp dst port 7777" 2>"$0"' "$LAB_DIR/dump" >"$LAB_DIR/seen" &
	wait_until 5 grep -q 'listening on' "$LAB_DIR/dump" || fail 'tcpdump on stun'
	printf "$1" >"$LAB_DIR/datagram"
	nx h3 nc -u -w 0 -p 7003 192.0.2.10 7777 <"$LAB_DIR/datagram" || true
	wait $! || true
	rm -f "$LAB_DIR/dump"
	grep -c 7777 "$LAB_DIR/seen" || true
}

behaves()
{
	local p
	# shellcheck disable=SC2086
	p=$(printf '%s\n' $profiles | sed -n "$1p")
	equal "$p: mapping" "$(found Mapping "h$1")" "$2 Mapping"
	equal "$p: filtering" "$(found Filtering "h$1")" "$3 Filtering"
}

# A datagram of the first host to the second one's mapping, seen from inside the same NAT
hairpin()
{
	echo hello >"$LAB_DIR/hello"
	nx "$2" nc -u -w 1 -p 7000 192.0.2.10 9 <"$LAB_DIR/hello" || true
	daemon "$2" listen nc -u -l -p 7000
	wait_until 5 nx "$2" sh -c 'ss -Hulpn "sport = :7000" | grep -q nc' || fail "nc on $2"
	nx "$1" nc -u -w 1 -p 7001 "$3" 7000 <"$LAB_DIR/hello" || true
	within 3 "$1 reaches $2 at $3" grep -q hello "$(log_of "$2" listen)"
}

no_hairpin()
{
	nx i3 nc -u -w 1 -p 7000 192.0.2.10 9 <"$LAB_DIR/hello" || true
	daemon i3 listen nc -u -l -p 7000
	wait_until 5 nx i3 sh -c 'ss -Hulpn "sport = :7000" | grep -q nc' || fail "nc on i3"
	nx "$1" nc -u -w 1 -p 7001 "$2" 7000 <"$LAB_DIR/hello" || true
	equal "what $1 gets through to $2" "$(cat "$(log_of i3 listen)")" ''
}

# Two hosts inside use one port: each has a mapping of its own, and keeps it for every destination.
one_port_inside()
{
	local h to
	for to in 192.0.2.10 192.0.2.11; do
		for h in h20 i20; do nx "$h" nc -u -w 1 -p 5000 "$to" 9 <"$LAB_DIR/hello" || true; done
	done
	# The reply's destination port is the port outside.
	equal 'number of mappings for one port of two hosts' \
		"$(nx r20 conntrack -L -p udp --orig-port-src 5000 2>/dev/null |
			sed 's/.*dport=\([0-9]*\).*/\1/' | sort -u | wc -l)" 2
}
