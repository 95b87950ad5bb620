# SPDX-License-Identifier: MIT
# A relayed pair goes direct under traffic, 100 pings a second and a transfer each way: not one ping is
# lost, and it does not go back. Then the direct path is cut under bulk transfers and comes back: they
# take longer, but they do not stand still for long, and they end.

setup()
{
	relay_lab port-restr port-restr
	cut_path 203.0.113.1 198.51.100.1
}

check()
{
	agent a b
	relayed a b
	sleep 1
	bulk a b 5000
	bulk b a 5000
	stream a b 0.01
	stream b a 0.01
	sleep 1
	event 'the direct path opens' mend_path 203.0.113.1 198.51.100.1
	took 60 'a: direct' path_is a b direct
	took 65 'b: direct' path_is b a direct
	sleep 2
	stream_lossless a b 1
	stream_lossless b a 1
	bulk_end a b 3
	bulk_end b a 3
	direct a b
	bulk a b
	bulk b a
	sleep 1
	event 'the direct path is cut' cut_path 203.0.113.1 198.51.100.1
	took 10 'a: relayed' path_is a b relay
	sleep 2
	event 'the path is back' mend_path 203.0.113.1 198.51.100.1
	took 60 'a: direct' path_is a b direct
	sleep 1
	bulk_end a b 6
	bulk_end b a 6
	direct a b
}
