# SPDX-License-Identifier: MIT
# coturn's client of RFC 5780 finds out by nat-signald what 00-nats finds out by coturn's server: how each
# NAT maps and filters. Also where nat-signald itself is behind a one-to-one NAT. -P: padded, because
# our answers are never larger than the requests; its padding is a whole MTU, so they come in fragments.
#
# That client takes the OTHER-ADDRESS of the answer from the alternate address for the third server to ask,
# and coturn's server always names the second address there. By RFC 5780 §6.1 the other address's other
# address is the first one; so the client then asks the first address's second port, and its word on address-
# dependent mapping is wrong (of all others it is right). What it saw is right: mapped_by_address.

profiles='fullcone addr-restr port-restr adm symmetric symmetric-eif'

setup()
{
	local p i=0
	internet
	server sig 192.0.2.10 192.0.2.11
	server one 192.0.2.12
	node r{1..6} h{1..6} open cloud inner
	for p in $profiles; do
		i=$((i + 1))
		nat_setup "r$i" "$p" "203.0.113.$i" "192.168.$i.1/24"
		lan_attach "h$i" "r$i" "192.168.$i.2/24"
	done
	net_attach open eth0 203.0.113.100
	# a cloud's host: private addresses, each reached by a public one of its own
	nat_setup cloud port-restr 198.51.100.4 10.0.0.1/24
	net_attach_more cloud 198.51.100.5
	lan_attach inner cloud 10.0.0.4/24
	node_ip inner <<<'addr add 10.0.0.5/24 dev eth0'
	one_to_one
	daemon inner nat-signald "$NAT_SIGNALD" --listen 10.0.0.4:8080 --stun 10.0.0.4:3478 --stun 10.0.0.5:3478 \
		--stun-external 10.0.0.4=198.51.100.4 --stun-external 10.0.0.5=198.51.100.5
	daemon one nat-signald "$NAT_SIGNALD" --listen 192.0.2.12:8080 --stun 192.0.2.12:3478
	signald sig
	within 10 'nat-signald behind its NAT serves' grep -q 'two addresses' "$(log_of inner nat-signald)"
	within 10 'nat-signald with one address serves' grep -q serving "$(log_of one nat-signald)"
}

# A second public address of a router
net_attach_more()
{
	node_ip net <<<"route replace $2/32 dev $1"
	node_ip "$1" <<<"addr add $2/32 dev wan"
}

# Before the profile's own rules: what comes to an address goes to its host, and the other way round.
one_to_one()
{
	nx cloud nft -f - <<-END || fail 'one-to-one NAT'
		table ip one {
			map in { type ipv4_addr : ipv4_addr; elements = { 198.51.100.4 : 10.0.0.4, 198.51.100.5 : 10.0.0.5 } }
			map out { type ipv4_addr : ipv4_addr; elements = { 10.0.0.4 : 198.51.100.4, 10.0.0.5 : 198.51.100.5 } }
			chain in { type nat hook prerouting priority -150; iifname "wan" dnat to ip daddr map @in; }
			chain out { type nat hook postrouting priority 50; oifname "wan" snat to ip saddr map @out; }
		}
	END
}

# discover NAME SERVER HOST…: all at once, because each waits for answers that must not come
discover()
{
	local h name=$1 address=$2
	shift 2
	for h; do daemon "$h" "$name" turnutils_natdiscovery -m -f -P "$address"; done
	for h; do wait_until 60 daemon_gone "$h" "$name" || fail "discovery at $h hangs"; done
}

# found WHAT HOST NAME
found() { grep -o "NAT with .*$1" "$(log_of "$2" "$3")" | sed 's/NAT with //; s/ Dependent//; s/ and /+/; s/ Independent//; s/!//'; }

behaves()
{
	local p
	# shellcheck disable=SC2086
	p=$(printf '%s\n' $profiles | sed -n "$2p")
	equal "$1: $p: mapping" "$(found Mapping "h$2" "$1")" "$3 Mapping"
	equal "$1: $p: filtering" "$(found Filtering "h$2" "$1")" "$4 Filtering"
}

# mapped_by_address NAME HOST: the first and third answer came from one address and name one mapping, the
# second came from another one and names another
mapped_by_address()
{
	local first second third
	read -r first second third _ < <(grep -o 'reflexive addr: .*' "$(log_of "$2" "$1")" | sed 's/.*: //' | xargs)
	equal "$1: adm: mapping towards the first address's second port" "$third" "$first"
	[ "$second" != "$first" ] || fail "$1: adm: the same mapping towards the second address"
	say "$1: adm: mapping towards the second address is $second"
}

# said NAME SERVER-LINE…: what answers said of addresses, without doubles
said() { grep -ho "$2: .*" "$LAB_DIR"/log/h*."$1" | sed 's/.*: //' | sort -u | xargs; }

check()
{
	discover plain 192.0.2.10 h{1..6} open
	behaves plain 1 'Endpoint' 'Endpoint'
	behaves plain 2 'Endpoint' 'Address'
	behaves plain 3 'Endpoint' 'Address+Port'
	mapped_by_address plain h4
	equal 'plain: adm: filtering' "$(found Filtering h4 plain)" 'Address+Port Filtering'
	behaves plain 5 'Address+Port' 'Address+Port'
	behaves plain 6 'Address+Port' 'Endpoint'
	equal 'no NAT: filtering' "$(found Filtering open plain)" 'Endpoint Filtering'
	equal 'OTHER-ADDRESS' "$(said plain 'Other addr')" '192.0.2.10:3479 192.0.2.11:3478 192.0.2.11:3479'
	discover cloud 198.51.100.4 h1 h2 h5
	behaves cloud 1 'Endpoint' 'Endpoint'
	behaves cloud 2 'Endpoint' 'Address'
	behaves cloud 5 'Address+Port' 'Address+Port'
	equal 'OTHER-ADDRESS behind a one-to-one NAT' "$(said cloud 'Other addr')" '198.51.100.4:3479 198.51.100.5:3478 198.51.100.5:3479'
	equal 'RESPONSE-ORIGIN behind it, of private ones' "$(said cloud 'Response origin' | grep -c '10\.0\.0')" 0
	one_address
	lifetime
}

# With one address there is no OTHER-ADDRESS, and the client takes it for a server of plain STUN.
one_address()
{
	discover one 192.0.2.12 h1
	equal 'one address: OTHER-ADDRESS' "$(said one 'Other addr')" ''
	equal 'one address: answers' "$(grep -c 'Local addr' "$(log_of h1 one)")" 2
	equal 'one address: what is found' "$(found . h1 one)" ''
}

# RESPONSE-PORT: a mapping that is held, from behind a NAT that lets nobody else in
lifetime()
{
	nx h3 turnutils_natdiscovery -t -T 1 192.0.2.10 >"$LAB_DIR/lifetime" 2>&1 || true
	equal 'answers by RESPONSE-PORT after 1 s' "$(grep -c 'Local addr' "$LAB_DIR/lifetime")" 2
}
