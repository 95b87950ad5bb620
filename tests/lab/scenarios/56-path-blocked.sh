# SPDX-License-Identifier: MIT
# Somebody in the middle blocks all UDP between the two hosts while the tunnel carries traffic: status
# must not go on saying connected for WireGuard's 180 s, and the tunnel comes back with the way.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a b
	direct a b
	stream a b
	nx net nft -f - <<-END || fail 'blocking'
		table ip blocked {
			chain forward {
				type filter hook forward priority 0;
				ip saddr { 203.0.113.1, 198.51.100.1 } ip daddr { 203.0.113.1, 198.51.100.1 } drop
			}
		}
	END
	expect_reason a b checking-silence 60
	within 60 "a knows that b is out of reach" peer_is a b failed
	within 60 "b knows that a is out of reach" peer_is b a failed
	expect_reason a b failed-silence 60
	equal "a's path to b" "$(peer a b '.path // "none"')" none
	nx net nft delete table ip blocked
	within 15 "pings pass again" passes a b
	within 60 "a: b connected again" peer_is a b connected
	within 60 "b: a connected again" peer_is b a connected
	direct a b
}
