# SPDX-License-Identifier: MIT
# What goes wrong between hosts, at run time. Sourced by lib.sh. Everything here drops in silence,
# as what is broken does.

# cut_path A B: nothing from one public IPv4 address to the other passes `net` any more, either way;
# cut_way FROM TO: only this way. mend_path and mend_way end it.
cut_path()
{
	cut_way "$1" "$2"
	cut_way "$2" "$1"
}

mend_path()
{
	mend_way "$1" "$2"
	mend_way "$2" "$1"
}

cut_way()
{
	nx net nft -f - <<-END || fail "cut from $1 to $2"
		table ip cut {
			set ways { type ipv4_addr . ipv4_addr; }
			chain forward { type filter hook forward priority 0; }
		}
		flush chain ip cut forward
		add rule ip cut forward ip saddr . ip daddr @ways drop
		add element ip cut ways { $1 . $2 }
	END
}

mend_way() { nx net nft delete element ip cut ways "{ $1 . $2 }" || fail "mending from $1 to $2"; }

# loss NODE IF PERCENT: of what arrives there; 0 ends it
loss()
{
	nx "$1" nft -f - <<-END || fail "loss on $1"
		table netdev loss
		delete table netdev loss
		table netdev loss {
			chain in {
				type filter hook ingress device "$2" priority 0;
				numgen random mod 10000 < $(($3 * 100)) drop
			}
		}
	END
}

# link_becomes NODE DELAY_MS [JITTER_MS [LOSS_PERCENT [MBIT]]]: the node's link to `net`, which was
# made with LAB_DELAY_MS set. What is on its way already is not late for it.
link_becomes()
{
	echo "$2 ${3:-0} ${4:-0} ${5:-0}" >"$LAB_DIR/conf/delay.$1"
	nx net kill -USR1 "$(daemon_pid net "delay.$1")" || fail "no long link to $1"
}

# drops_wireguard ROUTER: WireGuard's four kinds of message (first bytes 1…4, 0, 0, 0), either way,
# and nothing else: STUN passes, and what a relay wraps. passes_wireguard ends it.
drops_wireguard()
{
	nx "$1" nft -f - <<-END || fail "dropping WireGuard on $1"
		table inet nowg {
			chain forward {
				type filter hook forward priority -5;
				meta l4proto udp @th,64,32 { 0x01000000, 0x02000000, 0x03000000, 0x04000000 } drop
			}
		}
	END
}

passes_wireguard() { nx "$1" nft delete table inet nowg || fail "passing WireGuard on $1"; }

# small_mtu NODE IF PORT MTU: the node's link IF to `net` (PORT there) carries no more than this,
# and both ends keep silent about it. TCP through the node gets a segment size that fits, as routers
# of such lines see to; everything else has to find out.
small_mtu()
{
	local n
	node_ip "$1" <<<"link set dev $2 mtu $4"
	node_ip net <<<"link set dev $3 mtu $4"
	for n in "$1" net; do
		nx "$n" nft -f - <<-END || fail "small MTU on $n"
			table inet smallmtu {
				chain output {
					type filter hook output priority 0;
					icmp type destination-unreachable icmp code frag-needed drop
					icmpv6 type packet-too-big drop
				}
				chain forward {
					type filter hook forward priority 0;
					tcp flags syn tcp option maxseg size set rt mtu
				}
			}
		END
	done
}

# neighbour NODE A-SECOND: it sends to `sig` from a new port each time, so often at most; each makes a mapping in the
# NAT before it
neighbour()
{
	daemon "$1" neighbour bash -c 'while :; do
		echo >/dev/udp/192.0.2.10/9
		read -r -t "$1" <>"$2"
	done' neighbour "$(awk "BEGIN { print 1 / $2 }")" "$LAB_DIR/nap"
}
