# SPDX-License-Identifier: MIT
# A relayed pair goes direct under traffic, 100 packets a second each way: not one is lost, and
# it does not go back.

setup()
{
	relay_lab port-restr port-restr
	cut_path 203.0.113.1 198.51.100.1
}

check()
{
	agent a b
	relayed a b
	sleep 2
	stream a b 0.01
	stream b a 0.01
	sleep 1
	event 'the direct path opens' mend_path 203.0.113.1 198.51.100.1
	took 60 'a: direct' path_is a b direct
	took 65 'b: direct' path_is b a direct
	sleep 3
	stream_lossless a b 1
	stream_lossless b a 1
	direct a b
}
