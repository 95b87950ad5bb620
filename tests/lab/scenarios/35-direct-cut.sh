# SPDX-License-Identifier: MIT
# The direct path is cut under traffic: the relay takes over; when the path is back, the pair is
# direct again. The metrics tell it, also among clients that mean no good.

setup()
{
	relay_lab port-restr port-restr
}

check()
{
	local moves
	LAB_AGENT_OPTIONS="--metrics $LAB_METRICS" agent a b
	direct a b
	tells_of_connecting
	stream a b
	sleep 3 # under traffic, a standby gets ready
	event 'the direct path is cut' cut_path 203.0.113.1 198.51.100.1
	took 5 'pings pass' passes a b
	relayed a b
	expect_reason a b relayed-searching
	gap a b 3000
	within 5 'a failover more is told' metric_above a "$moves" nat_agent_failovers_total
	tells_of_relaying
	stream a b
	event 'the path is back' mend_path 203.0.113.1 198.51.100.1
	took 60 'a: direct' path_is a b direct
	direct a b
	sleep 2
	stream_lossless a b upgrade
	# no matter of WireGuard's
	[ "$LAB_WG" = kernel ] || metrics_hostile a b
	metrics_well_formed a
	metrics_well_formed b
}

# Also sets moves
tells_of_connecting()
{
	equal 'a: connects counted' "$(metric a nat_agent_connect_seconds_count)" 1
	equal 'a: connects within 30 s' "$(metric a nat_agent_connect_seconds_bucket 30)" 1
	equal 'a: peers connected directly' "$(metric a nat_agent_peers connected direct)" 1
	equal 'a: at the signaling server' "$(metric a nat_agent_signal_connected)" 1
	metric_above a 0 nat_agent_wireguard_writes_total written || fail 'a: no writes are counted'
	metric_above a 0 nat_agent_signal_messages_total out || fail 'a: no messages are counted'
	within 5 'a: probes are answered' metric_above a 0 nat_agent_probes_answered_total
	moves=$(metric a nat_agent_failovers_total)
	same_by_control
}

# The control socket has it, too
same_by_control()
{
	printf '{"method":"io.github.nat-agent.Metrics"}\0' | nx a nc -U -N -w 5 "$AGENT_CONTROL" | tr -d '\0' |
		jq -j .parameters.text | awk -f "$LAB_SRC/metrics.awk" || fail 'the control socket has other metrics'
}

# One of the two bridges, with what passes it
tells_of_relaying()
{
	local n before
	n=a
	[[ $(wg_get a b endpoints) = 127.* ]] || n=b
	before=$(metric "$n" nat_agent_relay_bytes_total out)
	pings a b
	within 5 "$n: relayed bytes grow, out" metric_above "$n" "$before" nat_agent_relay_bytes_total out
	metric_above "$n" 0 nat_agent_relay_bytes_total in || fail "$n: nothing is counted that came by the relay"
	within 5 'a: peers connected by relay' metric_is a 1 nat_agent_peers connected relay
}
