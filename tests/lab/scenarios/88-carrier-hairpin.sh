# SPDX-License-Identifier: MIT
# The same where the carrier's NAT hairpins: direct.

. "$LAB_SRC/scenarios/87-carrier-same.sh"
LAB_HAIRPIN=hairpin
LAB_KIND=direct
