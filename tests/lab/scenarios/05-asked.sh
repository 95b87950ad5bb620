# SPDX-License-Identifier: MIT
# What a running agent is asked: a peer in detail, ping, events, restart, reload; by the command line,
# and by raw Varlink. Nothing of it disturbs the tunnel. Only root and the socket's group may ask.

setup()
{
	two_nats port-restr port-restr
	signald sig
	nx a nft 'table inet guard { chain in { type filter hook input priority 0; udp dport 51820 accept; }; }'
}

check()
{
	local conf=$LAB_DIR/conf/a.agent
	configure "$conf" bob
	agent_run a -c "$conf"
	agent b
	direct a b
	stream a b
	in_detail
	watched
	pinged
	restarted
	reloaded "$conf"
	followed "$conf"
	by_varlink
	reported
	who_may
	stream_lossless a b
}

# configure FILE NAME: an agent's file in which b has this name
configure()
{
	printf '[agent]\nsignal=%s\n[interface wg0]\n[peer %s]\npublic_key=%s\n' \
		"$(<"$LAB_DIR/conf/signal")" "$2" "$(pub b)" >"$1"
}

ask() { nx a "$NAT_AGENT" "$@" --control "$AGENT_CONTROL"; }

in_detail()
{
	local key
	find_pub b key
	expect 'the peer by its name' shows 'direct: ' status bob
	expect 'by the beginning of its key' shows 'direct: ' status "${key:0:6}"
	expect 'its checks' shows 'sent, [1-9][0-9]* answered' status bob
	expect 'the pair in use' shows '\* .*51820 -> 198\.51\.100\..*alive' status bob
	expect 'its candidates' shows ' srflx  *198\.51\.100\.' status bob
	expect 'how it came about' shows 'state  *checking -> connected' status bob
	[ "$(ask status bob --json | jq -r '.interfaces[0].peers[0].detail | [(.pairs | map(select(.chosen)) | length),
		(.events | length > 3), (.checks | length > 0), .pairs[0].error] | join(" ")')" = '1 true true ' ] ||
		fail 'the JSON of a peer in detail'
	[ "$(status a '.interfaces[0].peers[0].detail')" = null ] || fail 'details that nobody asked for'
}

# On a terminal of 20 columns and 8 lines: no picture has more lines than fit, and what was set is
# put back at the end.
watched()
{
	nx a script -qec "stty cols 20 rows 8; timeout -s INT $((4 * ${LAB_SLOW:-1})) '$NAT_AGENT' status --watch --control '$AGENT_CONTROL'" \
		"$LAB_DIR/screen" >/dev/null </dev/null || true
	[ "$(grep -c $'\e\[H' "$LAB_DIR/screen")" -ge 2 ] || fail 'status --watch draws no pictures'
	awk -v RS='\033\\[H' '{ sub(/\033\[\?7h.*/, "") } NR > 1 && gsub(/\n/, "\n") > 7 { exit 1 }' "$LAB_DIR/screen" || fail 'a picture scrolls the screen'
	grep -q $'\e\[?7h' "$LAB_DIR/screen" || fail 'the terminal is left changed'
	say 'watched on a small terminal'
}

# shows PATTERN COMMAND…
shows()
{
	local pattern=$1
	shift
	ask "$@" >"$LAB_DIR/out" 2>&1 || true
	grep -q -e "$pattern" "$LAB_DIR/out"
}

pinged()
{
	# a datagram may be lost
	within 5 'ping' shows '^1  *[0-9.]* ms  .* direct$' ping bob --count 1
	within 5 'its sum' shows '1 of 1 answered, 0% lost' ping bob --count 1
	within 5 'each path' shows '(in use)$' ping bob --paths --count 1
	within 5 'the JSON of ping' ping_json
	expect 'ping of nobody' refused 2 nobody ping nobody --count 1
}

ping_json() { [ "$(ask ping bob --count 3 --json | jq -rs '.[-1] | [.kind, .chosen, .rtt_ms > 0] | join(" ")')" = 'direct true true' ]; }

# refused STATUS WORD COMMAND…: one line
refused()
{
	local want=$1 word=$2 code=0
	shift 2
	ask "$@" >"$LAB_DIR/out" 2>&1 || code=$?
	[ "$code" = "$want" ] && [ "$(wc -l <"$LAB_DIR/out")" = 1 ] && grep -q -e "$word" "$LAB_DIR/out"
}

restarted()
{
	local before
	before=$(events_of 'begins a search')
	expect 'restart' ask restart bob
	within 5 'a new search' more_events 'begins a search' "$before"
	direct a b
}

events_of() { ask events --once bob | grep -c -e "$1" || true; }
more_events() { [ "$(events_of "$1")" -gt "$2" ] || ask events --once bob --json | jq -e --arg t "$1" 'select(.text | contains($t)) | .times > 1' >/dev/null; }

reloaded()
{
	local conf=$1
	configure "$conf" robert
	expect 'reload' ask reload
	expect 'the new name' shows '^  robert  *connected' status
	expect 'and not the old one' refused 2 bob status bob
	echo nonsense >>"$conf"
	expect 'a bad file is refused' refused 1 "$conf" reload
	expect 'and the old one stays' shows '^  robert  *connected' status
	configure "$conf" bob
	nx a kill -HUP "$(daemon_pid a nat-agent)"
	within 5 'SIGHUP does the same' shows '^  bob  *connected' status
	{ configure "$conf" bob; echo '[interface wg9]' >>"$conf"; }
	expect 'an interface that is not there is refused' refused 1 wg9 reload
	expect 'and the others stay' shows '^  bob  *connected' status
	configure "$conf" bob
}

followed()
{
	daemon a events "$NAT_AGENT" events --json --control "$AGENT_CONTROL"
	within 5 'events so far' follows '.event == "state" and .peer != null'
	expect 'another search' ask restart bob
	within 5 'one that comes later' follows '.text == "looked for anew, as asked"'
	daemon_stop a events
}

follows() { jq -e -s "map(select($1)) | length > 0" "$(log_of a events)" >/dev/null; }

# varlink JSON…: calls on one connection, an answer a line
varlink()
{
	local call
	for call; do printf '%s\0' "$call"; done | nx a timeout $((10 * ${LAB_SLOW:-1})) nc -N -U "$AGENT_CONTROL" | tr '\0' '\n'
}

# A second time if one of the answers was lost: the ping is a datagram.
by_varlink()
{
	varlink_right || varlink_right || fail "raw Varlink: $(cut -c 1-200 "$LAB_DIR/varlink")"
	say 'raw Varlink, five calls on one connection'
}

varlink_right()
{
	varlink '{"method":"org.varlink.service.GetInfo"}' \
		'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.github.nat-agent"}}' \
		'{"method":"io.github.nat-agent.Status","parameters":{"peer":"bob","detail":true}}' \
		'{"method":"io.github.nat-agent.Ping","parameters":{"peer":"bob"}}' \
		'{"method":"io.github.nat-agent.Events"}' >"$LAB_DIR/varlink" || return 1
	[ "$(wc -l <"$LAB_DIR/varlink")" = 5 ] || return 1
	[ "$(jq -s -r '[.[0].parameters.interfaces[1], (.[1].parameters.description | contains("method Ping(")),
		.[2].parameters.status.interfaces[0].peers[0].state, (.[3].parameters.answers[0].rtt_ms > 0),
		(.[4].parameters.events | length > 5)] | join(" ")' "$LAB_DIR/varlink")" = 'io.github.nat-agent true connected true true' ]
}

reported()
{
	echo 'turn=turn:alice:s3cret@192.0.2.99' >>"$LAB_DIR/conf/a.agent"
	expect 'a report' ask bugreport -c "$LAB_DIR/conf/a.agent" --output "$LAB_DIR/report"
	[ "$(stat -c %a "$LAB_DIR/report")" = 600 ] || fail "the report's mode"
	! grep -q -e s3cret -e "$(<"$LAB_DIR/conf/a.key")" "$LAB_DIR/report" || fail 'secrets in the report'
	for word in 'bob  *connected' 'checking -> connected' 'default via' 'hook' 'public key' 'peer bob' 'nat-agent [0-9]'; do
		grep -q -e "$word" "$LAB_DIR/report" || fail "the report has no '$word'"
	done
	expect 'not over another file' refused 1 "$LAB_DIR/report" bugreport --output "$LAB_DIR/report"
}

who_may()
{
	local stranger='--reuid 65534 --regid 65534'
	nx a chmod 666 "$AGENT_CONTROL"
	# shellcheck disable=SC2086
	expect 'a stranger is turned away, though the file lets him in' turned_away setpriv $stranger --clear-groups
	# shellcheck disable=SC2086
	expect 'the group is let in' nx a setpriv $stranger --groups 0 "$NAT_AGENT" status --control "$AGENT_CONTROL"
	nx a chmod 660 "$AGENT_CONTROL"
}

turned_away()
{
	nx a "$@" "$NAT_AGENT" status --control "$AGENT_CONTROL" >"$LAB_DIR/out" 2>&1 && return 1
	cat "$LAB_DIR/out"
	grep -q 'does not let you ask' "$LAB_DIR/out"
}
