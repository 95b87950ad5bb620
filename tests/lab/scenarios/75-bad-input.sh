# SPDX-License-Identifier: MIT
# What a person gets wrong: one line that names the thing, and a non-zero exit; what can heal by
# itself goes on trying, and shows in the status.

setup()
{
	internet
	server sig 192.0.2.10
	server a 198.51.100.7
	server b 198.51.100.8
	wg_up a 1
	wg_up b 2
	wg_pair a b
	signald sig
}

check()
{
	local n=$NAT_AGENT url=$LAB_SIGNAL
	bad 'no such interface' wg7 "$n" run --interface wg7 --signal "$url"
	bad 'not WireGuard' eth0 "$n" run --interface eth0 --signal "$url"
	bad 'no interface' interface "$n" run --signal "$url"
	bad 'no signal URL' signal "$n" run --interface wg0
	bad 'no URL' nonsense "$n" run --interface wg0 --signal nonsense
	bad 'unknown flag' --nonsense "$n" run --interface wg0 --signal "$url" --nonsense
	bad 'unknown command' nonsense "$n" nonsense
	bad 'interface name too long' wgwgwgwgwgwgwgwg "$n" run --interface wgwgwgwgwgwgwgwg --signal "$url"
	bad 'bad STUN server' 'stun' "$n" run --interface wg0 --signal "$url" --stun 'host:99999'
	bad 'no such file' /nonexistent "$n" run -c /nonexistent
	file 'unknown key' nonsense '[agent]\nnonsense=1\n'
	file 'unknown group' nonsense '[nonsense]\n'
	file 'malformed file' agent.conf 'nonsense\n'
	bad 'not root' 'root\|CAP_' setpriv --reuid 65534 --regid 65534 --clear-groups "$n" run --interface wg0 --signal "$url"
	bad 'no permission for namespaces' 'CAP_\|namespace\|root' \
		setpriv --bounding-set=-all --inh-caps=-all "$n" run --interface wg0 --signal "$url"
	bad 'status without an agent' /run/none.sock "$n" status --control /run/none.sock
	signald_bad
	foreign_port
	heals
}

# bad WHAT WORD COMMAND…
bad()
{
	local what=$1 word=$2 code=0
	shift 2
	nx a timeout 10 "$@" >"$LAB_DIR/out" 2>&1 || code=$?
	case $code in
	0 | 124 | 13?) fail "$what: exit status $code: $(tail -n 3 "$LAB_DIR/out")" ;;
	esac
	one_line "$what" "$word"
}

file()
{
	printf "$3" >"$LAB_DIR/conf/agent.conf"
	bad "$1" "$2" "$NAT_AGENT" run -c "$LAB_DIR/conf/agent.conf" --interface wg0 --signal "$LAB_SIGNAL"
}

signald_bad()
{
	nx a sh -c 'exec nc -l -p 8080' >/dev/null 2>&1 &
	within 5 'port 8080 is taken' nx a sh -c 'ss -Htln "sport = :8080" | grep -q .'
	bad 'signald: port taken' 8080 "$NAT_SIGNALD" --listen 0.0.0.0:8080
	bad 'signald: no address' nonsense "$NAT_SIGNALD" --listen nonsense
	bad 'signald: unknown flag' --nonsense "$NAT_SIGNALD" --nonsense
	printf '[signald]\nnonsense=1\n' >"$LAB_DIR/conf/signald.conf"
	bad 'signald: unknown key' nonsense "$NAT_SIGNALD" -c "$LAB_DIR/conf/signald.conf"
}

# An interface that was made in another namespace keeps its socket there.
foreign_port()
{
	[ "$LAB_WG" = kernel ] || return 0
	node_ip b <<<'link add wg9 type wireguard'
	nx b wg set wg9 private-key "$LAB_DIR/conf/b.key" listen-port 51829
	node_ip b <<-END
		link set wg9 up
		link set wg9 netns $(node_pid a)
	END
	node_ip a <<<'link set wg9 up'
	agent_run a --interface wg9 --signal "$LAB_SIGNAL"
	within 5 'a port bound elsewhere is said' names_port
	agent_stop a
}

names_port() { { status a; cat "$(log_of a nat-agent)"; } | grep -q 51829.*namespace; }

# Signaling unreachable: it says so, goes on trying, and connects as soon as it can.
heals()
{
	signald_kill
	agent a b
	within 5 'the agent runs without signaling' not_signaling a
	within 5 'and says why' says_why
	expect_reason a b waiting-for-signaling
	signald_again
	within 20 'a: b connected once signaling is there' peer_is a b connected
	pings a b
}

not_signaling() { [ "$(status a '.interfaces[0].signaling.state // empty')" != connected ]; }
says_why() { [ -n "$(status a '.interfaces[0].signaling.reason // empty')" ]; }
