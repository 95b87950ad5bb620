# SPDX-License-Identifier: MIT
# As hard-one, where no relay carries the tunnel meanwhile and none proves whose address is whose: what
# the signaling server sees of both does.

setup()
{
	two_nats symmetric port-restr
	signald sig
}

check()
{
	event 'both agents start' agent a b
	took 90 'a: direct' path_is a b direct
	took 10 'b: direct' path_is b a direct
	expect_reason a b direct-many-ports
	expect_reason b a direct-many-ports
	pings a b
	pings b a
}
