# SPDX-License-Identifier: MIT
# Completion of wgctl(8) for bash(1); needs nothing else. tests/docs/check holds the words against the
# program, tests/docs/completions presses the key.

# _wgctl_words COMMAND [peer]: what may follow the interface; of set also what may follow the peer
_wgctl_words()
{
	case $1${2-} in
	show) echo dump ;;
	set) echo private-key listen-port fwmark ;;
	setpeer) echo endpoint keepalive rearm replace create allowed-ips preshared-key remove ;;
	esac
}

# _wgctl_peers PROGRAM IF: keys, one a line; none where they may not be read
_wgctl_peers()
{
	timeout 1 "$1" show "$2" 2>/dev/null </dev/null | sed -n 's/^peer: //p'
}

# Fills COMPREPLY with those lines of stdin that the word begins
_wgctl_match()
{
	local line
	while IFS= read -r line; do
		[[ $line != "$1"* ]] || COMPREPLY+=("$(printf '%q' "$line")")
	done
}

_wgctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} peer=''
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'list show set --version --help' -- "$cur")
		return
	elif ((COMP_CWORD == 2)); then
		[[ $command != show && $command != set ]] ||
			_wgctl_match "$cur" < <(timeout 1 "$1" list 2>/dev/null </dev/null)
		return
	fi
	# a key is the only word that long
	[[ ${#COMP_WORDS[3]} -lt 43 || $COMP_CWORD -eq 3 ]] || peer=peer
	case $prev in
	private-key | preshared-key)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	endpoint) mapfile -t COMPREPLY < <(compgen -W none -- "$cur") ;;
	keepalive | fwmark) mapfile -t COMPREPLY < <(compgen -W off -- "$cur") ;;
	listen-port | allowed-ips | dump) ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$(_wgctl_words "$command" $peer)" -- "$cur")
		[[ $command != set || $COMP_CWORD -ne 3 ]] ||
			_wgctl_match "$cur" < <(_wgctl_peers "$1" "${COMP_WORDS[2]}")
		;;
	esac
}

complete -F _wgctl wgctl
