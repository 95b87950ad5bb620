# SPDX-License-Identifier: MIT
# Two symmetric NATs, and the router of one of them maps ports: direct. By PCP; then by UPnP IGD 2, by IGD 1
# and by NAT-PMP alone.

setup()
{
	internet
	server sig 192.0.2.10
	node ra rb a b
	nat_setup ra symmetric 20.30.40.50 192.168.1.1/24
	nat_setup rb symmetric 198.51.100.1 192.168.2.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.2.2/24
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
	maps ra enable_upnp=no
}

# by PROTOCOL: a's mapping is up by it, and the pair direct
by()
{
	within 20 "mapped by $1" mapping_is a up "$1" 20.30.40.50:51820
	within 5 'the router agrees' mapped_is ra '51820 192.168.1.2:51820'
	direct a b 30
	equal 'b sends to' "$(wg_get b a endpoints)" 20.30.40.50:51820
}

# again LINE…: a's agent ends and starts, its router being another one meanwhile. teardown takes the mapping
# away.
again()
{
	agent_stop a
	agent_stop b
	teardown a || fail "teardown: $(cat "$LAB_DIR/out")"
	equal 'mappings left' "$(mapped ra)" ''
	daemon_stop ra miniupnpd
	maps ra "$@"
	agent a b
}

check()
{
	agent a b
	by pcp
	again enable_natpmp=no
	by upnp
	again enable_natpmp=no force_igd_desc_v1=yes
	by upnp
	# a router that knows NAT-PMP alone, and has no word for what it does not know
	nx ra nft insert rule inet filter input udp dport 5351 @th,64,8 2 drop || fail 'no PCP'
	again enable_upnp=no
	by nat-pmp
}
