# SPDX-License-Identifier: MIT
# WireGuard alone, through a full-cone NAT at each end, with endpoints set by hand: the lab's nodes,
# NATs and WireGuard work without anything of ours.

setup()
{
	two_nats fullcone fullcone
}

check()
{
	# Both mappings must exist before anybody can come in.
	wg_peer a b endpoint 198.51.100.1:51820 persistent-keepalive 1
	wg_peer b a endpoint 203.0.113.1:51820 persistent-keepalive 1
	within 20 'a has shaken hands with b' wg_handshaken a b
	pings a b
	pings6 b a
	say 'pings pass both ways'
}
