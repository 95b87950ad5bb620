# SPDX-License-Identifier: MIT
# NATs that count ports, with neighbours behind them who make mappings all the time: they are still seen to count,
# by one, and many ports lead through. Where both ends have one, it may be missed: then that is what is said.

NOISE=${LAB_NOISE:-20}

pair()
{
	nat_home "a$1" "ra$1" "$2" "203.0.113.$1" "192.168.$1"
	nat_home "b$1" "rb$1" "$3" "198.51.100.$1" "192.168.10$1"
	wg_up "a$1" "$1"
	wg_up "b$1" "10$1"
	wg_pair "a$1" "b$1"
}

# beside NODE ROUTER LAN: a neighbour in the router's LAN
beside()
{
	node "$1"
	lan_attach "$1" "$2" "$3.9/24"
	neighbour "$1" "$NOISE"
}

setup()
{
	internet
	server sig 192.0.2.10 192.0.2.11
	server turn 192.0.2.20
	node {a,b,ra,rb}{1,2}
	pair 1 symmetric-seq port-restr
	pair 2 symmetric-seq symmetric-seq
	beside na1 ra1 192.168.1
	beside na2 ra2 192.168.2
	beside nb2 rb2 192.168.102
	turn_server turn user:secret
	signald sig
}

allocation() { status "$1" '.interfaces[0].nat.allocation | "\(.kind) \(.step)"'; }
counts() { [ "$(allocation "$1")" = 'sequential 1' ]; }

ended()
{
	local kind reason
	kind=$(peer "$1" "$2" .path.kind)
	reason=$(peer "$1" "$2" .reason)
	[ "$kind $reason" = 'direct direct-many-ports' ] ||
		{ [[ "$kind $reason" = 'relay relayed-'* ]] && grep -q 'no direct path by many ports' "$(log_of "$1" nat-agent)"; }
}

check()
{
	local n
	event 'the agents start' agent {a,b}{1,2}
	for n in a1 a2 b2; do within 20 "$n: its NAT counts by one" counts "$n"; done
	took 120 'a1: direct' path_is a1 b1 direct
	expect_reason a1 b1 direct-many-ports
	pings a1 b1
	took 60 'a2: direct, or it says why' ended a2 b2
	say "$(peer a2 b2 .reason)"
	pings a2 b2
}
