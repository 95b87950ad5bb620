# SPDX-License-Identifier: MIT
# The relay servers of turn.sh serve what they say, and nobody else: UDP, TCP, TLS, lasting and
# short-lived credentials. Needs nothing of ours: coturn's own client asks.

setup()
{
	internet
	node a b c ra rb rc
	server turn 192.0.2.20
	server turn2 192.0.2.21
	nat_setup ra no-udp 203.0.113.1 192.168.1.1/24
	nat_setup rb port-restr 198.51.100.1 192.168.2.1/24
	nat_setup rc tcp443 203.0.113.3 192.168.3.1/24
	lan_attach a ra 192.168.1.2/24
	lan_attach b rb 192.168.2.2/24
	lan_attach c rc 192.168.3.2/24
	turn_server turn user:secret
	turn_server turn2
	turn_trust turn c
	turn_known turn c
}

# client NODE NAME SERVER USER SECRET [ARGUMENTS…]: three messages through an allocation and back
client()
{
	daemon "$1" "$2" timeout $((20 * ${LAB_SLOW:-1})) turnutils_uclient -c -n 3 -m 1 -y -u "$4" -w "$5" "${@:6}" "$3"
}

served() { grep -q 'tot_recv_msgs=[1-9]\|Total lost packets 0 ' "$(log_of "$1" "$2")"; }

check()
{
	local user secret wrong
	equal 'the URIs for agents' "$(turn_uris)" 'turn:user:secret@192.0.2.20:3478?transport=udp'
	read -r user secret < <(turn_credentials turn2 60)
	read -r wrong _ < <(turn_credentials turn2 -60)
	client b udp 192.0.2.20 user secret
	client a tcp 192.0.2.20 user secret -t
	client a short 192.0.2.21 "$user" "$secret" -t
	client b wrong 192.0.2.20 user nonsense
	client b expired 192.0.2.21 "$wrong" "$secret"
	expect 'a certificate that c trusts' nx c timeout 10 openssl s_client -connect "$LAB_TURN_NAME:443" \
		-verify_hostname "$LAB_TURN_NAME" -verify_return_error -CAfile /etc/ssl/certs/ca-certificates.crt </dev/null
	expect 'nobody else does' sh -c '! "$@"' sh nsenter -t "$(node_pid b)" -n -m timeout 10 openssl s_client -connect 192.0.2.20:443 \
		-verify_return_error -CAfile /etc/ssl/certs/ca-certificates.crt </dev/null
	within 20 'UDP' served b udp
	within 20 'TCP' served a tcp
	within 20 'short-lived credentials' served a short
	for n in wrong expired; do
		within 20 "$n ones: no answer but 401" grep -q -i 'unauthorized\|cannot complete\|401' "$(log_of b "$n")"
		served b "$n" && fail "$n credentials are served"
	done
	turn_kill turn
	turn_again turn
	equal 'allocations after a restart' "$(turn_allocations turn)" 0
}
