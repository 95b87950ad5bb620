# SPDX-License-Identifier: MIT
# A full tunnel at both ends (AllowedIPs 0.0.0.0/0 as wg-quick sets it up), everything by name, and
# the resolver only behind the tunnel. After an earlier start, when names could be resolved, both
# ends start cold: what the agents remember of the names must be enough to bring the tunnel up, and
# nothing that they send may wait for it.

setup()
{
	two_nats port-restr port-restr
	server ns 192.0.2.53
	dns ns signal.lab.test=192.0.2.10
	dns a signal.lab.test=192.0.2.10
	dns b signal.lab.test=192.0.2.10
	resolver a 192.0.2.53
	resolver b 192.0.2.53
	LAB_SIGNAL_NAME=signal.lab.test
	signald sig
}

# What wg-quick does for AllowedIPs = 0.0.0.0/0
full_tunnel()
{
	local node=$1 peer=$2
	nx "$node" wg set wg0 fwmark 51820 peer "$(pub "$peer")" allowed-ips "0.0.0.0/0,$(wg_ip6 "$peer")/128"
	node_sysctl "$node" ipv4/conf/all/src_valid_mark=1 ipv4/conf/all/rp_filter=2
	node_ip "$node" <<-END
		route add default dev wg0 table 51820
		rule add not fwmark 51820 table 51820
		rule add table main suppress_prefixlength 0
	END
	nx "$node" nft -f - <<-END
		table ip wg-quick-wg0 {
			chain preraw { type filter hook prerouting priority -300;
				iifname != "wg0" ip daddr $(wg_ip "$node") fib saddr type != local drop; }
			chain premangle { type filter hook prerouting priority -150;
				meta l4proto udp meta mark set ct mark; }
			chain postmangle { type filter hook postrouting priority -150;
				meta l4proto udp meta mark 51820 ct mark set meta mark; }
		}
	END
}

# Deletes the tunnel with all that belongs to it and makes it again, without endpoints.
cold()
{
	local node=$1 peer=b
	[ "$node" = a ] || peer=a
	wg_unlink "$node"
	wg_up "$node" "$(wg_number "$node")" 51820 51820
	nx "$node" wg set wg0 peer "$(pub "$peer")" allowed-ips "0.0.0.0/0,$(wg_ip6 "$peer")/128"
	node_ip "$node" <<<'route add default dev wg0 table 51820'
}

check()
{
	agent a b
	direct a b
	full_tunnel a b
	full_tunnel b a
	sleep 3
	direct a b
	equal 'route to the signaling server' "$(nx a ip route get 192.0.2.10 | grep -o 'dev [^ ]*')" 'dev wg0'
	agent_stop a
	agent_stop b
	daemon_stop ns dnsmasq
	cold a
	cold b
	# Each asks the other, through the tunnel.
	resolver a 10.77.0.2
	resolver b 10.77.0.1
	equal "a's endpoint of b" "$(wg_get a b endpoints)" '(none)'
	expect 'no name can be resolved' sh -c '! "$@"' sh timeout 3 nsenter -t "$(node_pid a)" -n -m getent hosts signal.lab.test
	agent a b
	direct a b 30
	within 10 'names are resolved through the tunnel' nx a getent hosts signal.lab.test
}
