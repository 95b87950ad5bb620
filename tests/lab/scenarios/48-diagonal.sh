# SPDX-License-Identifier: MIT
# Four pairs of NATs that no other scenario has, at once: what kind of path they come to. All pairs, and what they
# cost: tests/lab/matrix.

pairs='1:hostfw:linux:direct 2:addr-restr:symmetric-eif:direct 3:fullcone:adm-adf:direct 4:symmetric-pool:adm:relayed'

# each DO: DO NUMBER PROFILE-A PROFILE-B KIND for all pairs
each()
{
	local p
	for p in $pairs; do "$1" ${p//:/ }; done
}

make_pair()
{
	nat_home "a$1" "ra$1" "$2" "203.0.113.$1" "192.168.$1"
	nat_home "b$1" "rb$1" "$3" "198.51.100.$1" "192.168.10$1"
	wg_up "a$1" "$1"
	wg_up "b$1" "10$1"
	wg_pair "a$1" "b$1"
}

setup()
{
	internet
	server sig 192.0.2.10 192.0.2.11
	server turn 192.0.2.20
	node {a,b,ra,rb}{1..4}
	each make_pair
	turn_server turn user:secret
	signald sig
}

check_pair() { "$4" "a$1" "b$1" 30; }

check()
{
	agent {a,b}{1..4}
	each check_pair
}
