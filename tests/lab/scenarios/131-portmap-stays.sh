# SPDX-License-Identifier: MIT
# A mapping that a tunnel uses outlives the agent, whatever ends it, and is taken up again; a router that was
# started anew gets it back; teardown gives it back, but not under a running agent; an agent that ends without a
# tunnel leaves none.

setup()
{
	internet
	server sig 192.0.2.10
	node ra rb a b
	nat_setup ra symmetric 20.30.40.50 192.168.1.1/24
	nat_setup rb port-restr 198.51.100.1 192.168.2.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.2.2/24
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
	maps ra enable_upnp=no
}

MAPPED='51820 192.168.1.2:51820'

up() { within "${1:-10}" 'the mapping is up' mapping_is a up pcp 20.30.40.50:51820; }

# How many nonces of PCP's the router has seen
nonces() { grep -o "'PCP MAP [0-9a-f]*'" "$(log_of ra miniupnpd)" | sort -u | wc -l; }

check()
{
	agent a b
	up
	direct a b 30
	agent_stop a KILL
	equal 'mapped without an agent' "$(mapped ra)" "$MAPPED"
	agent a
	up
	agent_stop a TERM
	equal 'mapped after the end' "$(mapped ra)" "$MAPPED"
	pings b a
	agent a
	up
	equal 'nonces' "$(nonces)" 1
	direct a b 20
	expect 'teardown waits for the end' refuses
	one_line 'it says so' 'serves wg0'
	maps_reboot ra
	within 70 'the router has it back' mapped_is ra "$MAPPED"
	up
	direct a b 20
	agent_stop a
	teardown a --interface wg1 || fail "teardown of another interface: $(cat "$LAB_DIR/out")"
	equal 'not another interface' "$(mapped ra)" "$MAPPED"
	teardown a || fail "teardown: $(cat "$LAB_DIR/out")"
	one_line 'teardown' 'wg0: 1 port mapping removed'
	equal 'mappings left' "$(mapped ra)" ''
	without_tunnel
}

refuses() { ! teardown a; }

without_tunnel()
{
	nx a wg set wg0 peer "$(pub b)" remove
	agent a
	up
	within 5 'the router has it' mapped_is ra "$MAPPED"
	agent_stop a
	within 5 'it went with the agent' mapped_is ra ''
	LAB_AGENT_OPTIONS=--no-port-mapping agent a
	within 10 'a says it maps nothing' mapping_is a off
}
