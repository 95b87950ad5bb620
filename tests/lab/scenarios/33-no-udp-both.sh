# SPDX-License-Identifier: MIT
# UDP is blocked at both sides: both reach the relay by TCP.

setup()
{
	relay_lab no-udp no-udp
	turn_use 'turn:user:secret@192.0.2.20:3478?transport=udp' 'turn:user:secret@192.0.2.20:3478?transport=tcp'
}

check()
{
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	relayed a b
	transfer a b 1000000
	transfer b a 1000000
}
