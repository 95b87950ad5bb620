# SPDX-License-Identifier: MIT
# wg syncconf with the configuration as it is changes nothing; wg setconf with one that has neither
# endpoints nor keepalives makes all peers anew, and the tunnel comes back.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a b
	direct a b
	nx a wg showconf wg0 >"$LAB_DIR/conf/a.wg0"
	sleep 1
	stream a b
	nx a wg syncconf wg0 "$LAB_DIR/conf/a.wg0"
	sleep 3
	stream_lossless a b
	grep -v '^Endpoint\|^PersistentKeepalive' "$LAB_DIR/conf/a.wg0" >"$LAB_DIR/conf/a.wg0.bare"
	nx a wg setconf wg0 "$LAB_DIR/conf/a.wg0.bare"
	within 15 'after setconf: pings pass' passes a b
	direct a b
}
