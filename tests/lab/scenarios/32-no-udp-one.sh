# SPDX-License-Identifier: MIT
# UDP is blocked at one side: that side reaches the relay by TCP, the other side by UDP.

setup()
{
	relay_lab no-udp port-restr
	turn_use 'turn:user:secret@192.0.2.20:3478?transport=udp' 'turn:user:secret@192.0.2.20:3478?transport=tcp'
}

check()
{
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	relayed a b
	expect 'a reaches the relay by TCP' relay_is a up transport=tcp
	expect_reason a b relayed-udp-blocked 20
	expect_reason b a relayed-udp-blocked
	transfer a b 1000000
	transfer b a 1000000
}
