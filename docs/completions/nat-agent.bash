# SPDX-License-Identifier: MIT
# Completion of nat-agent(8) for bash(1); needs nothing else. tests/docs/check holds the flags against the
# program, tests/docs/completions presses the key.

# Flags that want a value, of all commands
_nat_agent_valued=' -c --config --interface --signal --stun --turn --control --output --count --metrics --config-dir '

# _nat_agent_flags COMMAND: the empty one has commands, too
_nat_agent_flags()
{
	case $1 in
	'') echo run status netcheck events ping restart reload bugreport teardown innernet --version --help ;;
	innernet) echo install --help ;;
	run) echo -c --config --interface --signal --stun --turn --control --metrics --no-port-mapping --help ;;
	status) echo --json --watch --interface --control --help ;;
	netcheck) echo --json --signal --stun --turn --slow --help ;;
	events) echo --json --once --interface --control --help ;;
	ping) echo --paths --count --json --interface --control --help ;;
	restart) echo --interface --control --help ;;
	reload) echo --interface --control --help ;;
	bugreport) echo --output -c --config --interface --control --help ;;
	teardown) echo -c --config --interface --help ;;
	'innernet install') echo --interface --config-dir --delete-invite --help ;;
	esac
}

# _nat_agent_peers PROGRAM FLAG…: names and keys that a running agent knows, one a line. No agent, or one
# that does not answer at once: none. Of a peer the name follows the key, of an interface it comes before.
_nat_agent_peers()
{
	timeout 1 "$1" status --json "${@:2}" 2>/dev/null </dev/null | awk -F'"' '
		$2 == "name" && key != "" { if ($4 != "" && !/\\/) print $4; print key }
		{ key = $2 == "public_key" ? $4 : "" }'
}

# Fills COMPREPLY with those lines of stdin that the word begins, quoted for the shell where they need it:
# compgen -W would have the shell expand what others have named
_nat_agent_match()
{
	local line
	while IFS= read -r line; do
		[[ $line != "$1"* ]] || COMPREPLY+=("$(printf '%q' "$line")")
	done
}

_nat_agent_files()
{
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

# _nat_agent_value FLAG WORD COMMAND
_nat_agent_value()
{
	case $1 in
	-c | --config | --control | --output) _nat_agent_files -f "$2" ;;
	--metrics) mapfile -t COMPREPLY < <(compgen -W none -- "$2") ;;
	--config-dir) _nat_agent_files -d "$2" ;;
	--interface)
		[[ $3 == 'innernet install' ]] ||
			_nat_agent_match "$2" < <(ls /sys/class/net 2>/dev/null)
		;;
	esac
}

_nat_agent()
{
	local words=() asked=() command flag='' i peer=''
	COMPREPLY=()
	# "--interface=wg0" comes as three words: it is the same as two
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == = ]] || words+=("${COMP_WORDS[i]}")
	done
	local cur=${COMP_WORDS[COMP_CWORD]}
	[[ $cur != = ]] || cur=
	command=${words[0]-}
	i=1
	if [[ $command == innernet && ${#words[@]} -gt 1 ]]; then
		command+=" ${words[1]}"
		i=2
	fi
	case $command in
	'' | innernet)
		mapfile -t COMPREPLY < <(compgen -W "$(_nat_agent_flags "$command")" -- "$cur")
		return
		;;
	esac
	# flag: the one whose value is next; asked: which agent, and what of it; peer: there is one already
	for (( ; i < ${#words[@]}; i++)); do
		if [[ -n $flag ]]; then
			[[ $flag != --control && $flag != --interface ]] || asked+=("$flag" "${words[i]}")
			flag=
		elif [[ $_nat_agent_valued == *" ${words[i]} "* ]]; then
			flag=${words[i]}
		elif [[ ${words[i]} != -* ]]; then
			peer=${words[i]}
		fi
	done
	if [[ -n $flag ]]; then
		_nat_agent_value "$flag" "$cur" "$command"
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_nat_agent_flags "$command")" -- "$cur")
	elif [[ -z $peer ]]; then
		case $command in
		status | events | ping | restart)
			_nat_agent_match "$cur" < <(_nat_agent_peers "$1" "${asked[@]}") ;;
		'innernet install') _nat_agent_files -f "$cur" ;;
		esac
	fi
}

complete -F _nat_agent nat-agent
