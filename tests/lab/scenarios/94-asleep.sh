# SPDX-License-Identifier: MIT
# A host sleeps while its NAT forgets everything. No clock can be made to jump here: a time
# namespace's offsets are fixed once a process is in it. So the agent is stopped and the host's link
# cut instead, which looks to the agent as if all had happened at once; and nothing tells it but
# its own clock.

setup()
{
	relay_lab port-restr-rand port-restr
}

check()
{
	agent a b
	direct a b
	sleep 1
	daemon_pause a nat-agent
	cut_path 203.0.113.1 198.51.100.1
	nat_reboot ra
	sleep 10
	mend_path 203.0.113.1 198.51.100.1
	event 'a wakes' daemon_resume a nat-agent
	took 10 'pings pass' passes a b
	direct a b 60
}
