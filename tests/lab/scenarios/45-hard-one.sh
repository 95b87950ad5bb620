# SPDX-License-Identifier: MIT
# One NAT gives each destination a port by chance, the other lets in only whom its host has sent to:
# ICE's checks cannot meet. Many ports do, and the tunnel leaves the hard side from one of them: by
# the kernel's rewrite, which does not need the agent.

setup()
{
	relay_lab symmetric port-restr
}

rules() { nx a nft list table inet nat_agent_wg0; }

check()
{
	local before
	nx a nft add table inet users
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	took 60 'a: direct' path_is a b direct
	direct a b
	expect_reason a b direct-many-ports
	expect_reason b a direct-many-ports
	before=$(rules) || fail 'no table of ours'
	say "$before"

	daemon_stop a nat-agent KILL
	pings a b
	pings b a
	agent a
	direct a b
	expect_reason a b direct-many-ports
	equal 'the rules' "$(rules)" "$before"

	daemon_stop a nat-agent
	pings a b
	equal 'the rules' "$(rules)" "$before"
	expect "the user's own are as they were" nx a nft list table inet users
}
