# SPDX-License-Identifier: MIT
# The network changes: a new member, whose invitation nat-agent redeems, killed at some step and run again; a renamed
# one, a disabled one, one with another key for the same address (refused, loudly), and we ourselves disabled.

setup()
{
	inn_hosts port-restr port-restr
	inn_absent
	server c 203.0.113.77
	inn_invite c carol 10.66.1.3
}

check()
{
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	newcomer
	event 'bob is renamed' inn_admin rename bob robert
	took 70 'a calls it so' peer_named a b robert
	event 'carol is disabled' inn_admin disable carol
	took 70 'a has no such peer' lacks a c
	equal 'carol in the store' "$(inn_stored a carol .is_disabled)" true
	event 'carol is enabled' inn_admin enable carol
	took 90 'pings pass' passes a c
	event 'bob has another key' inn_admin rekey robert
	took 70 'a says so' inn_reason a 10.66.1.2
	equal "bob's key stays" "$(wg_get a b allowed-ips)" 10.66.1.2/32
	inn_admin rekey robert "$(pub b)"
	# by an admin's client: the tunnel to the server goes on
	event 'alice is disabled' inn_admin disable alice remotely
	took 100 'a says so' inn_reason a disabled
	pings a b
	event 'alice is enabled' inn_admin enable alice
	took 100 'a is well again' inn_is a reachable
	# by the server's own command: its WireGuard knows her no more
	event 'alice is cut off' inn_admin disable alice
	took 200 'a misses the server' inn_is a unreachable
}

newcomer()
{
	daemon c install "$NAT_AGENT" innernet install "$(inn_dir c)/invite.toml" --interface wg0 \
		--config-dir "$(inn_dir c)"
	wait_until 20 redeemed || fail "not redeemed: $(cat "$(log_of c install)")"
	daemon_stop c install KILL
	nx c "$NAT_AGENT" innernet install "$(inn_dir c)/invite.toml" --interface wg0 \
		--config-dir "$(inn_dir c)" >"$LAB_DIR/out" 2>&1 ||
		fail "the second time: $(cat "$LAB_DIR/out")"
	equal 'mode of the file' "$(stat -c %a "$(inn_dir c)/wg0.conf")" 600
	inn_redeemed c
	event 'carol runs' inn_agent c yes
	took 90 'pings pass' passes c a
	direct c a 30
}

redeemed() { [ "$(inn_count carol POST /v1/user/redeem 204)" = 1 ]; }
lacks() { [ -z "$(wg_get "$1" "$2" allowed-ips)" ]; }
peer_named() { [ "$(peer "$1" "$2" .name)" = "$3" ]; }
inn_reason() { status "$1" '.interfaces[0].innernet.reason // empty' | grep -q -e "$2"; }
