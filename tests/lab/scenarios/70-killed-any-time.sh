# SPDX-License-Identifier: MIT
# kill -9 of the agent at any moment of its start needs no cleaning by hand: the next one starts as
# if nothing had been, and leaves no interface, rule or address behind either.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

# Everything about the network that an agent could leave behind in its host
traces() { nx a sh -c 'ip -br link; ip addr show dev eth0 | grep inet; ip rule; ip -6 rule; nft list ruleset' | sed 's/@.*//'; }

check()
{
	local before after_ms
	before=$(traces)
	agent b
	for after_ms in 000 005 010 020 040 080 120 160 200 300; do
		agent a
		sleep "0.$after_ms"
		agent_stop a KILL
	done
	equal 'what ten killed agents left behind' "$(diff <(echo "$before") <(traces))" ''
	agent a
	within 10 'a: b connected' peer_is a b connected
	direct a b
	agent_stop a
	equal 'what one that ended well left behind' "$(diff <(echo "$before") <(traces))" ''
	equal 'its control socket' "$(nx a sh -c 'ls /run/nat-agent/*.sock 2>/dev/null')" ''
}
