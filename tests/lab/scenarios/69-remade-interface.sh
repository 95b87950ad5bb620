# SPDX-License-Identifier: MIT
# The interface is deleted and made again (wg-quick down, up): the status says that it is missing,
# the new one is followed within 4 s, and the tunnel comes back. Also where the configuration of the
# interface changes while it is away.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	local conf=$LAB_DIR/conf/a.agent
	configure "$conf" off
	agent_run a -c "$conf"
	agent b
	direct a b
	wg_unlink a
	within 4 'the missing interface is said' says_problem a
	say "problem: $(status a '.interfaces[0].problem')"
	wg_up a 1
	wg_peer a b
	within 4 'the new interface is followed' field_is a listen_port 51820
	within 15 'a: b connected' peer_is a b connected
	within 5 'pings pass' passes a b
	direct a b
	wg_unlink a
	within 4 'it is missing again' says_problem a
	configure "$conf" advise
	expect 'its configuration changes' nx a "$NAT_AGENT" reload --control "$AGENT_CONTROL"
	says_problem a || fail 'it is not waited for'
	wg_up a 1
	wg_peer a b
	within 4 'the new interface is followed' field_is a listen_port 51820
	within 15 'a: b connected' peer_is a b connected
	direct a b
}

# configure FILE MTU
configure() { printf '[agent]\nsignal=%s\n[interface wg0]\nmtu=%s\n' "$(<"$LAB_DIR/conf/signal")" "$2" >"$1"; }

says_problem() { status "$1" '.interfaces[0].problem // empty' | grep -q wg0; }
