# SPDX-License-Identifier: MIT
# Two agents with one listen port behind one hard NAT: each gets a mapping of its own, by UPnP as by PCP, nobody's
# is overwritten, and each keeps it over a restart. Both reach a host behind another hard NAT; each other they reach
# in the LAN.

setup()
{
	internet
	server sig 192.0.2.10
	node ra rb a b c
	nat_setup ra symmetric 20.30.40.50 192.168.1.1/24
	nat_setup rb symmetric 198.51.100.1 192.168.2.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach c ra 192.168.1.3/24
	lan_attach b rb 192.168.2.2/24
	wg_up a 1
	wg_up b 2
	wg_up c 3
	wg_pair a b c
	signald sig
	maps ra enable_natpmp=no force_igd_desc_v1=yes
}

# What the router has for a, then for c: their ports
ports() { mapped ra | sed 's/ 192.168.1/ /' | sort -k2 | paste -sd' '; }

both_up()
{
	within 20 "a is mapped by $1" mapping_is a up "$1"
	within 20 "c is mapped by $1" mapping_is c up "$1"
	equal 'mappings of both' "$(mapped ra | sed 's/.* //' | sort | paste -sd' ')" '192.168.1.2:51820 192.168.1.3:51820'
	[ "$(mapped ra | cut -d' ' -f1 | sort -u | wc -l)" = 2 ] || fail "one port for two: $(mapped ra)"
}

check()
{
	local before
	agent a b c
	both_up upnp
	direct a b 30
	direct c b 30
	direct a c
	within 10 'c goes straight to a' peer_at c a 192.168.1.2:51820
	before=$(ports)
	agent_stop a KILL
	agent_stop c KILL
	agent a c
	both_up upnp
	equal 'after a restart' "$(ports)" "$before"
	agent_stop a
	agent_stop c
	teardown a || fail "teardown: $(cat "$LAB_DIR/out")"
	equal "c's alone" "$(mapped ra | sed 's/.* //')" 192.168.1.3:51820
	teardown c || fail "teardown: $(cat "$LAB_DIR/out")"
	daemon_stop ra miniupnpd
	maps ra enable_upnp=no
	agent c
	within 20 'c is mapped first' mapping_is c up pcp 20.30.40.50:51820
	agent a
	both_up pcp
	direct a b 30
	direct c b 30
}
