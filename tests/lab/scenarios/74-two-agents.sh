# SPDX-License-Identifier: MIT
# Two agents in one network namespace, without CAP_SYS_ADMIN, each with an interface of its own: each has a
# TUN, addresses and rules of its own, and the end of one takes nothing from the other.

setup()
{
	two_interfaces
	signald sig
}

check()
{
	LAB_AGENT_UNDER='setpriv --bounding-set=-sys_admin'
	agent a b c
	daemon a second $LAB_AGENT_UNDER env STATE_DIRECTORY=/run/state/second "$NAT_AGENT" run \
		--interface wg1 --signal "$LAB_SIGNAL" --control /run/second.sock
	# Rules are there while a search needs them: what is proven needs none after some 10 s.
	within 20 'each has its table' tables_are 2
	direct a b
	within 10 'a: c connected on wg1' second_is connected
	within 5 'a ping by wg1' nx a ping -n -q -c 1 -W 1 -I wg1 10.78.0.3
	equal 'TUN devices' "$(nx a ip -br link | grep -o 'nat-ice[0-9]' | sort | xargs)" 'nat-ice0 nat-ice1'
	daemon_stop a second
	equal 'TUN devices' "$(nx a ip -br link | grep -o 'nat-ice[0-9]' | wc -l)" 1
	expect 'another search' nx a "$NAT_AGENT" restart "$(pub b)" --control "$AGENT_CONTROL"
	within 5 'the one left has its table' tables_are 1
	# the first one is as able to search as before
	event 'the NAT of a has another address' nat_moves ra 203.0.113.77
	within 30 'a: b from the new address' peer_at b a 203.0.113.77:51820
	direct a b
}

tables_are() { [ "$(nx a ip -d rule | grep 'proto 78' | grep -o 'lookup [0-9]*' | sort -u | wc -l)" = "$1" ]; }

second_is()
{
	[ "$(nx a "$NAT_AGENT" status --json --control /run/second.sock | jq -r '.interfaces[0].peers[0].state')" = "$1" ]
}
