# SPDX-License-Identifier: MIT
# A symmetric NAT and a host whose firewall opens nothing but WireGuard's port: a search from any
# other port would find a path that WireGuard cannot use, or none.

. "$LAB_SRC/scenarios/20-symmetric-public.sh"

eval "$(declare -f setup | sed '1s/setup/setup_public/')"
setup()
{
	setup_public
	firewall b 51820
}
