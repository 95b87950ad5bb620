# SPDX-License-Identifier: MIT
# nat-agent netcheck behind each NAT: how it maps, filters, gives out ports and turns packets back, by
# nat-signald with two addresses; what it says where UDP is blocked, and where nothing is.

profiles='fullcone addr-restr port-restr port-restr-rand adm symmetric symmetric-seq symmetric-eif'

setup()
{
	local p i=0
	internet
	server sig 192.0.2.10 192.0.2.11
	node r{1..9} h{1..9} open
	for p in $profiles no-udp; do
		i=$((i + 1))
		nat_setup "r$i" "$p" "203.0.113.$i" "192.168.$i.1/24"
		lan_attach "h$i" "r$i" "192.168.$i.2/24"
	done
	net_attach open eth0 203.0.113.100
	signald sig
}

# look NODE…: all at once, for each waits for answers that must not come
look()
{
	local n
	for n; do
		daemon "$n" netcheck sh -c '"$@"; echo "status $?" >&2' sh \
			"$NAT_AGENT" netcheck --json --signal "ws://192.0.2.10:$LAB_SIGNAL_PORT" --stun 192.0.2.11
	done
	for n; do wait_until 60 daemon_gone "$n" netcheck || fail "netcheck at $n hangs"; done
}

# seen NODE FILTER
seen() { grep -v '^status' "$(log_of "$1" netcheck)" | jq -r "$2"; }

# behaves NODE MAPPING FILTERING PORTS HAIRPIN
behaves()
{
	equal "$1" "$(seen "$1" '.ipv4 | [.mapping, .filtering, .ports, .hairpin] | join(" ")')" "${*:2}"
	grep -q 'status 0' "$(log_of "$1" netcheck)" || fail "$1: its exit status is not 0"
}

check()
{
	local ei=endpoint-independent ad=address-dependent apd=address-and-port-dependent
	look h{1..9} open
	behaves h1 $ei $ei preserved true
	behaves h2 $ei $ad preserved true
	behaves h3 $ei $apd preserved false
	behaves h4 $ei $apd random false
	behaves h5 $ad $apd random false
	behaves h6 $apd $apd random false
	behaves h7 $apd $apd sequential false
	behaves h8 $apd $ei random false
	equal 'step of h7' "$(seen h7 .ipv4.port_step)" 1
	behaves open none $ei preserved ''
	equal 'UDP blocked' "$(seen h9 '.ipv4 | [.answered, .mapping] | join(" ")')" '0 unknown'
	seen h9 .verdict | grep -q '^UDP is blocked' || fail "h9: $(seen h9 .verdict)"
	equal 'signaling by TCP' "$(seen h9 '.servers[] | select(.kind == "signaling") | .ok')" true
	grep -q 'status 1' "$(log_of h9 netcheck)" || fail 'h9: its exit status is not 1'
	seen h6 .verdict | grep -q '^hard NAT' || fail "h6: $(seen h6 .verdict)"
	seen h3 .verdict | grep -q '^easy NAT' || fail "h3: $(seen h3 .verdict)"
	words
	nobody
}

# What people see
words()
{
	nx h6 "$NAT_AGENT" netcheck --stun 192.0.2.10 >"$LAB_DIR/out" || fail 'netcheck fails'
	expect 'the text says what there is' grep -q 'mapping address-and-port-dependent' "$LAB_DIR/out"
	[ "$(wc -L <"$LAB_DIR/out")" -le 80 ] || fail 'a line is longer than 80 columns'
	cat "$LAB_DIR/out"
}

# No server, a dead one, a name that leads nowhere: a line each, and no crash
nobody()
{
	nx open "$NAT_AGENT" netcheck >"$LAB_DIR/out" || fail "netcheck without a server: $(cat "$LAB_DIR/out")"
	expect 'without a server' grep -q 'give --stun HOST' "$LAB_DIR/out"
	! nx open "$NAT_AGENT" netcheck --stun 192.0.2.99 >"$LAB_DIR/out" || fail 'a dead server is no failure'
	expect 'a dead server is named' grep -q '192.0.2.99: no answer by UDP' "$LAB_DIR/out"
	nx open "$NAT_AGENT" netcheck --signal ws://192.0.2.10:1 >"$LAB_DIR/out" || fail 'UDP does pass'
	expect 'a shut port is named' grep -q 'Connection refused' "$LAB_DIR/out"
	nx open "$NAT_AGENT" netcheck --stun nowhere.invalid >"$LAB_DIR/out" || true
	expect 'a name that leads nowhere' grep -q 'nowhere.invalid: the name leads nowhere' "$LAB_DIR/out"
}
