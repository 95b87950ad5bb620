# SPDX-License-Identifier: MIT
# A server that answers 401, 500, garbage, 16 MB, without end, half, nothing or a state without us, and one that is
# down or started again: what stands goes on standing, status says what is wrong, and all is well again after.

setup()
{
	inn_hosts port-restr port-restr
}

check()
{
	local kind
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	inn_admin list >"$LAB_DIR/out"
	for kind in status=401 status=500 garbage huge endless cut drop hang without-caller no-http redirect; do
		wrong "$kind" "inn_fault $kind peer=alice" 'inn_fault off'
	done
	wrong 'the server is down' inn_server_stop inn_server_again
}

# wrong WHAT BEGIN END
wrong()
{
	event "$1" $2
	wake a
	took 70 'a says so' inn_trouble a
	say "$(status a '.interfaces[0].innernet | [.state, .reason] | join(": ")')"
	peer_is a b connected || fail "bob is lost by $1"
	pings a b
	event 'it ends' $3
	took 70 'a is well again' inn_is a reachable
	equal 'reason' "$(status a .interfaces[0].innernet.reason)" null
}

inn_trouble() { [ "$(status "$1" .interfaces[0].innernet.reason)" != null ]; }

# Something happens at the host, so that the server is asked now and not within a minute.
wake()
{
	node_ip "$1" <<-END
		addr add 192.168.1.99/32 dev eth0
		addr del 192.168.1.99/32 dev eth0
	END
}
