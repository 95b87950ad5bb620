# SPDX-License-Identifier: MIT
# Three hosts behind three kinds of NAT, all agents at once, all pairs.

setup()
{
	two_nats port-restr linux
	nat_router rc fullcone 203.0.113.3 192.168.3.1/24
	node c
	lan_attach c rc 192.168.3.2/24
	wg_up c 3
	wg_pair a b c
	signald sig
}

check()
{
	agent a b c
	direct a b
	direct a c
	direct b c
}
