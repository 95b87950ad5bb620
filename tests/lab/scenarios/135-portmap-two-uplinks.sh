# SPDX-License-Identifier: MIT
# A host with two uplinks, both behind symmetric NATs whose routers map ports, and two peers behind symmetric NATs,
# one of which it reaches by the second uplink alone: a mapping at each router, and both pairs direct. When the
# second uplink leads nowhere any more its mapping goes.

setup()
{
	internet
	server sig 192.0.2.10
	node ra rc rb rd a b c
	nat_setup ra symmetric 20.30.40.50 192.168.1.1/24
	nat_setup rc symmetric 20.30.40.60 192.168.3.1/24
	nat_setup rb symmetric 198.51.100.1 192.168.2.1/24
	nat_setup rd symmetric 198.51.100.9 192.168.4.1/24
	lan_attach a ra 192.168.1.2/24 eth0 100
	lan_attach a rc 192.168.3.2/24 eth1 200
	lan_attach b rb 192.168.2.2/24
	lan_attach c rd 192.168.4.2/24
	wg_up a 1
	wg_up b 2
	wg_up c 3
	wg_peer a b
	wg_peer b a
	wg_peer a c
	wg_peer c a
	node_ip a <<<'route add 198.51.100.9/32 via 192.168.3.1 dev eth1'
	signald sig
	maps ra enable_upnp=no
	maps rc enable_natpmp=no
}

MAPPED_A='51820 192.168.1.2:51820'
MAPPED_C='51820 192.168.3.2:51820'

both()
{
	within 20 'mapped at the first router' mapped_is ra "$MAPPED_A"
	within 20 'mapped at the second router' mapped_is rc "$MAPPED_C"
}

check()
{
	agent a b c
	both
	direct a b 30
	direct a c 30
	equal "b's endpoint of a" "$(wg_get b a endpoints)" 20.30.40.50:51820
	equal "c's endpoint of a" "$(wg_get c a endpoints)" 20.30.40.60:51820
	agent_stop a KILL
	teardown a || fail "teardown: $(cat "$LAB_DIR/out")"
	one_line 'teardown' 'wg0: 2 port mappings removed'
	equal 'mappings of the first' "$(mapped ra)" ''
	equal 'mappings of the second' "$(mapped rc)" ''
	agent a
	both
	node_ip a <<<'route del 198.51.100.9/32 via 192.168.3.1 dev eth1'
	within 10 'none at the second router' mapped_is rc ''
	equal 'the first one keeps it' "$(mapped ra)" "$MAPPED_A"
}
