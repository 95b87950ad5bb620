# SPDX-License-Identifier: MIT
# One daemon, two interfaces, each with a key, port and peer of its own.

setup()
{
	two_nats port-restr port-restr
	server c 198.51.100.7
	wg_up c 3
	wg_key a wg1
	wg_link a wg1
	nx a wg set wg1 private-key "$LAB_DIR/conf/a.wg1.key" listen-port 51821 \
		peer "$(pub c)" allowed-ips 10.78.0.3/32
	nx c wg set wg0 peer "$(pub a.wg1)" allowed-ips 10.78.0.1/32
	node_ip a <<-END
		addr add 10.78.0.1/24 dev wg1
		link set wg1 up
	END
	node_ip c <<-END
		addr add 10.78.0.3/32 dev wg0
		route add 10.78.0.1/32 dev wg0
	END
	signald sig
}

check()
{
	agent_run a --interface wg0 --interface wg1 --signal "$LAB_SIGNAL"
	agent b c
	direct a b
	within 10 'a: c connected on wg1' peer_is a c connected
	within 5 'pings by wg1' nx a ping -n -q -c 1 -W 1 -I wg1 10.78.0.3
	equal 'interfaces in the status' "$(status a '[.interfaces[].name] | sort | join(" ")')" 'wg0 wg1'
	equal "c's endpoint of a" "$(nx c wg show wg0 endpoints | grep -F "$(pub a.wg1)" | cut -f2)" 203.0.113.1:51821
	equal 'peers of wg1' "$(nx a "$NAT_AGENT" status --json --interface wg1 --control "$AGENT_CONTROL" |
		jq -r '[.interfaces[].peers[].public_key] | join(" ")')" "$(pub c)"
	# One interface goes: the other one stays connected.
	wg_unlink a wg1
	sleep 2
	equal 'state of b' "$(peer a b .state)" connected
	pings a b
}
