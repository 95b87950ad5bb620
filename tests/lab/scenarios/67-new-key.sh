# SPDX-License-Identifier: MIT
# The interface gets another private key while the agent runs: it logs in anew, under the new
# identity, and the peer that knows the new key meets it.

setup()
{
	two_nats port-restr port-restr
	signald sig
}

check()
{
	local before
	agent a b
	direct a b
	before=$(mux_packets)
	rm -f "$LAB_DIR/conf/a.key"
	nx b wg set wg0 peer "$(pub a)" remove
	wg_key a
	nx a wg set wg0 private-key "$LAB_DIR/conf/a.key"
	wg_peer b a
	within 4 'the new key is followed' field_is a public_key "$(pub a)"
	[ "$(mux_packets)" -ge "$before" ] || fail 'a: what was counted under the old key is forgotten'
	within 10 'b: a connected with the new key' peer_is b a connected
	direct a b
}

mux_packets() { status a '.interfaces[0].counters | .stun_in + .stun_out'; }
