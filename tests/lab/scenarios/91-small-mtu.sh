# SPDX-License-Identifier: MIT
# The uplink of a's NAT carries 1280 bytes, and nobody says so (ICMP is dropped): with `mtu = auto`, bulk
# TCP passes each way through the tunnel, on a direct path or by relay.

LAB_KIND=direct

setup()
{
	relay_lab port-restr port-restr
	small_mtu ra wan ra 1280
	[ "$LAB_KIND" = direct ] || cut_path 203.0.113.1 198.51.100.1
	printf '[agent]\nmtu=auto\n' >"$LAB_DIR/conf/agent.conf"
}

check()
{
	local n
	for n in a b; do
		agent_run "$n" -c "$LAB_DIR/conf/agent.conf" --interface wg0 --signal "$LAB_SIGNAL" --turn "$(turn_uris)"
	done
	joined "$LAB_KIND" a b
	within 30 "a's wg0 fits" fits a
	within 30 "b's wg0 fits" fits b
	transfer a b 2000000
	transfer b a 2000000
	joined "$LAB_KIND" a b
}

# 1280 less IPv4, UDP and WireGuard
fits() { [ "$(nx "$1" ip -o link show dev wg0 | sed 's/.*mtu //; s/ .*//')" -le 1220 ]; }
