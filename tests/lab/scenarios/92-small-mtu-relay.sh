# SPDX-License-Identifier: MIT
# The same by relay, which adds its own header.

. "$LAB_SRC/scenarios/91-small-mtu.sh"
LAB_KIND=relay
