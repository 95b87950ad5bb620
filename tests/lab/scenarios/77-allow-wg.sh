# SPDX-License-Identifier: MIT
# A server whose WireGuard interface says who may in: its peers, through their tunnels. Who is no peer
# any more is closed at once (and hears nothing of it: its tunnel is gone), and is back when it is one again.

setup()
{
	two_nats port-restr port-restr
	wg_up sig 9
	wg_pair sig a b
	for n in a b; do
		nx "$n" wg set wg0 peer "$(pub sig)" endpoint 192.0.2.10:51820 persistent-keepalive 5
	done
	LAB_SIGNAL_NODE=sig
	LAB_SIGNAL=ws://$(wg_ip sig):$LAB_SIGNAL_PORT
	echo "$LAB_SIGNAL" >"$LAB_DIR/conf/signal"
	signald_start --listen "0.0.0.0:$LAB_SIGNAL_PORT" --stun 192.0.2.10:3478 --name "$(wg_ip sig)" --name 192.0.2.10 \
		--allow-wg wg0
}

start() { for n; do agent_run "$n" --interface wg0 --signal "$LAB_SIGNAL" --stun 192.0.2.10; done; }
reason_is() { [[ $(status "$1" '.interfaces[0].signaling.reason // empty') == $2 ]]; }

check()
{
	start a b
	direct a b
	equal 'a at the server' "$(status a .interfaces[0].signaling.state)" connected
	event 'a is removed' nx sig wg set wg0 peer "$(pub a)" remove
	took 20 'the server closes it' signald_says not-allowed
	event 'a is a peer again' wg_peer sig a
	took 90 'a is there again' logins_are 3
	within 10 'a is at the server' signaling_is a connected
	pings a b
	# from outside of the tunnel even a peer is not let in
	agent_stop b
	agent_run b --interface wg0 --signal "ws://192.0.2.10:$LAB_SIGNAL_PORT" --stun 192.0.2.10
	within 20 'b hears why not' reason_is b '*through its WireGuard tunnel*'
}

# no fewer: one that was cut off meanwhile logs in once more
logins_are() { [ "$(nx sig curl -s http://127.0.0.1:9478/metrics | sed -n 's/^nat_signald_logins_total //p')" -ge "$1" ]; }
signald_says() { grep -q "$1" "$(log_of sig nat-signald)"; }
