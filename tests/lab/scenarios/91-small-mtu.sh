# SPDX-License-Identifier: MIT
# The uplink of a's NAT carries 1280 bytes, and nobody says so (ICMP is dropped): with `mtu = auto`, bulk
# TCP passes each way through the tunnel, on a direct path or by relay. The tunnel is of IPv4 alone: with
# IPv6 addresses an interface is not set below 1280.

LAB_KIND=direct

setup()
{
	local n
	relay_lab port-restr port-restr
	small_mtu ra wan ra 1280
	for n in a b; do
		nx "$n" ip -6 addr flush dev wg0
	done
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
	agent_stop a
	within 5 "a's MTU is the user's again" mtu_is a 1420
	[ "$LAB_KIND" = direct ] || return 0
	agent a
	within 30 'a says what would fit' says a 1220
	equal "the path's MTU at a" "$(peer a b .path.mtu_bytes)" 1280
	equal "a's MTU" "$(mtu a)" 1420
}

says() { [ "$(status "$1" '.interfaces[].mtu_advice_bytes')" = "$2" ]; }
mtu() { nx "$1" ip -o link show dev wg0 | sed 's/.*mtu //; s/ .*//'; }
mtu_is() { [ "$(mtu "$1")" = "$2" ]; }

# 1280 less IPv4, UDP and WireGuard
fits() { [ "$(mtu "$1")" -le 1220 ]; }
