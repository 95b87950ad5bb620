# SPDX-License-Identifier: MIT
# Two relay servers, and the one in use is killed under 100 pings a second: a spare allocation at the
# other one, made before, carries on. The first one comes back and holds the next spare, which carries
# on in its turn. A tunnel that is not used holds none (LAB_LONG=1: 5 minutes later).

setup()
{
	relay_lab symmetric symmetric
	server turn2 192.0.2.21
	turn_server turn2 user:secret
}

check()
{
	local used other
	agent a b
	relayed a b
	survives
	equal "a's words on the dead server" "$(peer a b .why | grep -c -i turn:)" 0
	event "$used comes back" turn_again "$used"
	survives
	[ -z "${LAB_LONG:-}" ] || falls_idle
}

# The server in use is killed, and the other one has what it takes already
survives()
{
	local before
	stream a b 0.01
	stream b a 0.01
	within 60 'each holds a spare, and has a standby' ready
	sleep 2 # channels are bound
	within 60 'they still do' ready
	before=$(turn_allocations "$other")
	event "$used is killed" turn_kill "$used"
	took 15 'pings pass' passes a b
	relayed a b
	equal 'the server in use' "$(used)" "$other"
	within 10 'a: the spare is the main one' main_is a "$other"
	within 10 'b: the spare is the main one' main_is b "$other"
	equal "allocations at $other" "$(turn_allocations "$other")" "$before"
	expect 'a log says so' grep -q "$(address "$other"):.* takes over" "$(log_of a nat-agent)" "$(log_of b nat-agent)"
	gap a b 3000
	gap b a 3000
}

# Sets used and other
ready()
{
	local n
	used=$(used)
	other=turn
	[ "$used" = turn ] && other=turn2
	for n in a b; do
		held "$n" | grep -qxF "$(address "$used")" && held "$n" | grep -qxF "$(address "$other")" || return 1
	done
	has_standby a b && has_standby b a
}

falls_idle()
{
	sleep 300
	within 60 'a gives the spare back' no_spare a
	within 60 'b gives the spare back' no_spare b
	relayed a b
}

used() { case $(relay_address a b) in 192.0.2.20:*) echo turn ;; 192.0.2.21:*) echo turn2 ;; esac; }
address() { case $1 in turn) echo 192.0.2.20 ;; turn2) echo 192.0.2.21 ;; esac; }

# held NODE [CONDITION]: the addresses of servers where it has an allocation
held() { status "$1" ".interfaces[0].relays[] | select(.state == \"up\" and (${2:-true})) | .relayed | split(\":\")[0]"; }
main_is() { [ "$(held "$1" '.spare | not')" = "$(address "$2")" ]; }
no_spare() { [ -z "$(held "$1" .spare)" ]; }
has_standby() { [ "$(peer "$1" "$2" .standby.kind)" = relay ]; }
