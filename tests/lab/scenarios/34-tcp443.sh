# SPDX-License-Identifier: MIT
# Nothing but TCP to port 443 passes, at both sides: signaling and the relay are there, the relay by
# TLS, whose certificate only these two hosts trust.

setup()
{
	LAB_SIGNAL_PORT=443
	relay_lab tcp443 tcp443
	turn_known turn a b
	turn_trust turn a b
	turn_use 'turn:user:secret@192.0.2.20:3478?transport=udp' 'turn:user:secret@192.0.2.20:3478?transport=tcp' \
		"turns:user:secret@$LAB_TURN_NAME:443"
}

check()
{
	event 'both agents start' agent a b
	took 15 'pings pass' passes a b
	relayed a b
	expect 'a reaches the relay by TLS' relay_is a up turns:
	transfer a b 1000000
	transfer b a 1000000
}
