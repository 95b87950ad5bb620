# SPDX-License-Identifier: MIT
# What the running agent finds out about each kind of NAT and shows in its status: mapping, filtering, how
# a new mapping's port is chosen. A peer is told; a second start remembers without asking again; and with
# a server of one address nothing is guessed.

profiles='port-restr port-restr-rand adm symmetric symmetric-seq symmetric-eif fullcone'

setup()
{
	local p i=0
	internet
	server sig 192.0.2.10 192.0.2.11
	server one 192.0.2.12
	node r{1..7} h{1..7} open
	for p in $profiles; do
		i=$((i + 1))
		nat_setup "r$i" "$p" "203.0.113.$i" "192.168.$i.1/24"
		lan_attach "h$i" "r$i" "192.168.$i.2/24"
		wg_up "h$i" "$i"
	done
	net_attach open eth0 203.0.113.100
	wg_up open 8
	wg_pair h5 h7
	daemon one nat-signald "$NAT_SIGNALD" --listen 192.0.2.12:8080 --stun 192.0.2.12:3478
	signald sig
	within 10 'nat-signald with one address serves' grep -q serving "$(log_of one nat-signald)"
	within 10 'nat-signald has two addresses' grep -q 'two addresses' "$(log_of sig nat-signald)"
}

# nat NODE: mapping, filtering, ports
nat() { status "$1" '.interfaces[0].nat | [.mapping, .filtering, .allocation.kind] | join(" ")'; }
is_nat() { [ "$(nat "$1")" = "$2" ]; }

# behaves NODE MAPPING FILTERING PORTS: a run that began before all STUN servers had answered is repeated
behaves()
{
	wait_until 30 is_nat "$1" "${*:2}" || true
	equal "NAT of $1" "$(nat "$1")" "${*:2}"
}

told() { [ "$(nx h7 "$NAT_AGENT" status "$(pub h5)" --json --control "$AGENT_CONTROL" | jq -r '.interfaces[].peers[].detail.remote_nat | "\(.mapping) \(.filtering) \(.allocation.kind) \(.allocation.step)"')" = "$1" ]; }

check()
{
	local ei=endpoint-independent ad=address-dependent apd=address-and-port-dependent asked
	# the server's other address shows adm's mapping of WireGuard's port
	agent h{1..7} open
	behaves h1 $ei $apd preserved
	behaves h2 $ei $apd random
	behaves h3 $ad $apd random
	behaves h4 $apd $apd random
	behaves h5 $apd $apd sequential
	behaves h6 $apd $ei random
	behaves h7 $ei $ei preserved
	equal 'step of h5' "$(status h5 .interfaces[0].nat.allocation.step)" 1
	equal 'no NAT' "$(nat open)" 'none unknown '
	within 10 'h7 is told of the NAT of h5' told "$apd $apd sequential 1"
	nx h5 "$NAT_AGENT" status --control "$AGENT_CONTROL" >"$LAB_DIR/out" || true
	expect 'status shows it' grep -q 'ports sequential +1' "$LAB_DIR/out"
	[ "$(wc -L <"$LAB_DIR/out")" -le 80 ] || fail 'a line is longer than 80 columns'
	remembered
	one_address
}

# At the next start it is there with the mapping, without a question.
remembered()
{
	agent_stop h1
	LAB_DEBUG=all agent h1
	behaves h1 endpoint-independent address-and-port-dependent preserved
	expect 'it is remembered' grep -q "NAT's class: unknown → known (remembered)" "$(log_of h1 nat-agent)"
}

# Two ports of one address show the filtering of a NAT with one mapping that lets nobody else in; of the others
# they show nothing.
one_address()
{
	local n
	for n in h2 h4; do
		agent_stop "$n"
		nat_moves "r${n#h}" "198.51.100.${n#h}"
		LAB_SIGNAL=ws://192.0.2.12:8080 agent "$n"
	done
	behaves h2 endpoint-independent address-and-port-dependent random
	behaves h4 address-and-port-dependent unknown random
}
