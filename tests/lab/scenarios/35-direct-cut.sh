# SPDX-License-Identifier: MIT
# The direct path is cut under traffic: the relay takes over; when the path is back, the pair is
# direct again.

setup()
{
	relay_lab port-restr port-restr
}

check()
{
	agent a b
	direct a b
	stream a b
	sleep 3 # under traffic, a standby gets ready
	event 'the direct path is cut' cut_path 203.0.113.1 198.51.100.1
	took 5 'pings pass' passes a b
	relayed a b
	expect_reason a b relayed-searching
	gap a b 3000
	stream a b
	event 'the path is back' mend_path 203.0.113.1 198.51.100.1
	took 60 'a: direct' path_is a b direct
	direct a b
	sleep 2
	stream_lossless a b 1
}
