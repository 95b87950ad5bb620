# SPDX-License-Identifier: MIT
# A host loses its IPv4 and has IPv6 instead, as when it moves between networks, and then the other
# way round; its peer has both. Connected again by the family that is left, directly.

setup()
{
	two_nats port-restr port-restr
	nat_v6 ra 2001:db8:a::
	nat_v6 rb 2001:db8:b::
	lan_attach b rb 2001:db8:b::2/64
	LAB_SIGNAL_NAME=signal.lab.test
	names a
	names b
	signald sig
}

# The server's name is known without asking anybody, with both its addresses.
names()
{
	{ cat /etc/hosts; printf '%s signal.lab.test\n' 192.0.2.10 2001:db8:ff::10; } >"$LAB_DIR/conf/$1.hosts"
	nx "$1" mount --bind "$LAB_DIR/conf/$1.hosts" /etc/hosts || fail "hosts on $1"
}

check()
{
	agent a b
	direct a b
	equal "a's endpoint of b" "$(wg_get a b endpoints)" 198.51.100.1:51820
	stream a b
	sleep 1
	event 'a has IPv6 instead of IPv4' to_v6
	took 10 'pings pass' passes a b
	gap a b 5000
	direct a b
	equal "a's endpoint of b" "$(wg_get a b endpoints)" '[2001:db8:b::2]:51820'
	stream a b
	sleep 1
	event 'a has IPv4 instead of IPv6' to_v4
	took 10 'pings pass' passes a b
	gap a b 5000
	direct a b
	equal "a's endpoint of b" "$(wg_get a b endpoints)" 198.51.100.1:51820
}

to_v6()
{
	node_ip a <<-END
		addr del 192.168.1.2/24 dev eth0
	END
	lan_attach a ra 2001:db8:a::2/64
}

to_v4()
{
	node_ip a <<-END
		addr del 2001:db8:a::2/64 dev eth0
		route del default via fe80::1 dev eth0
	END
	lan_attach a ra 192.168.1.2/24
}
