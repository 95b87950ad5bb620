# SPDX-License-Identifier: MIT
# Peers without an agent beside one that has it: a phone that comes in from behind a NAT, and a hub
# with a configured endpoint. Both are left alone, and shown as connected.

setup()
{
	two_nats port-restr port-restr
	server hub 198.51.100.9
	nat_router rc linux 203.0.113.3 192.168.3.1/24
	node phone
	lan_attach phone rc 192.168.3.2/24
	server c 198.51.100.7
	wg_up c 3
	wg_up hub 4
	wg_up phone 5
	wg_pair b c
	wg_peer c hub endpoint 198.51.100.9:51820 persistent-keepalive 21
	wg_peer hub c
	wg_peer c phone
	wg_peer phone c endpoint 198.51.100.7:51820 persistent-keepalive 1
	signald sig
	nx c ping -n -q -c 1 -W 5 "$(wg_ip hub)" >/dev/null || true
	within 10 'hub is there without us' wg_handshaken c hub
	within 10 'phone is there without us' wg_handshaken c phone
}

left_alone()
{
	local peer
	for peer in hub phone; do
		echo "$peer $(wg_get c "$peer" endpoints) $(wg_get c "$peer" persistent-keepalive)"
	done
}

check()
{
	local before
	before=$(left_alone)
	agent b c
	direct b c
	within 5 'hub is shown as connected' peer_is c hub connected
	within 5 'phone is shown as connected' peer_is c phone connected
	expect_reason c hub direct-no-agent-configured
	equal "hub's type" "$(peer c hub .path.remote.type)" configured
	pings c hub
	pings c phone
	[ "$(left_alone)" = "$before" ] || fail "endpoints and keepalives of both: $(left_alone | tr '\n' ' '), before: $before"
	say 'endpoints and keepalives of both are as they were'
	phone_roams
	agent_stop c
	equal "hub's endpoint after the agent's end" "$(wg_get c hub endpoints)" 198.51.100.9:51820
	equal "hub's keepalive after the agent's end" "$(wg_get c hub persistent-keepalive)" 21
}

# The phone gets another mapping: WireGuard follows by itself, and the agent lets it.
phone_roams()
{
	local old
	old=$(wg_get c phone endpoints)
	nx phone wg set wg0 listen-port 41000
	within 10 "phone has another endpoint than $old" phone_moved "$old"
	within 5 'phone is still connected' peer_is c phone connected
	within 3 "phone's type is 'roamed'" phone_roamed
	expect_reason c phone direct-no-agent-roamed
	equal "phone's keepalive" "$(wg_get c phone persistent-keepalive)" off
	pings c phone
}

phone_roamed() { [ "$(peer c phone .path.remote.type)" = roamed ]; }
phone_moved() { [ "$(wg_get c phone endpoints)" != "$1" ]; }
