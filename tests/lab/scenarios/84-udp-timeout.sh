# SPDX-License-Identifier: MIT
# NATs at both ends forget a mapping after 10 s. After a long silence, the first ping passes at once:
# the agents have kept the path alive. LAB_LONG=1: two minutes of silence.

LAB_PROFILE=udp10s
LAB_SILENCE=20

setup()
{
	relay_lab "$LAB_PROFILE" "$LAB_PROFILE"
}

check()
{
	local silence=$LAB_SILENCE
	[ -z "${LAB_LONG:-}" ] || silence=120
	agent a b
	direct a b
	sleep "$silence"
	say "$silence s of silence"
	expect 'the first ping passes' nx a ping -n -q -c 1 -W $((3 * ${LAB_SLOW:-1})) "$(wg_ip b)"
	expect 'and back' nx b ping -n -q -c 1 -W $((3 * ${LAB_SLOW:-1})) "$(wg_ip a)"
	direct a b
}
