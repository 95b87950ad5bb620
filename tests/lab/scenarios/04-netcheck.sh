# SPDX-License-Identifier: MIT
# nat-agent netcheck behind each NAT: how it maps, filters, gives out ports and turns packets back, by
# nat-signald with two addresses; how long a mapping survives; what size passes; which uplinks, routers,
# NAT64 there are; each server by each transport, with the reason where it can't be reached; and what it
# says where UDP is blocked, and where nothing is.

profiles='fullcone addr-restr port-restr port-restr-rand adm symmetric symmetric-seq symmetric-eif no-udp udp5s tcp443 linux'

setup()
{
	local p i=0
	internet
	server sig 192.0.2.10 192.0.2.11 2001:db8:ff::10 64:ff9b::c000:20a
	server turn 192.0.2.20
	node r{1..12} h{1..12} open
	for p in $profiles; do
		i=$((i + 1))
		nat_setup "r$i" "$p" "203.0.113.$i" "192.168.$i.1/24"
		lan_attach "h$i" "r$i" "192.168.$i.2/24"
	done
	net_attach open eth0 203.0.113.100
	# h1: IPv6 behind a firewall, and a resolver that makes NAT64's addresses
	nat_v6 r1 2001:db8:1::
	lan_attach h1 r1 2001:db8:1::2/64
	dns sig ipv4only.arpa=64:ff9b::c000:aa
	resolver h1 192.0.2.10
	# h2: a way that carries 1400 bytes; and an uplink that is not used
	node_ip r2 <<<'link set dev wan mtu 1400'
	lan_attach h2 r1 192.168.1.22/24 eth1 500
	forwards r3 20.30.40.50
	turn_server turn user:secret
	turn_trust turn h11
	signald sig
}

# forwards ROUTER EXTERNAL: it takes requests to forward ports, by all three protocols
forwards()
{
	cat >"$LAB_DIR/conf/$1.miniupnpd" <<-END
		ext_ifname=wan
		ext_ip=$2
		listening_ip=br0
		enable_natpmp=yes
		enable_upnp=yes
		secure_mode=yes
		uuid=00000000-0000-4000-8000-000000000001
		upnp_table_name=filter
		upnp_nat_table_name=nat
	END
	nx "$1" nft insert rule inet filter input iifname br0 accept || fail "firewall of $1"
	daemon "$1" miniupnpd miniupnpd -d -f "$LAB_DIR/conf/$1.miniupnpd" -P /run/miniupnpd.pid
	wait_until 10 nx "$1" sh -c 'ss -Huln "sport = :5351" | grep -q . && ss -Huln "sport = :1900" | grep -q .' ||
		fail "miniupnpd: $(tail -n 5 "$(log_of "$1" miniupnpd)")"
}

# begin NODE ARGUMENTS…
begin()
{
	local node=$1
	shift
	daemon "$node" netcheck sh -c '"$@"; echo "status $?" >&2' sh "$NAT_AGENT" netcheck --json "$@"
}

# seen NODE FILTER
seen() { grep -v '^status' "$(log_of "$1" netcheck)" | jq -r "$2"; }

# ended NODE STATUS: waits for it
ended()
{
	wait_until 60 daemon_gone "$1" netcheck || fail "netcheck at $1 hangs"
	grep -q "status $2" "$(log_of "$1" netcheck)" || fail "$1: its exit status is not $2: $(cat "$(log_of "$1" netcheck)")"
}

# asks NODE…: all of them at once, and they have ended
asks()
{
	local n
	for n; do begin "$n" --signal "ws://192.0.2.10:$LAB_SIGNAL_PORT" --stun 192.0.2.11; done
	for n; do wait_until 60 daemon_gone "$n" netcheck || fail "netcheck at $n hangs"; done
}

# behaves NODE MAPPING FILTERING PORTS HAIRPIN PER-DESTINATION
behaves()
{
	ended "$1" 0
	equal "$1" "$(seen "$1" '.ipv4 | [.mapping, .filtering, .ports, .hairpin, .per_destination.ports] | join(" ")')" "${*:2}"
}

check()
{
	local ei=endpoint-independent ad=address-dependent apd=address-and-port-dependent
	begin h10 --signal "ws://192.0.2.10:$LAB_SIGNAL_PORT" --slow
	begin h11 --signal "ws://192.0.2.10:$LAB_SIGNAL_PORT" --turn turns:user:secret@192.0.2.20:443
	# Their patience is short: few of them at a time, so that none waits for a processor instead of an answer.
	asks h9 h1 h2
	asks h3 h4 h5
	asks h6 h7 h8
	asks h12 open
	behaves h1 $ei $ei preserved true unknown
	behaves h2 $ei $ad preserved true unknown
	behaves h3 $ei $apd preserved false unknown
	behaves h4 $ei $apd random false unknown
	behaves h5 $ad $apd random false random
	behaves h6 $apd $apd random false random
	behaves h7 $apd $apd sequential false sequential
	behaves h8 $apd $ei random false random
	behaves h12 $ei $apd preserved false unknown
	behaves open none $ei preserved '' unknown
	equal 'steps of h7' "$(seen h7 '.ipv4 | "\(.port_step) \(.per_destination.port_step)"')" '1 1'
	seen h6 .verdict | grep -q '^hard NAT' || fail "h6: $(seen h6 .verdict)"
	seen h3 .verdict | grep -q '^easy NAT' || fail "h3: $(seen h3 .verdict)"
	seen open .verdict | grep -q '^no NAT' || fail "open: $(seen open .verdict)"
	blocked
	beside
	servers
	nobody
	lifetime
}

blocked()
{
	ended h9 1
	equal 'UDP blocked' "$(seen h9 '.ipv4 | [.answered, .mapping] | join(" ")')" '0 unknown'
	seen h9 .verdict | grep -q '^UDP is blocked' || fail "h9: $(seen h9 .verdict)"
	ended h11 1
	equal 'TCP 443 only' "$(rows h11)" "$(printf '%s\n' 'signaling tcp false null timed out' 'stun udp false null timed out' 'turn tls true relays at 192.0.2.20 null')"
	seen h11 .verdict | grep -q 'by the relay only' || fail "h11: $(seen h11 .verdict)"
	equal 'signaling by TCP' "$(seen h9 '.servers[] | select(.kind == "signaling") | .ok')" true
}

# Uplinks, IPv6, NAT64, MTU, the router: at those hosts that have something special of it
beside()
{
	equal 'uplinks of h2' "$(seen h2 '.uplinks | map("\(.interface) \(.family) \(.gateway) \(.addresses | join(",")) \(.used)") | join(", ")')" \
		'eth0 ipv4 192.168.2.1 192.168.2.2 true, eth1 ipv4 192.168.1.1 192.168.1.22 false'
	equal 'uplinks of open' "$(seen open '.uplinks | map("\(.interface) \(.addresses | join(","))") | join(", ")')" 'eth0 203.0.113.100'
	equal 'IPv6 of h1' "$(seen h1 '.uplinks[] | select(.family == "ipv6") | "\(.gateway) \(.addresses | join(",")) \(.used)"')" \
		'fe80::1 2001:db8:1::2 true'
	equal 'global' "$(seen h1 .ipv6.global) $(seen h2 .ipv6.global)" 'true null'
	equal 'NAT64' "$(seen h1 '.nat64 | "\(.present) \(.prefix) \(.reaches)"') $(seen h2 .nat64.present)" 'true 64:ff9b::/96 true null'
	equal 'MTUs' "$(seen h1 .ipv4.path_mtu_bytes) $(seen h2 '.ipv4 | "\(.path_mtu_bytes) \(.link_mtu_bytes)"')" '1500 1400 1500'
	seen h2 .advice[] | grep -q 'has to be 1340 at most' || fail "h2: $(seen h2 .advice)"
	equal 'router of h3' "$(seen h3 '.routers[] | "\(.gateway) \(.nat_pmp) \(.external) \(.pcp) \(.upnp)"')" \
		'192.168.3.1 true 20.30.40.50 true true'
	seen h3 '.routers[].upnp_host' | grep -q '^192\.168\.3\.1:' || fail "h3: $(seen h3 .routers)"
	equal 'router of h4' "$(seen h4 '.routers[] | "\(.gateway) \(.nat_pmp) \(.external) \(.pcp) \(.upnp)"')" \
		'192.168.4.1 false null false false'
}

# rows NODE: each server's line
rows() { seen "$1" '.servers[] | "\(.kind) \(.transport) \(.ok) \(.note) \(.problem)"'; }

# Each transport, and each reason
servers()
{
	daemon_again h6
	begin h6 --stun 192.0.2.10:9 --stun nowhere.invalid --turn turn:user:secret@192.0.2.20 --turn turn:192.0.2.20?transport=udp \
		--turn 'turn:user:wrong@192.0.2.20?transport=tcp' --turn turns:user:secret@192.0.2.20:443 --signal wss://192.0.2.20
	daemon_again h1
	begin h1 --signal "ws://[2001:db8:ff::10]:$LAB_SIGNAL_PORT" --stun 2001:db8:ff::10
	# STUN elsewhere than usual: the hello says where
	daemon open nat-signald "$NAT_SIGNALD" --listen 203.0.113.100:8081 --stun 203.0.113.100:3999 --name 203.0.113.100:8081
	wait_until 10 nx open sh -c 'ss -Htln "sport = :8081" | grep -q .' || fail "nat-signald on open: $(cat "$(log_of open nat-signald)")"
	daemon_again h2
	begin h2 --signal ws://203.0.113.100:8081
	ended h6 0
	cat >"$LAB_DIR/conf/rows" <<-END
		signaling tls false null TLS with 192.0.2.20:443 failed: its certificate is signed by nobody this host trusts
		stun udp true null null
		stun udp false null refused (nothing listens there)
		stun udp false null the name is unknown
		turn udp true relays at 192.0.2.20 null
		turn tcp true relays at 192.0.2.20 null
		turn udp true asks for credentials null
		turn tcp false null wrong or expired credentials (401 Unauthorized)
		turn tls false null its certificate is signed by nobody this host trusts
	END
	rows h6 | sed 's/the name is unknown\|the name can.t be looked up: .*/the name is unknown/; /tls false/!s/port 3478//' >"$LAB_DIR/conf/rows.seen"
	diff "$LAB_DIR/conf/rows" "$LAB_DIR/conf/rows.seen" || fail "rows of h6"
	wait_until 10 eval '[ "$(turn_allocations turn)" = 0 ]' || fail 'an allocation is left'
	ended h2 0
	equal 'an announced port' "$(rows h2)" "$(printf 'signaling tcp true null null\nstun udp true null null')"
	equal 'its name' "$(seen h2 '.servers[1].name')" 203.0.113.100:3999
	ended h1 0
	equal 'names of h1' "$(seen h1 '.servers | map(.name) | join(" ")')" \
		"ws://[2001:db8:ff::10]:$LAB_SIGNAL_PORT [2001:db8:ff::10]:3478 2001:db8:ff::10"
	equal 'a firewall on IPv6' "$(seen h1 '.ipv6 | "\(.answered) \(.mapping) \(.filtering)"')" '1 none address-and-port-dependent'
}

# The log of the last run is no longer of interest.
daemon_again() { : >"$(log_of "$1" netcheck)"; }

# No server, a dead one, a name that leads nowhere; what people see
nobody()
{
	nx open "$NAT_AGENT" netcheck >"$LAB_DIR/out" || fail "netcheck without a server: $(cat "$LAB_DIR/out")"
	expect 'without a server' grep -q 'give --stun HOST' "$LAB_DIR/out"
	! nx open setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all "$NAT_AGENT" netcheck \
		--stun 192.0.2.99 --signal ws://192.0.2.254:1 >"$LAB_DIR/out" || fail 'a dead server is no failure'
	expect 'a dead server is named' grep -q 'stun udp  *192.0.2.99  *timed out' "$LAB_DIR/out"
	expect 'a shut port is named' grep -q 'refuses the connection' "$LAB_DIR/out"
	expect 'without privileges' grep -q 'uplink *eth0, IPv4: 203.0.113.100' "$LAB_DIR/out"
	[ "$(wc -L <"$LAB_DIR/out")" -le 80 ] || fail 'a line is longer than 80 columns'
}

lifetime()
{
	ended h10 0
	equal 'mappings die' "$(seen h10 '.ipv4.lifetime | "\(.lost_s <= 10) \(.held_s == null or .held_s == 5)"')" 'true true'
	seen h10 .advice[] | grep -q PersistentKeepalive || fail "h10: $(seen h10 .advice)"
}
