# SPDX-License-Identifier: MIT
# One daemon, two interfaces, each with a key, port and peer of its own.

setup()
{
	two_interfaces
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
