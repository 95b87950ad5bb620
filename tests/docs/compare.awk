# SPDX-License-Identifier: MIT
# Holds the facts of one source against those of the next; says what one has and another lacks. Lines that are
# no facts are complaints.
BEGIN { FS = "\t" }

function complain(text) { print "FAILED " text; failed = 1 }

# --help is everywhere, and described once
function is_help(item) { return item ~ /(^|\|)--help$/ || item == "-h" }

NF != 3 { complain($0); next }
{ sources[$1] = 1; subjects[$1 SUBSEP $2] = 1 }
is_help($3) { next }
{
	n = split($3, names, "|")
	if ($1 == "page" && $3 ~ /^-/)
		described[$2 SUBSEP $3] = 1
	for (i = 1; i <= n; i++)
		items[$1 SUBSEP $2 SUBSEP names[i]] = 1
}

# What `a` says of any subject, `b` says too. Shells need not offer the short form.
function within(a, b, only, key, part)
{
	for (key in items) {
		split(key, part, SUBSEP)
		if (part[1] != a || part[2] !~ only || (key_of(b, part) in items))
			continue
		if ((a ~ /sh$/ || b ~ /sh$/) && part[3] ~ /^-[a-zA-Z]$/)
			continue
		complain(part[2] ": " name[b] " lacks " part[3] ", which " name[a] " has")
	}
}

function key_of(source, part) { return source SUBSEP part[2] SUBSEP part[3] }

# One of the names of each flag stands in the synopsis
function synopsis(key, part, names, n, i, found)
{
	for (key in described) {
		split(key, part, SUBSEP)
		n = split(part[2], names, "|")
		found = part[1] == "wgctl"
		for (i = 1; i <= n; i++)
			found = found || ("synopsis" SUBSEP part[1] SUBSEP names[i] in items)
		if (!found)
			complain(part[1] ": the SYNOPSIS lacks " part[2])
	}
}

END {
	name["help"] = "--help"
	name["page"] = "the manual page"
	name["synopsis"] = "its SYNOPSIS"
	name["bash"] = "the completion for bash"
	name["zsh"] = "the completion for zsh"
	name["fish"] = "the completion for fish"
	name["parser"] = "the parser"
	name["reads"] = "the program"
	commands = "^[a-z-]+( [a-z ]+| COMMANDS)?$"
	for (source in name)
		if (!(source in sources))
			complain("nothing was found in " name[source])
	if (!("help" SUBSEP "nat-agent COMMANDS" in subjects))
		complain("nat-agent --help names no command")
	within("help", "page", ".")
	# of commands that are there
	for (key in subjects) {
		split(key, part, SUBSEP)
		if (part[1] == "help" && part[2] !~ /COMMANDS$/)
			within("page", "help", "^" part[2] "$")
	}
	within("synopsis", "page", ".")
	synopsis()
	for (i = split("bash zsh fish", shells, " "); i > 0; i--) {
		within("page", shells[i], commands)
		within(shells[i], "page", ".")
	}
	within("parser", "page", ".")
	within("page", "parser", "\\[")
	within("reads", "page", ".")
	exit failed
}
