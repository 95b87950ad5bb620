# SPDX-License-Identifier: MIT
# The same with a server that answers without end, half of it, a state without us, or takes the call and hangs.

setup()
{
	inn_hosts port-restr port-restr
}

check()
{
	local kind
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	for kind in endless cut without-caller hang; do
		inn_wrong a b "$kind" "inn_fault $kind peer=alice" 'inn_fault off'
	done
}
