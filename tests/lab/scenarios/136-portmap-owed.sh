# SPDX-License-Identifier: MIT
# What is mapped is given back, though the router does not answer when it should be: not by teardown, which says so
# and keeps it in mind; not when the host leaves the network; then by port_mapping=no, and by teardown.

setup()
{
	internet
	server sig 192.0.2.10
	node ra rc a
	nat_setup ra symmetric 20.30.40.50 192.168.1.1/24
	nat_setup rc symmetric 203.0.113.3 192.168.3.1/24
	lan_attach a ra 192.168.1.2/24 eth0 100
	lan_attach a rc 192.168.3.2/24 eth1 200
	wg_up a 1
	signald sig
	maps ra enable_natpmp=no
}

MAPPED='51820 192.168.1.2:51820'

up()
{
	within 20 'the mapping is up' mapping_is a up upnp 20.30.40.50:51820
	within 5 'the router has it' mapped_is ra "$MAPPED"
}

says_left() { ! teardown a && grep -q '20.30.40.50:51820 at the router 192.168.1.1, by upnp: it does not answer' "$LAB_DIR/out"; }
state_is_empty() { ! nx a sh -c 'ls /run/state/nat-agent' | grep -q portmap; }

check()
{
	agent a
	up
	daemon_stop ra miniupnpd KILL
	agent_stop a KILL
	expect 'teardown says what is left' says_left
	equal 'it is left' "$(mapped ra)" "$MAPPED"
	maps_start ra
	LAB_AGENT_OPTIONS=--no-port-mapping agent a
	within 10 'the next start gives it back' mapped_is ra ''
	within 5 'and forgets it' state_is_empty
	agent_stop a
	agent a
	up
	# it leaves the network while the router says nothing
	daemon_stop ra miniupnpd KILL
	node_ip a <<<'route del default via 192.168.1.1 dev eth0'
	within 20 'another network' field_is a port_mapping.gateway 192.168.3.1
	agent_stop a
	maps_start ra
	equal 'it is left again' "$(mapped ra)" "$MAPPED"
	teardown a || fail "teardown: $(cat "$LAB_DIR/out")"
	equal 'mappings left' "$(mapped ra)" ''
	expect 'nothing is kept' state_is_empty
}
