# SPDX-License-Identifier: MIT
# Peers come, go and change on the device while the agents run: followed within 4 s.

setup()
{
	two_nats port-restr port-restr
	nat_router rc port-restr 203.0.113.3 192.168.3.1/24
	node c
	lan_attach c rc 192.168.3.2/24
	wg_up c 3
	signald sig
}

check()
{
	agent a b c
	direct a b
	wg_peer a c
	within 4 "a's status shows c" knows a c
	wg_peer c a
	within 10 'a: c connected' peer_is a c connected
	direct a c
	nx a wg set wg0 peer "$(pub c)" remove
	within 4 "a's status forgets c" knows_not a c
	wg_peer a c
	within 4 "a's status shows c again" knows a c
	within 10 'a: c connected again' came_back a c
	preshared
	equal "a's endpoint of b" "$(wg_get a b endpoints)" 198.51.100.1:51820
	direct_one a b
}

knows() { [ -n "$(peer "$1" "$2" .state)" ]; }
knows_not() { [ -n "$(status "$1" .version)" ] && ! knows "$1" "$2"; }
came_back() { peer_is "$1" "$2" connected && wg_handshaken "$1" "$2" && nx "$1" ping -n -q -c 1 -W 1 "$(wg_ip "$2")"; }

# What belongs to the user stays as the user sets it.
preshared()
{
	wg genpsk >"$LAB_DIR/conf/psk"
	nx a wg set wg0 peer "$(pub b)" preshared-key "$LAB_DIR/conf/psk" allowed-ips "$(wg_ip b)/32,10.88.0.0/16"
	nx b wg set wg0 peer "$(pub a)" preshared-key "$LAB_DIR/conf/psk"
	sleep 2
	pings a b
	equal "a's allowed IPs of b" "$(wg_get a b allowed-ips)" '10.77.0.2/32 10.88.0.0/16'
	equal "a's preshared key of b" "$(wg_get a b preshared-keys)" "$(cat "$LAB_DIR/conf/psk")"
}
