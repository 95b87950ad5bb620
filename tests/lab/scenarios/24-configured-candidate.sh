# SPDX-License-Identifier: MIT
# A symmetric NAT, and a port-restricted one whose owner forwards a port that only the configured
# endpoint names: no check of plain ICE gets through, the configured candidate does.

setup()
{
	two_nats symmetric port-restr
	nx rb nft -f - <<-END || fail 'forwarding on rb'
		table ip forwarded {
			chain prerouting {
				type nat hook prerouting priority -110;
				iifname "wan" udp dport 40000 dnat to 192.168.2.2:51820
			}
		}
	END
	nx a wg set wg0 peer "$(pub b)" endpoint 198.51.100.1:40000
	signald sig
}

check()
{
	agent a b
	within 10 'a: b connected' peer_is a b connected
	within 10 'b: a connected' peer_is b a connected
	within 2 'a keeps the configured endpoint' peer_at a b 198.51.100.1:40000
	equal "type of a's remote candidate" "$(peer a b .path.remote.type)" configured
	equal "a's path" "$(peer a b .path.kind)" direct
	expect_reason a b direct-configured
	pings a b
}
