# SPDX-License-Identifier: MIT
# The same with 100 ms of round trip.

. "$LAB_SRC/scenarios/39-upgrade.sh"
LAB_DELAY_MS=25
