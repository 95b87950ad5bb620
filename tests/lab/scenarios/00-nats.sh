# SPDX-License-Identifier: MIT
# Each NAT profile behaves as the table in nat.sh says. Needs nothing of ours: coturn's discovery
# tool (RFC 5780) asks coturn's server.

profiles='fullcone addr-restr port-restr linux symmetric'

setup()
{
	local p i=0
	internet
	server stun 192.0.2.10 192.0.2.11
	for p in $profiles; do
		i=$((i + 1))
		nat_router "r$i" "$p" "203.0.113.$i" "192.168.$i.1/24"
		node "h$i"
		lan_attach "h$i" "r$i" "192.168.$i.2/24"
	done
	nat_router r8 port-restr 203.0.113.8 192.168.8.1/24 hairpin
	node h8 i8 i1 i3
	lan_attach h8 r8 192.168.8.2/24
	lan_attach i8 r8 192.168.8.3/24
	lan_attach i3 r3 192.168.3.3/24
	lan_attach i1 r1 192.168.1.3/24
	daemon stun turnserver turnserver -n --stun-only -L 192.0.2.10 -L 192.0.2.11 --no-cli --no-tls \
		--no-dtls --log-file stdout --userdb=/run/turndb --pidfile /run/turnserver.pid
	within 10 'coturn listens' nx stun sh -c 'ss -Hulpn "sport = :3478" | grep -q turnserver'
}

# Both take seconds of waiting for answers that must not come: all at once.
ask()
{
	local i
	for i in 1 2 3 4 5; do daemon "h$i" discover turnutils_natdiscovery -m -f 192.0.2.10; done
	for i in 1 2 3 4 5; do wait_until 30 daemon_gone "h$i" discover || fail "discovery at h$i hangs"; done
}

found() { grep -o "NAT with .*$1" "$(log_of "$2" discover)" | sed 's/NAT with //; s/ Dependent//; s/ and /+/; s/ Independent//; s/!//'; }

check()
{
	ask
	behaves 1 'Endpoint' 'Endpoint'
	behaves 2 'Endpoint' 'Address'
	behaves 3 'Endpoint' 'Address+Port'
	behaves 4 'Endpoint' 'Address+Port'
	behaves 5 'Address+Port' 'Address+Port'
	hairpin h1 i1 203.0.113.1
	hairpin h8 i8 203.0.113.8
	no_hairpin h3 203.0.113.3
	one_port_inside
}

behaves()
{
	local p
	p=$(cut -d' ' -f"$1" <<<"$profiles")
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
		for h in h8 i8; do nx "$h" nc -u -w 1 -p 5000 "$to" 9 <"$LAB_DIR/hello" || true; done
	done
	# The reply's destination port is the port outside.
	equal 'number of mappings for one port of two hosts' \
		"$(nx r8 conntrack -L -p udp --orig-port-src 5000 2>/dev/null |
			sed 's/.*dport=\([0-9]*\).*/\1/' | sort -u | wc -l)" 2
}
