# SPDX-License-Identifier: MIT
# The laboratory's innernet itself, without us: a server and two plain clients between two port-restricted
# NATs, which get connected by innernet's own means; what the server may be told to do wrong, and a member
# who joins by an invitation.

setup()
{
	inn_hosts port-restr port-restr
}

check()
{
	plain_connect
	server_sees
	plain_sees
	goes_wrong
	comes_and_goes
	joins
}

plain_connect()
{
	event 'alice starts' inn_plain a --interval 2
	took 15 'alice is at the server' inn_called alice 1
	event 'bob starts' inn_plain b --interval 2
	took 60 'pings pass' passes a b
	wait_until 30 passes b a || fail 'no way back'
	equal 'endpoint of bob' "$(wg_get a b endpoints)" 198.51.100.1:51820
	equal 'keepalive of bob' "$(wg_get a b persistent-keepalive)" 25
	equal 'addresses of bob' "$(wg_get a b allowed-ips)" 10.66.1.2/32
}

inn_called() { [ "$(inn_count "$1" GET /v1/user/state 200)" -ge "$2" ]; }
called_again()
{
	local n
	n=$(inn_count "$1" GET /v1/user/state 200)
	within 20 "$1 asks again" inn_called "$1" $((n + 1))
}

# api NODE CURL-ARGUMENTS…: as this member; PATH comes last
api()
{
	local node=$1
	shift
	nx "$node" curl -s -m 5 -H "X-Innernet-Server-Key: $(pub sig)" "${@:1:$#-1}" "http://10.66.0.1:51820/v1/${!#}"
}
api_status() { api "$1" -o /dev/null -w '%{http_code}' "${@:2}"; }
ten() { printf '["%s"]' "$(seq -f '198.51.100.9:%g' -s '","' "$1")"; }

server_sees()
{
	within 15 "alice's endpoint is sampled" endpoint_is b alice 203.0.113.1:51820
	equal "alice's candidates" "$(state_of b alice '.candidates | join(" ")')" 192.168.1.2:51820
	inn_plain_stop a
	equal 'eleven candidates' "$(api_status a -X PUT -d "$(ten 11)" user/candidates)" 413
	equal 'ten candidates' "$(api_status a -X PUT -d "$(ten 10)" user/candidates)" 204
	equal 'an override' "$(api_status a -X PUT -d '{"option":"Set","content":"0.0.0.0:7"}' user/endpoint)" 204
	equal 'it is completed' "$(state_of b alice .endpoint)" 203.0.113.1:7
	equal 'what was observed is the eleventh' "$(state_of b alice '.candidates[10]')" 203.0.113.1:51820
	equal 'no override' "$(api_status a -X PUT -d '{"option":"Unset"}' user/endpoint)" 204
	equal 'from outside of the tunnel' "$(nx a curl -s -m 2 -o /dev/null -w '%{http_code}' http://192.0.2.10:51820/v1/user/state)" 000
	inn_plain a --interval 2
}

state_of() { api "$1" user/state | jq -r ".peers[] | select(.name == \"$2\") | $3"; }
endpoint_is() { [ "$(state_of "$1" "$2" .endpoint)" = "$3" ]; }

plain_sees()
{
	inn_show a >"$LAB_DIR/out" || fail "show: $(cat "$LAB_DIR/out")"
	expect 'show has the name of bob' grep -q 'peer: bob' "$LAB_DIR/out"
	equal 'bob in the store' "$(inn_stored a bob '[.ip, .is_disabled] | join(" ")')" '10.66.1.2 false'
	sed -i 's/"is_admin"/"is_amin"/' "$(inn_store a)"
	! inn_show a >"$LAB_DIR/out" 2>&1 || fail 'show takes a store that lacks a field'
	called_again alice
	within 5 'the store is good again' inn_show a
}

goes_wrong()
{
	inn_fault status=401 peer=alice path=/v1/user/state
	wait_until 30 said a 'answers 401' || fail 'alice takes no notice'
	inn_fault off
	expect 'nothing has changed' passes a b
	called_again alice
	inn_server_stop
	wait_until 30 said a 'no answer.*refused' || fail 'alice does not miss the server'
	inn_server_again
	called_again alice
}

said() { grep -q "$2" "$(log_of "$1" inn-plain)"; }
comes_and_goes()
{
	event 'bob is disabled' inn_admin disable bob
	took 20 'alice has no peer bob' lacks a b
	equal 'bob is refused' "$(inn_admin list | awk '$1 == "bob" { print $NF }')" disabled
	equal 'bob in the store' "$(inn_stored a bob .is_disabled)" true
	event 'bob is enabled' inn_admin enable bob
	took 40 'pings pass' passes a b
	inn_admin rekey bob >"$LAB_DIR/out"
	wait_until 30 said a 'another key' || fail 'alice takes another key for the same address'
	say 'another key for the same address is refused'
	inn_admin rekey bob "$(pub b)" >"$LAB_DIR/out"
}

lacks() { [ -z "$(wg_get "$1" "$2" allowed-ips)" ]; }

# As `innernet install` does it, by hand
joins()
{
	server c 203.0.113.77
	inn_invite c carol 10.66.1.3
	inn_link c
	sed -n 's/^private-key = "\(.*\)"/\1/p' "$(inn_dir c)/invite.toml" >"$LAB_DIR/conf/c.once"
	nx c wg set wg0 private-key "$LAB_DIR/conf/c.once" peer "$(pub sig)" endpoint 192.0.2.10:51820 \
		allowed-ips 10.66.0.1/32
	equal 'state before' "$(api_status c user/state)" 401
	wg_key c
	equal 'redeeming' "$(api_status c -X POST -d "{\"public_key\":\"$(pub c)\"}" user/redeem)" 204
	equal 'redeeming twice' "$(api_status c -X POST -d "{\"public_key\":\"$(pub c)\"}" user/redeem)" 401
	event 'the key changes' nx c wg set wg0 private-key "$LAB_DIR/conf/c.key"
	took 20 'the server knows it by its new key' api c user/state
	[ "$LAB_TOOK_MS" -gt 4000 ] || fail 'the server did not wait'
	within 30 'alice has a peer carol' inn_stored a carol .ip
}
