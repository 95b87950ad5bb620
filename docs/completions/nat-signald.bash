# SPDX-License-Identifier: MIT
# Completion of nat-signald(8) for bash(1); needs nothing else. tests/docs/check holds the flags against the
# program, tests/docs/completions presses the key.

# Fills COMPREPLY with those interfaces that the word begins
_nat_signald_interfaces()
{
	local name
	while IFS= read -r name; do
		[[ $name != "$1"* ]] || COMPREPLY+=("$(printf '%q' "$name")")
	done < <(ls /sys/class/net 2>/dev/null)
}

_nat_signald()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	# "--listen=…" comes as three words
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	-c | --config | --turn-secret-file | --tls-cert | --tls-key | --allow-file)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	--allow-wg) _nat_signald_interfaces "$cur" ;;
	--stun | --metrics) mapfile -t COMPREPLY < <(compgen -W none -- "$cur") ;;
	--listen | --stun-external | --name | --turn-uri) ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W '-c --config --listen --stun --stun-external --name --turn-uri
			--turn-secret-file --tls-cert --tls-key --allow-file --allow-wg --metrics --log-addresses
			--version --help' -- "$cur")
		;;
	esac
}

complete -F _nat_signald nat-signald
