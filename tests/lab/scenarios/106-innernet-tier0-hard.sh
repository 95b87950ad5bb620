# SPDX-License-Identifier: MIT
# Tier 0, symmetric × port-restricted: by a relay, whose address is one of the candidates.

setup()
{
	inn_hosts symmetric port-restr
	inn_relay
}

check()
{
	inn_agent a yes
	event 'both agents run' inn_agent b yes
	took 40 'pings pass' passes a b
	relayed a b 20
	equal 'the name' "$(peer a b .name)" bob
}
