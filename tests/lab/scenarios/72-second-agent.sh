# SPDX-License-Identifier: MIT
# A second agent on the interface is refused, whatever its control socket, and the first one goes on;
# several agents in several network namespaces run at once (every other scenario).

setup()
{
	two_nats port-restr port-restr
	wg_link a wg1
	signald sig
}

check()
{
	agent a b
	direct a b
	refused 'a second agent' wg0 --interface wg0 --signal "$LAB_SIGNAL" --control /run/second.sock
	refused 'the same control socket' /run/nat-agent/control.sock --interface wg1 --signal "$LAB_SIGNAL" --control "$AGENT_CONTROL"
	equal 'state of b' "$(peer a b .state)" connected
	agent_stop a KILL
	agent a
	within 5 'after kill -9 the next one starts' peer_is a b connected
}

# refused WHAT WORD ARGUMENTS…: it ends by itself, not with 0, with one line that has the word in it
refused()
{
	local what=$1 word=$2 code=0
	shift 2
	nx a timeout 10 "$NAT_AGENT" run "$@" >"$LAB_DIR/out" 2>&1 || code=$?
	case $code in
	0 | 124 | 13?) fail "$what: exit status $code: $(tail -n 3 "$LAB_DIR/out")" ;;
	esac
	one_line "$what" "$word"
}
