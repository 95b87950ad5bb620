# SPDX-License-Identifier: MIT
# An invitation is redeemed by nat-agent itself, killed at some step and run again; then the member is there.

setup()
{
	inn_hosts port-restr port-restr
	server c 203.0.113.77
	inn_invite c carol 10.66.1.3
}

check()
{
	inn_agent a yes
	inn_agent b yes
	direct a b 40
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
