# SPDX-License-Identifier: MIT
# Two NATs that give each destination the next port: both ends foretell theirs, and aim. On one of
# the two hosts the kernel's rewrite cannot be had: there the tunnel goes through the agent.
# The move to it, with packets of the relay still on their way, loses nothing.
LAB_DELAY_MS=10

setup()
{
	relay_lab symmetric-seq symmetric-seq
	expect 'a has no libnftables' nx a mount --bind /dev/null "$(ldconfig -p | awk '/libnftables.so.1/ { print $NF; exit }')"
}

check()
{
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	stream a b 0.02
	stream b a 0.02
	took 60 'a: direct' path_is a b direct
	took 10 'b: direct' path_is b a direct
	sleep 1
	# relayed pairs may change among themselves before
	stream_lossless a b 9
	stream_lossless b a 9
	pings a b
	pings b a
	expect_reason a b direct-many-ports
	expect_reason b a direct-many-ports
	[[ $(wg_get a b endpoints) = 127.* ]] || fail "a's tunnel does not go through the agent"
	expect "b's kernel rewrites" nx b nft list table inet nat_agent_wg0
	transfer a b 1000000
	daemon_stop a nat-agent
	[[ $(wg_get a b endpoints) != 127.* ]] || fail 'the loopback stays behind'
}
