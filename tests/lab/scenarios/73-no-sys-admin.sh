# SPDX-License-Identifier: MIT
# No CAP_SYS_ADMIN, as in a container that has NET_ADMIN and NET_RAW only, on hosts with a strict rp_filter
# and a firewall that is open for WireGuard's port alone: no network namespace, but rules and a TUN. Direct,
# relayed, by IPv6; after kill -9 and another start nothing is there twice, and after SIGTERM nothing at all.

setup()
{
	local n
	relay_lab port-restr port-restr
	node rc rd c d
	nat_setup rc port-restr 203.0.113.3 192.168.3.1/24
	nat_setup rd port-restr 198.51.100.3 192.168.4.1/24
	nat_v6 rc 2001:db8:c::
	nat_v6 rd 2001:db8:d::
	lan_attach c rc 2001:db8:c::2/64
	lan_attach d rd 2001:db8:d::2/64
	wg_up c 3
	wg_up d 4
	wg_pair c d
	for n in a b c d; do
		node_sysctl "$n" ipv4/conf/all/rp_filter=1 ipv4/conf/default/rp_filter=1
		firewall "$n" 51820
	done
	# a user's rule that reads like ours
	node_ip a <<<'rule add from 240.78.0.1 lookup 99 pref 7 protocol static'
}

check()
{
	local before
	refusals
	before=$(picture a)
	# as a container's root is, by default
	LAB_AGENT_UNDER='setpriv --bounding-set=-all,+net_admin,+net_raw --inh-caps=-all'
	agent a b
	# Before anything else: rules go some 10 s after the proof.
	within 20 "a's own rules" rules_are a 1
	direct a b
	equal "a's isolation" "$(status a .isolation)" rules
	expect 'a device in sight' grep -q nat-ice0 <(picture a)
	equal "a's candidate" "$(status a '[.interfaces[0].candidates[] | select(.type == "host") | .endpoint] | join(" ")')" \
		192.168.1.2:51820
	killed
	relays
	agent_stop a TERM
	equal 'what is left of it' "$(diff <(echo "$before") <(picture a))" ''
	pings a b
	by_ipv6
}

own_rules() { { nx "$1" ip -d rule; nx "$1" ip -6 -d rule; } | grep -c 'proto 78' || true; }

rules_are() { [ "$(own_rules "$1")" = "$2" ]; }
# One for each private address
rules_match() { rules_are a "$(nx a ip -br addr show dev nat-ice0 | grep -o '240\.78\.' | wc -l)"; }

# All that an agent could leave
picture()
{
	nx "$1" ip -o link | cut -d: -f2
	nx "$1" ip -br addr
	nx "$1" ip -d rule
	nx "$1" ip -6 -d rule
	nx "$1" ip route show table all | grep nat-ice
	nx "$1" ip -6 route show table all | grep nat-ice
	true
}

killed()
{
	expect 'another search' nx a "$NAT_AGENT" restart "$(pub b)" --control "$AGENT_CONTROL"
	within 5 'its rule' rules_are a 1
	agent_stop a KILL
	equal 'rules that a killed agent leaves' "$(own_rules a)" 1
	agent a
	within 5 'a: b connected' peer_is a b connected
	direct a b
	# The path is adopted without a search: rules come with the next one.
	[ "$(own_rules a)" -le 1 ] || fail "$(own_rules a) rules after another start"
	expect "the user's rule is there" grep -q 'proto static' <(nx a ip -d rule)
}

relays()
{
	cut_path 203.0.113.1 198.51.100.1
	within 20 'a: b by relay' path_is a b relay
	relayed a b
	mend_path 203.0.113.1 198.51.100.1
	within 60 'a: b directly again' path_is a b direct
	direct a b
	within 5 "a's own rules" rules_match
}

by_ipv6()
{
	LAB_SIGNAL=$LAB_SIGNAL6
	agent c d
	direct c d
	equal "c's isolation" "$(status c .isolation)" rules
	equal "c's endpoint of d" "$(wg_get c d endpoints)" '[2001:db8:d::2]:51820'
}

# Each thing that is missing has its line, which says how to give it.
refusals()
{
	refusal 'without NET_ADMIN' 'CAP_NET_ADMIN.*--cap-add NET_ADMIN' setpriv --bounding-set=-net_admin,-sys_admin
	refusal 'without NET_RAW' 'CAP_NET_RAW.*--cap-add NET_RAW' setpriv --bounding-set=-net_raw,-sys_admin
	refusal 'without the device' '/dev/net/tun.*--device /dev/net/tun' \
		unshare --mount sh -c 'mount -t tmpfs none /dev/net && exec "$@"' sh setpriv --bounding-set=-sys_admin
	refusal 'a device that is not allowed' '/dev/net/tun.*--device /dev/net/tun' \
		unshare --mount sh -c 'mount -t tmpfs -o nodev none /dev/net && mknod /dev/net/tun c 10 200 &&
			exec "$@"' sh setpriv --bounding-set=-sys_admin
}

# refusal WHAT WORD COMMAND…: what nat-agent says behind this command
refusal()
{
	local what=$1 word=$2 code=0
	shift 2
	nx a timeout 10 "$@" "$NAT_AGENT" run --interface wg0 --signal "$LAB_SIGNAL" >"$LAB_DIR/out" 2>&1 || code=$?
	[ "$code" != 0 ] && [ "$code" != 124 ] || fail "$what: exit status $code"
	one_line "$what" "$word"
}
