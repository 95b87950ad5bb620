# SPDX-License-Identifier: MIT
# A relayed pair goes direct under traffic, 50 pings a second and a transfer each way: not one ping is
# lost, the transfers go on, and it does not go back.

setup()
{
	relay_lab port-restr port-restr
	cut_path 203.0.113.1 198.51.100.1
}

check()
{
	agent a b
	relayed a b
	bulk a b 5000
	bulk b a 5000
	stream a b 0.02
	stream b a 0.02
	sleep 1
	event 'the direct path opens' mend_path 203.0.113.1 198.51.100.1
	took 60 'a: direct' path_is a b direct
	took 65 'b: direct' path_is b a direct
	sleep 2
	stream_lossless a b upgrade
	stream_lossless b a upgrade
	bulk_end a b 3
	bulk_end b a 3
	direct a b
}
