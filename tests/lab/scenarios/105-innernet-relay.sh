# SPDX-License-Identifier: MIT
# Both NATs symmetric. Without a relay server there is no path, and status says so; the server stays reachable and
# is not asked without end. With one: by relay, in tier 0, where its address is one of the candidates, and in
# tier 1, where one of the NATs is port-restricted. LAB_LONG=1: each tier with either NAT.

setup()
{
	inn_hosts symmetric symmetric
}

check()
{
	nothing
	inn_relay
	inn_fresh
	both 'tier 0, both symmetric' 40
	nat_becomes rb port-restr 198.51.100.1
	[ -z "${LAB_LONG:-}" ] || { inn_fresh; both 'tier 0, one port-restricted' 40; }
	inn_tier1
	inn_fresh
	both 'tier 1, one port-restricted' 20
	[ -n "${LAB_LONG:-}" ] || return 0
	nat_becomes rb symmetric 198.51.100.1
	inn_fresh
	both 'tier 1, both symmetric' 20
}

nothing()
{
	local before
	inn_agent a yes
	within 30 'a: the server is connected' peer_is a sig connected
	expect_reason a b waiting-no-agent 30
	inn_agent b yes
	within 60 'a: bob is not' no_path a b
	equal "a's path to bob" "$(peer a b .path)" null
	expect_reason a b failed-beacon 60
	pings a sig
	before=$(inn_count alice)
	sleep 10
	[ $(($(inn_count alice) - before)) -le 12 ] || fail "alice calls $(($(inn_count alice) - before)) times in 10 s"
	no_path a b || fail 'there is a path after all'
}

no_path() { [[ $(peer "$1" "$2" .state) = @(checking|failed) ]]; }

# both WHAT SECONDS
both()
{
	inn_agent a yes
	event "$1: both agents run" inn_agent b yes
	took "$2" 'pings pass' passes a b
	relayed a b 20
	equal 'the name' "$(peer a b .name)" bob
}
