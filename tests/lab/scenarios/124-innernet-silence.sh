# SPDX-License-Identifier: MIT
# The same with a server that ends connections, speaks no HTTP, sends us elsewhere, is down, and is started again.

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
	for kind in drop no-http redirect; do
		inn_wrong a b "$kind" "inn_fault $kind peer=alice" 'inn_fault off'
	done
	inn_wrong a b 'the server is down' inn_server_stop inn_server_again
}
