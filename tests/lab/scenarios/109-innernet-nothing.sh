# SPDX-License-Identifier: MIT
# Both NATs symmetric, no relay, tier 0: there is no path, and status says so; the server stays reachable and
# is not asked without end.

setup()
{
	inn_hosts symmetric symmetric
}

check()
{
	inn_agent a yes
	inn_agent b yes
	within 30 'a: the server is connected' peer_is a sig connected
	within 60 'a: bob is not' no_path a b
	equal "a's path to bob" "$(peer a b .path)" null
	[ -n "$(peer a b .why)" ] || fail 'no word why'
	say "$(peer a b .why)"
	pings a sig
	local before
	before=$(inn_count alice)
	sleep 10
	[ $(($(inn_count alice) - before)) -le 12 ] || fail "alice calls $(($(inn_count alice) - before)) times in 10 s"
}

no_path() { [[ $(peer "$1" "$2" .state) = @(checking|failed) ]]; }
