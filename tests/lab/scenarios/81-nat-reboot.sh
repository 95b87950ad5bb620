# SPDX-License-Identifier: MIT
# A NAT reboots under traffic and gives out other ports: the pair is connected again at once, and
# direct again.

setup()
{
	relay_lab port-restr-rand port-restr
}

check()
{
	agent a b
	direct a b
	stream a b
	sleep 3
	event 'the NAT of a reboots' nat_reboot ra
	took 10 'pings pass' passes a b
	gap a b 8000
	direct a b 60
}
