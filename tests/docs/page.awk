# SPDX-License-Identifier: MIT
# What the sources of manual pages name, as lines `SOURCE<TAB>SUBJECT<TAB>ITEM`. Subjects: `nat-agent run`,
# `nat-agent [agent]`, … A flag is an item with all its names, joined by '|'. What begins a line in bold is
# what the paragraph below describes.
function fact(source, subject, item) { print source "\t" subject "\t" item }

FNR == 1 {
	program = FILENAME
	sub(/.*\//, "", program)
	sub(/\.[a-z0-9.]*$/, "", program)
	section = below = ""
	next
}

/^# / { section = substr($0, 3); below = ""; next }

/^## / {
	below = substr($0, 4)
	gsub(/( \[?[A-Z]+\]?)+$/, "", below)
	if (section == "COMMANDS" && program == "wgctl")
		fact("page", program, below)
	else if (section == "COMMANDS")
		fact("page", program " COMMANDS", first_word(below))
	next
}

function first_word(text) { sub(/ .*/, "", text); return text }

# `*nat-agent run* [*-c* _FILE_] …`
section == "SYNOPSIS" && /^\*/ {
	gsub(/[*|+.]|\[|\]/, " ")
	subject = $1
	for (i = 2; i <= NF && $i ~ /^[a-z]/; i++)
		subject = subject " " $i
	for (; i <= NF; i++)
		if ($i ~ /^--?[a-z]/)
			fact("synopsis", subject, $i)
	next
}

# `*-c* _FILE_, *--config* _FILE_`
/^\*-/ {
	line = $0
	item = ""
	while (match(line, /\*--?[a-zA-Z][a-zA-Z0-9-]*\*/)) {
		item = item (item == "" ? "" : "|") substr(line, RSTART + 1, RLENGTH - 2)
		line = substr(line, RSTART + RLENGTH)
	}
	fact("page", program (section == "COMMANDS" ? " " below : ""), item)
	next
}

# `*key=*_VALUE_`
/^\*[a-z_-]+=/ {
	group = below != "" ? below : section
	sub(/^GROUP /, "", group)
	sub(/ [A-Z]+\]$/, "]", group)
	fact("page", program " " group, substr($0, 2, index($0, "=") - 2))
	next
}

# `*word* _VALUE_`
program == "wgctl" && section == "COMMANDS" && /^\*[a-z]/ {
	fact("page", program, below "+" substr($1, 2, index(substr($1, 2), "*") - 1))
}

section == "ENVIRONMENT" {
	line = $0
	while (match(line, /\*[A-Z_]+\*/)) {
		fact("page", program " ENVIRONMENT", substr(line, RSTART + 1, RLENGTH - 2))
		line = substr(line, RSTART + RLENGTH)
	}
}
