# SPDX-License-Identifier: MIT
# The relay is known from nat-signald only, which hands out short-lived credentials. When those of the
# start no longer serve and the server has forgotten everything, the pair is relayed again with fresh
# ones. The short form makes them useless by another secret; LAB_LONG=1 lets them expire.

setup()
{
	two_nats symmetric symmetric
	server turn 192.0.2.20
	turn_server turn
	# The shortest that nat-signald takes
	printf '[signald]\nturn-ttl=60\n' >"$LAB_DIR/conf/signald.conf"
	signald sig -c "$LAB_DIR/conf/signald.conf" --turn-uri 'turn:192.0.2.20:3478?transport=udp' \
		--turn-secret-file "$LAB_DIR/conf/turn.secret"
}

check()
{
	event 'both agents start' agent a b
	took 10 'pings pass' passes a b
	relayed a b
	stream a b
	if [ -n "${LAB_LONG:-}" ]; then sleep 65; else sleep 3; fi
	stream_lossless a b relayed
	event 'the server starts anew' anew
	took 30 'pings pass' passes a b
	relayed a b 30
}

anew()
{
	turn_kill turn
	if [ -z "${LAB_LONG:-}" ]; then
		turn_secret turn another-secret
		signald_kill
		signald_again
	fi
	turn_again turn
}
