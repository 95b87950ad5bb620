# SPDX-License-Identifier: MIT
# The device changes under the running agent: port, key, mark, syncconf, setconf, and the interface
# itself. Each is followed within 2 s, and the tunnel comes back.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a b
	direct a b
	port
	mark
	key
	conf
	remade
}

field_is() { [ "$(status "$1" ".interfaces[0].$2")" = "$3" ]; }
passes() { nx "$1" ping -n -q -c 1 -W 1 "$(wg_ip "$2")"; }

port()
{
	nx a wg set wg0 listen-port 51999
	within 2 'the new port is followed' field_is a listen_port 51999
	within 10 'pings pass again' passes b a
	within 10 'b: a connected' peer_is b a connected
	within 10 "b has a's new port" peer_at b a 203.0.113.1:51999
}

mark()
{
	nx a wg set wg0 fwmark 0x77
	# Unmarked packets now have no way out: what the agent sends must carry the mark.
	node_ip a <<-END
		rule add not fwmark 0x77 table 77
		route add unreachable default table 77
		rule add to 10.77.0.0/24 table main priority 10
		rule add to 192.168.1.0/24 table main priority 11
	END
	agent_stop b
	wg_unlink b
	wg_up b 2
	wg_peer b a
	agent b
	within 15 'b: a connected, over marked packets only' peer_is b a connected
	within 5 'pings pass' passes b a
	within 10 'signaling with the mark' signaling_is a connected
}

key()
{
	rm -f "$LAB_DIR/conf/a.key"
	nx b wg set wg0 peer "$(pub a)" remove
	wg_key a
	nx a wg set wg0 private-key "$LAB_DIR/conf/a.key"
	wg_peer b a
	within 2 'the new key is followed' field_is a public_key "$(pub a)"
	within 15 'b: a connected with the new key' peer_is b a connected
	within 5 'pings pass' passes a b
}

# The same configuration again changes nothing; one without endpoints is filled in anew.
conf()
{
	nx a wg showconf wg0 >"$LAB_DIR/conf/a.wg0"
	stream a b
	nx a wg syncconf wg0 "$LAB_DIR/conf/a.wg0"
	sleep 3
	stream_lossless a b
	grep -v '^Endpoint\|^PersistentKeepalive' "$LAB_DIR/conf/a.wg0" >"$LAB_DIR/conf/a.wg0.bare"
	nx a wg setconf wg0 "$LAB_DIR/conf/a.wg0.bare"
	within 15 'after setconf: pings pass' passes a b
	within 10 'after setconf: a: b connected' peer_is a b connected
}

remade()
{
	wg_unlink a
	within 2 'the missing interface is said' says_problem a
	wg_up a 1 51820 0x77
	wg_peer a b
	within 2 'the new interface is followed' field_is a listen_port 51820
	within 15 'a: b connected' peer_is a b connected
	within 5 'pings pass' passes a b
	direct a b
}

says_problem() { status "$1" '.interfaces[0] | .problem // .error // empty' | grep -q wg0; }
