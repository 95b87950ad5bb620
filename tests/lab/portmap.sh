# SPDX-License-Identifier: MIT
# Routers that map ports: miniupnpd. Sourced by lib.sh. It refuses the addresses of documentation that the
# laboratory has elsewhere: such a router has one of 20.30.40.0/24.

# maps ROUTER [LINE…]: from now on it takes requests from its LAN, by PCP, NAT-PMP and UPnP IGD 2; more
# lines of miniupnpd.conf: enable_upnp=no, enable_natpmp=no, force_igd_desc_v1=yes, …
maps()
{
	local router=$1 option
	shift
	[ -f "$LAB_DIR/conf/$router.miniupnpd" ] || maps_rules "$router"
	{
		cat <<-END
			ext_ifname=wan
			listening_ip=br0
			secure_mode=yes
			system_uptime=no
			uuid=00000000-0000-4000-8000-000000000001
			upnp_table_name=miniupnpd
			upnp_nat_table_name=miniupnpd
		END
		# a `no` takes no `yes` back
		for option in enable_natpmp enable_upnp; do
			[[ " $* " = *" $option="* ]] || echo "$option=yes"
		done
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$LAB_DIR/conf/$router.miniupnpd"
	maps_start "$router"
}

maps_rules()
{
	nx "$1" nft -f - <<-'END' || fail "tables of miniupnpd on $1"
		table inet miniupnpd {
			chain miniupnpd { }
			chain prerouting_miniupnpd { }
			chain postrouting_miniupnpd { }
			chain prerouting { type nat hook prerouting priority -110; jump prerouting_miniupnpd; }
			chain postrouting { type nat hook postrouting priority 110; jump postrouting_miniupnpd; }
			chain forward { type filter hook forward priority -10; jump miniupnpd; }
		}
	END
	# a router's own LAN may ask it
	nx "$1" nft insert rule inet filter input iifname br0 accept || fail "firewall of $1"
}

maps_start()
{
	daemon "$1" miniupnpd miniupnpd -d -f "$LAB_DIR/conf/$1.miniupnpd" -P /run/miniupnpd.pid
	wait_until 10 maps_listens "$1" || fail "miniupnpd: $(tail -n 5 "$(log_of "$1" miniupnpd)")"
}

maps_listens()
{
	nx "$1" sh -c 'ss -Hulnp | grep -q miniupnpd' && { grep -q '^enable_natpmp=no' "$LAB_DIR/conf/$1.miniupnpd" ||
		nx "$1" sh -c 'ss -Huln "sport = :5351" | grep -q .'; } && { grep -q '^enable_upnp=no' "$LAB_DIR/conf/$1.miniupnpd" ||
		nx "$1" sh -c 'ss -Huln "sport = :1900" | grep -q .'; }
}

# maps_reboot ROUTER: it forgets what it has mapped, and starts with a clock at zero
maps_reboot()
{
	daemon_stop "$1" miniupnpd KILL
	nx "$1" nft -f - <<-END || fail "mappings of $1"
		flush chain inet miniupnpd miniupnpd
		flush chain inet miniupnpd prerouting_miniupnpd
		flush chain inet miniupnpd postrouting_miniupnpd
	END
	maps_start "$1"
}

# What the router has mapped, a line each: EXTERNAL-PORT INSIDE-ADDRESS:PORT
mapped() { nx "$1" nft list chain inet miniupnpd prerouting_miniupnpd | sed -n 's/.*dport \([0-9]*\) .*dnat.* to \([0-9.]*:[0-9]*\).*/\1 \2/p'; }
mapped_is() { [ "$(mapped "$1" | sort | paste -sd,)" = "$2" ]; }

# mapping_is NODE STATE [PROTOCOL [EXTERNAL]]: in the agent's status
mapping_is()
{
	local state protocol external
	IFS=' ' read -r state protocol external < <(status "$1" '.interfaces[0].port_mapping | "\(.state) \(.protocol) \(.external)"')
	[ "$state" = "$2" ] && [ "${3:-$protocol}" = "$protocol" ] && [ "${4:-$external}" = "$external" ]
}

# teardown NODE [ARGUMENTS…]: what the agent, which has ended, left in place; its words in $LAB_DIR/out
teardown() { nx "$1" env STATE_DIRECTORY=/run/state/nat-agent "$NAT_AGENT" teardown "${@:2}" >"$LAB_DIR/out" 2>&1; }

# firewalled_home OPTION…: host a behind router ra, whose IPv6 firewall lets in nobody who was not asked; the router maps
# ports, and is told so much more (maps)
firewalled_home()
{
	internet
	server sig 192.0.2.10 2001:db8:ff::10
	node ra a
	nat_setup ra symmetric 20.30.40.50 192.168.1.1/24
	nat_v6 ra 2001:db8:a::
	lan_attach a ra 192.168.1.2/24
	lan_attach a ra 2001:db8:a::2/64
	wg_up a 1
	signald sig
	maps ra ipv6_disable=no "$@"
}

# How many pinholes for a's address the firewall of firewalled_home has: nft shows miniupnpd's rules as bytes
let_in() { nx ra nft list chain inet miniupnpd miniupnpd | grep -c 0x20010db8000a00000000000000000002; }
let_in_is() { [ "$(let_in)" = "$1" ]; }

# pinhole true|false: what a's status says
pinhole() { field_is a port_mapping.ipv6_pinhole "$1"; }
