# SPDX-License-Identifier: MIT
# A symmetric NAT and a port-restricted one: relayed, and status advises to forward a port. That is done, on
# the router of the latter: direct.

setup()
{
	relay_lab symmetric port-restr
}

check()
{
	# by many ports they would meet (45-hard-one)
	LAB_AGENT_OPTIONS=--no-many-ports
	agent a b
	relayed a b
	expect_reason a b relayed-one-hard
	expect_reason b a relayed-one-hard
	event 'UDP 51820 is forwarded to b' forwards
	took 60 'a: direct' path_is a b direct
	direct a b
	expect_reason a b direct-hard-here
}

forwards()
{
	nx rb nft -f - <<-END
		table ip forwarded {
			chain prerouting {
				type nat hook prerouting priority -110;
				iifname "wan" udp dport 51820 dnat to 192.168.2.2:51820
			}
		}
	END
}
