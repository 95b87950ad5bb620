# SPDX-License-Identifier: MIT
# The same on a long way: round trips of 100 ms direct and 200 by relay. LAB_LONG=1: 300 and 600.

. "$LAB_SRC/scenarios/39-upgrade.sh"
LAB_DELAY_MS=25
[ -z "${LAB_LONG:-}" ] || LAB_DELAY_MS=75
