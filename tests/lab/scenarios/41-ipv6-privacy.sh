# SPDX-License-Identifier: MIT
# IPv6 privacy addresses and stateful firewalls at both ends: the kernel sends from the temporary
# address, so a path that was proved from the stable one would never carry WireGuard. Then one of them
# is followed by the next, as it is each day: nothing breaks, neither when the new one comes nor when
# the old one goes.

setup()
{
	internet
	server sig 2001:db8:ff::10
	node ra rb a b
	nat_setup ra port-restr 203.0.113.1 192.168.1.1/24
	nat_setup rb port-restr 198.51.100.1 192.168.2.1/24
	nat_v6 ra 2001:db8:a::
	nat_v6 rb 2001:db8:b::
	private_address a ra 2001:db8:a::2/64
	private_address b rb 2001:db8:b::2/64
	wg_up a 1
	wg_up b 2
	wg_pair a b
	firewall a
	firewall b
	signald sig
}

# A stable address from which the kernel makes temporary ones, as after a router's advertisement
private_address()
{
	lan_attach "$1" "$2" "$3"
	node_sysctl "$1" ipv6/conf/eth0/use_tempaddr=2
	node_ip "$1" <<-END
		addr del $3 dev eth0
		addr add $3 dev eth0 mngtmpaddr valid_lft 7200 preferred_lft 3600
	END
	within 5 "$1 has a temporary address" temporary "$1"
}

temporary()
{
	local ip
	ip=$(nx "$1" ip -6 -o addr show dev eth0 temporary -deprecated | awk '{ sub("/.*", "", $4); print $4 }')
	[ -n "$ip" ] && printf '%s' "$ip"
}

check()
{
	equal 'source that the kernel picks' \
		"$(nx a ip -6 route get 2001:db8:b::2 | grep -o 'src [^ ]*')" "src $(temporary a)"
	agent a b
	direct a b
	equal "a's endpoint of b" "$(wg_get a b endpoints)" "[$(temporary b)]:51820"
	equal "b's endpoint of a" "$(wg_get b a endpoints)" "[$(temporary a)]:51820"
	rotation
}

# The kernel makes the next address some 5 s before the preferred time of the last one is over.
rotated() { [ "$(temporary a)" != "$1" ]; }

rotation()
{
	local old
	old=$(temporary a)
	stream a b
	node_ip a <<<"addr change $old/64 dev eth0 preferred_lft 6 valid_lft 600"
	within 10 'a has another temporary address' rotated "$old"
	sleep 2
	event 'the old one is gone' node_ip a <<<"addr del $old/64 dev eth0"
	took 10 'pings pass' passes a b
	gap a b 5000
	direct a b
	within 10 "b's endpoint of a is the new address" peer_at b a "[$(temporary a)]:51820"
}
