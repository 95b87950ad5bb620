# SPDX-License-Identifier: MIT
# A host behind a router's IPv6 firewall, which lets in nobody who was not asked: PCP opens it for WireGuard's port,
# and closes it when the agent ends without a tunnel.

setup() { firewalled_home enable_upnp=no; }

check()
{
	agent a
	within 20 'a: IPv6 is let in' pinhole true
	within 5 'the router lets it in' let_in_is 1
	agent_stop a
	within 5 'no longer' let_in_is 0
}
