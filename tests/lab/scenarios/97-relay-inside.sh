# SPDX-License-Identifier: MIT
# nat-signald names a relay server at an address inside a's own network: a does not go there (it is
# no business of a signaling server's). Told so by its own user, it does.

setup()
{
	two_nats port-restr port-restr
	node x
	lan_attach x ra 192.168.1.9/24
	cut_path 203.0.113.1 198.51.100.1 # so that the relay is wanted
	echo lab-turn-secret >"$LAB_DIR/conf/turn.secret"
	signald sig --turn-uri 'turn:192.168.1.9:3478?transport=udp' --turn-uri 'turn:127.0.0.1:3478' \
		--turn-secret-file "$LAB_DIR/conf/turn.secret"
	capture x eth0 'port 3478'
}

check()
{
	agent a b
	sleep 4
	equal 'packets to the server inside' "$(captured x eth0 'src host 192.168.1.2 and dst host 192.168.1.9' | wc -l)" 0
	mend_path 203.0.113.1 198.51.100.1
	direct a b 60
	agent_stop a
	cut_path 203.0.113.1 198.51.100.1
	turn_use 'turn:user:secret@192.168.1.9:3478?transport=udp'
	agent a
	within 20 'told by its user, a asks there' asked
}

asked() { [ "$(captured x eth0 'src host 192.168.1.2 and dst host 192.168.1.9' | wc -l)" -gt 0 ]; }
