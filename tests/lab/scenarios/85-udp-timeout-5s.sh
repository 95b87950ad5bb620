# SPDX-License-Identifier: MIT
# The same after 5 s.

. "$LAB_SRC/scenarios/84-udp-timeout.sh"
LAB_PROFILE=udp5s
LAB_SILENCE=12
