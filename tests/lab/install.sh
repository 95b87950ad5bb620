# SPDX-License-Identifier: MIT
# nat-agent innernet install, for the scenarios about it, which source this. The interface is wg0.

conf_of() { printf '%s/wg0.conf' "$(inn_dir "$1")"; }

# install NODE [ARGUMENTS…]: its status; what it says goes to out.NODE
install()
{
	nx "$1" "$NAT_AGENT" innernet install --interface wg0 --config-dir "$(inn_dir "$1")" "${@:2}" \
		"$(inn_dir "$1")/invite.toml" >"$LAB_DIR/out.$1" 2>&1
}

said() { grep -q -e "$2" "$LAB_DIR/out.$1" || fail "$1 does not say '$2': $(cat "$LAB_DIR/out.$1")"; }

# is_member NODE NAME: in the file, on the device, at the server; and no other key than that ever was
is_member()
{
	[ ! -e "$(conf_of "$1").install" ] || fail "$1: the file has both names"
	equal "mode of the file of $1" "$(stat -c %a "$(conf_of "$1")")" 600
	cp "$(conf_of "$1")" "$(inn_dir "$1")/kept"
	inn_redeemed "$1"
	equal "key of $1 in the device" "$(nx "$1" wg show wg0 public-key)" "$(pub "$1")"
	equal "key of $1 at the server" "$(jq -r ".peers[] | select(.name == \"$2\") | .public_key" "$LAB_DIR/conf/innernet.db")" "$(pub "$1")"
	equal "redemptions of $1" "$(inn_count "$2" POST /v1/user/redeem 204)" 1
	within 5 "$1 reaches the server" nx "$1" ping -n -q -c 1 -W 1 10.66.0.1
}
