# SPDX-License-Identifier: MIT
# A server that answers 401, 500, garbage or 16 MB: what stands goes on standing, status says what is wrong, and all
# is well again after.

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
	for kind in status=401 status=500 garbage huge; do
		inn_wrong a b "$kind" "inn_fault $kind peer=alice" 'inn_fault off'
	done
}
