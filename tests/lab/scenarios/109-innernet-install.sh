# SPDX-License-Identifier: MIT
# nat-agent innernet install: an invitation becomes a member. What stands in the way is said in a line, and
# nothing is left behind then.
. "$LAB_SRC/install.sh"

setup()
{
	internet
	server sig 192.0.2.10
	inn_network sig
	# one of the server's two addresses is nobody's
	dns net vpn.example=192.0.2.99 vpn.example=192.0.2.10
	server a 203.0.113.77
	resolver a 192.0.2.254
}

check()
{
	refused
	unreachable
	expired
	installed
}

# fails NODE WORDS [ARGUMENTS…]: not installed, one line says why, and nothing is there that was not before
fails()
{
	local code=0
	install "$1" "${@:3}" || code=$?
	equal "exit status of $1" "$code" 1
	said "$1" "$2"
	equal 'lines of complaint' "$(grep -c '^nat-agent: ' "$LAB_DIR/out.$1")" 1
	[ ! -e "$(conf_of "$1")" ] || fail "$1 has a file all the same"
}

nothing_left()
{
	! inn_has_link "$1" || fail "an interface is left on $1"
	[ ! -e "$(conf_of "$1").install" ] || fail "a key is left on $1"
}

refused()
{
	inn_invite a alice 10.66.1.1
	sed -i 's/"192.0.2.10:51820"/"vpn.example:51820"/' "$(inn_dir a)/invite.toml"
	node_ip a <<<'link add wg0 type bridge'
	fails a 'exists already'
	expect 'the interface is still there' inn_has_link a
	node_ip a <<<'link del wg0'
	node_ip a <<<'link add x type bridge'
	node_ip a <<-END
		link set x up
		addr add 10.66.9.1/24 dev x
	END
	fails a ' x'
	nothing_left a
	node_ip a <<<'link del x'
	nx a setpriv --bounding-set -net_admin --inh-caps -net_admin "$NAT_AGENT" innernet install \
		"$(inn_dir a)/invite.toml" >"$LAB_DIR/out.a" 2>&1 && fail 'it runs without CAP_NET_ADMIN'
	said a 'CAP_NET_ADMIN'
	echo '[interface' >"$(conf_of a)"
	install a && fail 'a damaged file does not stop it'
	said a 'wg0.conf:1: '
	rm "$(conf_of a)"
}

unreachable()
{
	inn_unreachable
	fails a 'no WireGuard handshake with the server vpn.example:51820 (tried 192.0.2'
	said a 192.0.2.99:51820
	said a 192.0.2.10:51820
	nothing_left a
	interrupted
	inn_reachable
}

# By Ctrl-C, in the middle of a wait
interrupted()
{
	local log
	log=$(log_of a installer)
	daemon a installer "$NAT_AGENT" innernet install --interface wg0 --config-dir "$(inn_dir a)" \
		"$(inn_dir a)/invite.toml"
	wait_until 10 grep -q 'asking 192.0.2' "$log" || fail "it does not ask: $(cat "$log")"
	event 'Ctrl-C' daemon_stop a installer INT
	expect 'it says that nothing is lost' grep -q '^nat-agent: interrupted: nothing is lost' "$log"
	nothing_left a
}

expired()
{
	cp "$(inn_dir a)/invite.toml" "$(inn_dir a)/good.toml"
	inn_invite a dora 10.66.1.4
	inn_admin expire dora -1
	fails a 'does not take the invitation any more'
	nothing_left a
	inn_dirs a alice 10.66.1.1
	mv "$(inn_dir a)/good.toml" "$(inn_dir a)/invite.toml"
}

installed()
{
	event 'a is installed' install a
	said a 'alice (10.66.1.1) is a member'
	is_member a alice
	event 'again' install a --delete-invite
	is_member a alice
	cmp -s "$(conf_of a)" "$(inn_dir a)/kept" || fail 'the file has changed'
	[ ! -e "$(inn_dir a)/invite.toml" ] || fail 'the invitation is still there'
	inn_plain a --interval 5
	within 10 'innernet takes it up' inn_stored a alice .ip
}
