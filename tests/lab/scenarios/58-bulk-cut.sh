# SPDX-License-Identifier: MIT
# The direct path is cut under bulk transfers each way, and comes back: the relay carries them
# meanwhile, they do not stand still for long, and all of their bytes arrive.

setup()
{
	relay_lab port-restr port-restr
}

check()
{
	agent a b
	direct a b
	bulk a b
	bulk b a
	sleep 2
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
