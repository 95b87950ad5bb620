# SPDX-License-Identifier: MIT
# A member that has nothing but WireGuard, set up by hand: it reports no candidates and calls nobody. All that
# is known of it is the endpoint that an admin has given it, and that is a name.

NAME=vpn.example

setup()
{
	internet
	server sig 192.0.2.10
	server b 198.51.100.50
	node ra a
	nat_setup ra symmetric 203.0.113.1 192.168.1.1/24
	lan_attach a ra 192.168.1.2/24
	inn_network sig
	inn_member a alice 10.66.1.1
	inn_member b bob 10.66.1.2
	inn_link b
	nx b wg set wg0 private-key "$LAB_DIR/conf/b.key" listen-port 51820 peer "$(pub a)" allowed-ips 10.66.1.1/32 ||
		fail 'wg set on b'
	inn_admin endpoint bob "$NAME:51820"
	{ cat /etc/hosts; echo "198.51.100.50 $NAME"; } >"$LAB_DIR/conf/a.hosts"
	nx a mount --bind "$LAB_DIR/conf/a.hosts" /etc/hosts || fail 'hosts on a'
}

check()
{
	event 'the agent starts' inn_agent a yes
	took 30 'pings pass' passes a b
	equal 'endpoint of bob' "$(wg_get a b endpoints)" 198.51.100.50:51820
}
