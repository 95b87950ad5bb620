# SPDX-License-Identifier: MIT
# The public address of a NAT changes, as an uplink that is renumbered: nobody at the host is told.

setup()
{
	relay_lab port-restr port-restr
}

check()
{
	agent a b
	direct a b
	stream a b
	sleep 3
	event 'the NAT of a has another address' nat_moves ra 203.0.113.101
	took 10 'pings pass' passes a b
	gap a b 8000
	took 60 "b has a's new endpoint" peer_at b a 203.0.113.101:51820
	direct a b 30
}
