# SPDX-License-Identifier: MIT
# 20 % of all packets are lost, each way: no path is given up for that. LAB_LONG=1: for 10 minutes.

setup()
{
	relay_lab port-restr port-restr
}

check()
{
	local seconds=15
	[ -z "${LAB_LONG:-}" ] || seconds=600
	agent a b
	direct a b
	sleep 1
	loss ra wan 20
	loss net ra 20
	stream a b
	stream b a
	sleep "$seconds"
	stream_end a b
	stream_end b a
	no_flap a b 0
	no_flap b a 0
	equal 'path' "$(path_is a b direct && path_is b a direct && echo direct)" direct
	loss ra wan 0
	loss net ra 0
	direct a b
}
