# SPDX-License-Identifier: MIT
# Signaling by TLS: agents that trust its certificate meet; one that does not says why. The certificate
# is renewed and the server handed over to a new process under a stream: nobody is lost.

setup()
{
	two_nats port-restr port-restr
	turn_certificate sig
	turn_trust sig a
	turn_known sig a b # the name is the certificate's; it stands for sig here
	LAB_SIGNAL_NAME=$LAB_TURN_NAME
	signald sig --tls-cert "$LAB_DIR/conf/sig.crt" --tls-key "$LAB_DIR/conf/sig.tls-key"
}

check()
{
	agent a b
	within 20 'a is there' signaling_is a connected
	within 20 'b says why not' reason_is b '*certificate*'
	agent_stop b
	turn_trust sig b
	agent b
	direct a b
	stream a b
	turn_certificate sig
	signald_signal HUP
	within 10 'the new certificate is served' served_differs
	expect 'a is still there' signaling_is a connected
	signald_signal USR2
	within 20 'a new process serves' daemon_gone sig nat-signald
	# whose certificate a and b do not trust
	within 20 'a says why not' reason_is a '*certificate*'
	turn_trust sig a b
	agent_stop a
	agent a
	within 60 'a is there again' signaling_is a connected
	stream_lossless a b
	pings b a
}

reason_is() { [[ $(status "$1" '.interfaces[0].signaling.reason // empty') == $2 ]]; }

served_differs()
{
	local served made
	served=$(nx sig openssl s_client -connect "192.0.2.10:$LAB_SIGNAL_PORT" </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint)
	made=$(openssl x509 -noout -fingerprint <"$LAB_DIR/conf/sig.crt")
	[ "$served" = "$made" ]
}
