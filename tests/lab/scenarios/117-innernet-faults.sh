# SPDX-License-Identifier: MIT
# A server that answers 401, garbage, without end, a state without us, that takes the call and hangs, ends connections,
# is down: what stands goes on standing, status says what is wrong, and all is well again after. LAB_LONG=1: also 500,
# 16 MB, half of an answer, no HTTP, a way elsewhere (unit/test-inn-http.c has more of that kind).

setup()
{
	inn_hosts port-restr port-restr
	inn_absent
}

check()
{
	local kinds all=('status=401 garbage' 'endless without-caller' 'drop hang')
	[ -z "${LAB_LONG:-}" ] || all+=('status=500 huge' 'cut no-http' 'redirect hang')
	inn_agent a yes
	inn_agent b yes
	direct a b 40
	for kinds in "${all[@]}"; do
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
