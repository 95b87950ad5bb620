# SPDX-License-Identifier: MIT
# The interface gets another listen port while the agent runs: followed within 4 s, and the tunnel
# comes back, since the NAT's mapping is another one now.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	agent a b
	direct a b
	nx a wg set wg0 listen-port 51999
	within 4 'the new port is followed' field_is a listen_port 51999
	within 10 'pings pass again' passes b a
	within 10 "b has a's new port" peer_at b a 203.0.113.1:51999
	direct a b
}
