# SPDX-License-Identifier: MIT
# Addresses that lead nowhere or back into a tunnel: a bridge as docker makes it, the same on both
# hosts, and another overlay on which the two reach each other already. Neither is a candidate.

setup()
{
	two_nats port-restr port-restr
	local n
	for n in a b; do
		node_ip "$n" <<-END
			link add docker0 type bridge
			addr add 172.17.0.1/16 dev docker0
			link set docker0 up
		END
	done
	overlay a 1
	overlay b 2
	signald sig
}

# The other overlay: wg1, through a hub on sig
overlay()
{
	local node=$1 ip=10.99.0.$2
	if [ ! -f "$LAB_DIR/conf/sig.wg1.key" ]; then
		wg_key sig wg1
		wg_link sig wg1
		nx sig wg set wg1 private-key "$LAB_DIR/conf/sig.wg1.key" listen-port 51999
		node_ip sig <<-END
			addr add 10.99.0.254/24 dev wg1
			link set wg1 up
		END
		node_sysctl sig ipv4/ip_forward=1
	fi
	wg_key "$node" wg1
	wg_link "$node" wg1
	nx "$node" wg set wg1 private-key "$LAB_DIR/conf/$node.wg1.key" peer "$(pub sig.wg1)" \
		allowed-ips 10.99.0.0/24 endpoint 192.0.2.10:51999 persistent-keepalive 5
	nx sig wg set wg1 peer "$(pub "$node.wg1")" allowed-ips "$ip/32"
	node_ip "$node" <<-END
		addr add $ip/24 dev wg1
		link set wg1 up
	END
}

check()
{
	within 15 'the other overlay works' nx a ping -n -c 1 -W 1 10.99.0.2
	agent a b
	direct a b
	equal "a's endpoint of b" "$(wg_get a b endpoints)" 198.51.100.1:51820
	local n
	for n in a b; do
		equal "decoys among the candidates of $n" \
			"$(status "$n" '[.interfaces[].candidates[].endpoint | select(test("^(172\\.17|10\\.99|10\\.77)\\."))] | length')" 0
	done
	within 5 'the bridge and the other overlay are as they were' nx a ping -n -c 1 -W 1 10.99.0.2
}
