# SPDX-License-Identifier: MIT
# What the completions for zsh (_nat-agent, …) and fish (nat-agent.fish, …) name, as page.awk has it. They are
# written so that a line, or what is between a label and its ';;', speaks of one command.
function fact(item) { print shell "\t" subject "\t" item }

function flags(text)
{
	while (match(text, /--[a-z][a-z0-9-]*/)) {
		fact(substr(text, RSTART, RLENGTH))
		text = substr(text, RSTART + RLENGTH)
	}
}

# What stands between the first `before` and what follows up to the next of " ')"
function word_after(before, text)
{
	text = substr($0, index($0, before) + length(before))
	sub(/[ ').].*/, "", text)
	return text
}

FNR == 1 {
	program = FILENAME
	sub(/.*\//, "", program)
	shell = program ~ /^_/ ? "zsh" : "fish"
	sub(/^_/, "", program)
	sub(/\.fish$/, "", program)
	command = ""
}
/^ *#/ { next }

# ---- zsh ----
shell == "zsh" && program == "nat-signald" { subject = program; flags($0); next }
shell == "zsh" && program == "wgctl" {
	subject = program
	line = $0
	if (/local -a commands/)
		in_commands = 1
	while (in_commands && match(line, /'[a-z]+:/)) {
		fact(substr(line, RSTART + 1, RLENGTH - 2))
		line = substr(line, RSTART + RLENGTH)
	}
	if (/\)$/)
		in_commands = 0
	if (/local -a (interfaces|settings)=\([a-z]/) {
		gsub(/.*\(|\)/, "")
		for (i = 1; i <= NF; i++)
			fact("set+" $i)
	}
	if (/compadd dump$/)
		fact("show+dump")
	if (/compadd -- --/)
		flags(substr($0, index($0, "-- --") + 3))
	next
}
shell == "zsh" && /^    '[a-z]+:/ { subject = program " COMMANDS"; fact(substr($1, 2, index($1, ":") - 2)) }
shell == "zsh" && /^  _arguments -C / { subject = program; flags($0) }
shell == "zsh" && /^    [a-z]+\)$/ { command = substr($1, 1, length($1) - 1) }
shell == "zsh" && command != "" && /--/ {
	subject = program " " command (command == "innernet" ? " install" : "")
	flags($0)
}
shell == "zsh" && /;;$/ { command = "" }

# ---- fish ----
shell != "fish" || !/^complete / { next }
program == "nat-agent" && /-n __nat_agent_no_command -a / { subject = program " COMMANDS"; fact(word_after(" -a ")) }
program == "nat-agent" && /-n __nat_agent_no_command -l / { subject = program; fact("--" word_after(" -l ")) }
program == "nat-agent" && /-n '__nat_agent_is .* -l / {
	subject = $0
	sub(/.*-n '__nat_agent_is /, program " ", subject)
	sub(/'.*/, "", subject)
	fact("--" word_after(" -l "))
}
program == "nat-signald" && / -l / { subject = program; fact("--" word_after(" -l ")) }
program == "wgctl" {
	subject = program
	if (/__wgctl_at 0' -l /)
		fact("--" word_after(" -l "))
	else if (/__wgctl_at 0' -a /)
		fact(word_after(" -a "))
	else if (/__wgctl_at 2 show' -a /)
		fact("show+" word_after(" -a "))
	else if (/__wgctl_wants_word/)
		fact("set+" word_after(" -a "))
}
