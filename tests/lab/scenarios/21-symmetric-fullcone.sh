# SPDX-License-Identifier: MIT
# A symmetric NAT and one that lets everybody in.

setup()
{
	two_nats symmetric fullcone
	signald sig
}

check()
{
	agent a b
	direct a b
	within 10 "a's NAT is found out" a_is_symmetric
	expect_reason a b direct-hard-here
	expect_reason b a direct-hard-peer
}

a_is_symmetric()
{
	case $(status a .interfaces[0].nat.mapping) in
	address-dependent | address-and-port-dependent) true ;;
	*) false ;;
	esac
}
