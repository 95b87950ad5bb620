# SPDX-License-Identifier: MIT
# Two symmetric NATs: no direct path, so the pair is relayed at once. Then one NAT becomes open: the
# pair goes direct by itself.

setup()
{
	relay_lab symmetric symmetric
}

check()
{
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	relayed a b
	expect_reason a b relayed-both-hard
	equal 'status of a, exit' "$(nx a "$NAT_AGENT" status --control "$AGENT_CONTROL" >/dev/null; echo $?)" 0
	sleep 3
	relayed a b 1
	event 'the NAT of a opens' nat_open ra
	took 60 'a: direct' path_is a b direct
	direct a b
}
