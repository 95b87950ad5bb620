# SPDX-License-Identifier: MIT
# A NAT behind a carrier's NAT, at one side, then at both: still direct.

setup()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	server turn 192.0.2.20
	node ca cb ra rb rc a b c
	nat_setup ca port-restr 203.0.113.1 100.80.0.1/16
	nat_setup cb port-restr-rand 198.51.100.1 100.80.0.1/16
	nat_behind ra ca port-restr 100.80.0.2/16 192.168.1.1/24
	nat_behind rb cb linux 100.80.0.2/16 192.168.1.1/24
	nat_setup rc port-restr 203.0.113.3 192.168.3.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.1.2/24 # the same as a's
	lan_attach c rc 192.168.3.2/24
	wg_up a 1
	wg_up b 2
	wg_up c 3
	wg_pair a b c
	turn_server turn user:secret
	signald sig
}

check()
{
	agent a b c
	direct a c 20
	direct b c
	direct a b
	equal "b's endpoint of a" "$(wg_get b a endpoints)" 203.0.113.1:51820
}
