# SPDX-License-Identifier: MIT
# What keeps a host from its peers, one cause each, without a relay: status names the cause and the
# remedy. b has a symmetric NAT as a has; to c no UDP passes; d has no IPv4, which is all that a has; e's
# firewall drops WireGuard alone; f's agent is at the signaling server, and stands still.

setup()
{
	local n
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	node ra rb rc rd re a b c d e
	nat_setup ra symmetric 203.0.113.1 192.168.1.1/24
	nat_setup rb symmetric 198.51.100.1 192.168.2.1/24
	nat_setup rc no-udp 198.51.100.3 192.168.3.1/24
	nat_setup rd port-restr 198.51.100.4 192.168.4.1/24
	nat_setup re fullcone 198.51.100.5 192.168.5.1/24
	nat_v6 rd 2001:db8:d::
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.2.2/24
	lan_attach c rc 192.168.3.2/24
	lan_attach d rd 2001:db8:d::2/64
	lan_attach e re 192.168.5.2/24
	server f 198.51.100.6
	drops_wireguard re
	wg_up a 1
	for n in b:2 c:3 d:4 e:5 f:6; do
		wg_up "${n%:*}" "${n#*:}"
		wg_pair a "${n%:*}"
	done
	signald sig
}

no_relay() { [ "$(peer a b .no_relay)" = no-server ]; }

check()
{
	agent f
	within 10 'f is at the signaling server' signaling_is f connected
	daemon_pause f nat-agent
	agent a b c e
	LAB_SIGNAL=$LAB_SIGNAL6 agent d
	expect_reason a b checking-candidates
	expect_reason a f waiting-for-answer
	expect_reason a d failed-no-common-address 60
	expect_reason a b failed-hard-nats 60
	expect_reason a e failed-proof 60
	expect_reason a c failed-udp-blocked 60
	expect_reason c a failed-udp-blocked 60
	# it is searched for again and again in between
	within 60 'and why no relay: no server' no_relay
	within 60 'both addresses are named' says_both
	daemon_resume f nat-agent
	expect_reason a f direct-public-peer 20
	expect_reason f a direct-public-here 20
}

says_both() { [[ $(peer b a .why) = *'here 198.51.100.1,'*'peer 203.0.113.1,'*'Forward UDP 51820'* ]]; }
