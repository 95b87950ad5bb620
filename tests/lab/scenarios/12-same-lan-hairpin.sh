# SPDX-License-Identifier: MIT
# The same behind a NAT that hairpins: the way through the NAT works as well, and must not win.

. "$LAB_SRC/scenarios/11-same-lan.sh"
LAB_HAIRPIN=hairpin
