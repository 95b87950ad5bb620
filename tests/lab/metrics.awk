# SPDX-License-Identifier: MIT
# Whether a page of metrics is well-formed: Prometheus' text format 0.0.4. Says what is wrong first.

function bad(what) { printf "line %d: %s: %s\n", NR, what, $0; wrong = 1; exit 1 }

# the family that a series belongs to
function family(name,   base)
{
	base = name
	if (sub(/_(bucket|sum|count)$/, "", base) && type[base] == "histogram")
		return base
	return name
}

/^# HELP / { if ($3 in help) bad("a second HELP"); help[$3] = 1; next }
/^# TYPE / {
	if (!($3 in help) || $3 in type) bad("a TYPE without its HELP, or a second one")
	if ($4 !~ /^(counter|gauge|histogram)$/) bad("no type")
	if ($4 == "counter" && $3 !~ /_total$/) bad("a counter is named _total")
	type[$3] = now = $4
	of = $3
	next
}
/^#/ || !NF { bad("neither HELP, TYPE nor a series") }
{
	series = $0
	sub(/ [^ ]*$/, "", series)
	name = series
	sub(/\{.*/, "", name)
	if (family(name) != of) bad("not of the family above it")
	if (name !~ /^[a-z_]+$/) bad("no name")
	labels = substr(series, length(name) + 1)
	if (labels != "" && labels !~ /^\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\}$/) bad("no labels")
	if (series in seen) bad("a second time")
	seen[series] = 1
	if ($NF !~ /^-?([0-9]+\.?[0-9]*)(e[-+]?[0-9]+)?$/) bad("no number")
	if (now != "gauge" && $NF < 0) bad("below zero")
	n++
}
END { if (!wrong && n == 0) { print "no series"; exit 1 } }
