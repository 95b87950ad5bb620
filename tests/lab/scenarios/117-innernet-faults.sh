# SPDX-License-Identifier: MIT
# A server that answers 401, 500, garbage, 16 MB, without end, half of it, a state without us, that takes the call and
# hangs, ends connections, speaks no HTTP, sends us elsewhere, is down: what stands goes on standing, status says
# what is wrong, and all is well again after.

setup()
{
	inn_hosts port-restr port-restr
	inn_absent
}

check()
{
	local kinds
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	for kinds in 'status=401 status=500' 'garbage huge' 'endless cut' 'without-caller no-http' 'drop redirect' 'hang hang'; do
		inn_wrong "$kinds" "begins $kinds" 'inn_fault off'
	done
	inn_wrong 'the server is down' inn_server_stop inn_server_again
}

# begins KIND KIND: of alice's calls and of bob's
begins()
{
	inn_fault "$1" peer=alice
	inn_fault "$2" peer=bob
}
