# SPDX-License-Identifier: MIT
# One NAT gives each destination a port by chance, the other lets in only whom its host has sent to:
# ICE's checks cannot meet. Many ports do, and the tunnel leaves the hard side from one of them.

setup()
{
	relay_lab symmetric port-restr
}

check()
{
	event 'both agents start' agent a b
	took 5 'pings pass' passes a b
	took 40 'a: direct' path_is a b direct
	direct a b
	say "$(nx a nft list ruleset)"
}
