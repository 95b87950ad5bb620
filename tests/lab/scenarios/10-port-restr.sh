# SPDX-License-Identifier: MIT
# The main case: two hosts, each behind its own port-restricted NAT, no endpoint configured anywhere.
# Seen from outside, each host uses one mapping only, and no WireGuard data passes the agent.

setup()
{
	two_nats port-restr port-restr
	signald sig
	capture ra wan
	capture rb wan
}

check()
{
	agent a
	within 3 "a waits for b" peer_is a b waiting
	agent b
	local t0
	t0=$(now_us)
	within 5 'a: b connected' peer_is a b connected
	within 5 'b: a connected' peer_is b a connected
	say "both connected $((($(now_us) - t0) / 1000)) ms after the later agent's start"
	direct a b
	expect_reason a b direct-easy-nats
	pings6 a b
	equal 'exit status of status' "$(nx a "$NAT_AGENT" status --control "$AGENT_CONTROL" >"$LAB_DIR/log/text"; echo $?)" 0
	expect 'the text names the peer' grep -q "$(pub b | cut -c1-8)" "$LAB_DIR/log/text"
	equal "a's public endpoint" "$(status a '.interfaces[0].nat.public[0]')" 203.0.113.1:51820
	equal "a's signaling" "$(status a '.interfaces[0].signaling.state')" connected
	equal "a's listen port" "$(status a '.interfaces[0].listen_port')" 51820
	equal "a's key" "$(status a '.interfaces[0].public_key')" "$(pub a)"
	capture_stop ra wan
	capture_stop rb wan
	one_mapping ra 203.0.113.1
	one_mapping rb 198.51.100.1
	no_data_in_agent
}

# A thousand pings through the tunnel, and the agent's TUN and sockets see next to nothing.
no_data_in_agent()
{
	local before after
	before=$(mux_packets)
	nx a ping -n -q -c 500 -i 0.002 "$(wg_ip b)" >/dev/null || fail 'no pings'
	after=$(mux_packets)
	[ "$before" -gt 0 ] || fail 'status counts no packets in the mux'
	[ $((after - before)) -lt 250 ] || fail "500 pings made $((after - before)) packets in the agent"
	say "500 pings made $((after - before)) packets in the agent"
}

mux_packets() { status a '.interfaces[0].counters | .stun_in + .stun_out'; }
