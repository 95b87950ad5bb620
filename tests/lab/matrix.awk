# SPDX-License-Identifier: MIT
# Tables of what `matrix` has measured, in Markdown. First file: pairs and predictions, second: tries.
BEGIN { FS = "\t" }

NR == FNR {
	split($0, p, " ")
	predicted[p[1], p[2]] = p[3]
	if (p[1] == p[2]) profile[n_profiles++] = p[1]
	next
}
/^#/ || NF < 12 { next }
{
	pair = canonical($1, $2)
	if (!(pair in tries)) order[n_pairs++] = pair
	tries[pair]++
	spent[pair, tries[pair]] = $7
	lost[pair, tries[pair]] = $10
	if ($3 != "direct") { says[pair] = $11; next }
	directs[pair]++
	ms[pair, directs[pair]] = $6
	if ($4 == "ports") ports[pair]++
}

# The same name in either order: that of the table, else that of the first try
function canonical(a, b)
{
	if ((a, b) in predicted || ((a SUBSEP b) in tries)) return a SUBSEP b
	if ((b, a) in predicted || ((b SUBSEP a) in tries)) return b SUBSEP a
	return a SUBSEP b
}

# the value at this share of the sorted list[pair, 1…n]; the highest at 1
function at_share(list, pair, n, share,   i, j, v, s)
{
	for (i = 1; i <= n; i++) {
		v = list[pair, i] + 0
		for (j = i - 1; j > 0 && s[j] > v; j--) s[j + 1] = s[j]
		s[j + 1] = v
	}
	i = int(share * n + 0.999999)
	return n ? s[i < 1 ? 1 : i] : ""
}

function seconds(v) { return sprintf("%.1f", v / 1000) }
function percent(n, of) { return sprintf("%d %%", 100 * n / of) }
function expectation(pair) { return pair in predicted ? predicted[pair] : "P" }

function differs(pair,   p, rate)
{
	p = expectation(pair)
	rate = directs[pair] / tries[pair]
	if (p == "P") return rate < 1
	if (p == "B") return rate < 0.95
	if (p == "S") return rate < 0.8
	return rate > 0
}

function cell(pair,   text)
{
	if (!(pair in tries)) return ""
	text = directs[pair] ? seconds(at_share(ms, pair, directs[pair], 0.5)) : "relay"
	if (ports[pair] * 2 > directs[pair]) text = text "†"
	if (directs[pair] && directs[pair] < tries[pair]) text = percent(directs[pair], tries[pair]) ", " text
	return differs(pair) ? "**" text "**" : text
}

function triangle(   i, j, line)
{
	line = "| |"
	for (j = 0; j < n_profiles; j++) line = line " " j " |"
	print line
	gsub(/ [0-9]+ /, "---", line)
	sub(/^\| /, "|---", line)
	print line
	for (i = 0; i < n_profiles; i++) {
		line = "| " i " " profile[i] " |"
		for (j = 0; j < n_profiles; j++) line = line " " (j > i ? "" : cell(profile[i] SUBSEP profile[j])) " |"
		print line
	}
}

# Of tries that came to a direct path: median and slowest
function times(list, key, n)
{
	return n ? seconds(at_share(list, key, n, 0.5)) ", " seconds(at_share(list, key, n, 1)) : "–"
}

function most(list, key, n) { return at_share(list, key, n, 0.5) ", " at_share(list, key, n, 1) }

function one_pair(pair,   p, name)
{
	p = expectation(pair)
	if ((p == "P" || p == ".") && !differs(pair) && (pair in predicted)) return
	split(pair, name, SUBSEP)
	printf "| %s × %s | %s | %d of %d | %s | %s | %s | %s |\n", name[1], name[2], p, directs[pair], tries[pair],
		times(ms, pair, directs[pair]), most(spent, pair, tries[pair]), at_share(lost, pair, tries[pair], 1),
		says[pair] == "" ? "" : "`" says[pair] "`"
}

# All tries of one prediction, as if they were one pair's
function gather(   i, j, pair, p)
{
	for (i = 0; i < n_pairs; i++) {
		pair = order[i]
		p = pair in predicted ? predicted[pair] : "+map"
		pairs_of[p]++
		for (j = 1; j <= tries[pair]; j++) all_spent[p, ++tries_of[p]] = spent[pair, j]
		for (j = 1; j <= directs[pair]; j++) all_ms[p, ++directs_of[p]] = ms[pair, j]
	}
}

function summary(   i, p, kinds, n)
{
	gather()
	print "| predicted | pairs | tries | direct | seconds: median, slowest | packets: median, most |"
	print "|---|---|---|---|---|---|"
	n = split("P S B X . +map", kinds, " ")
	for (i = 1; i <= n; i++) {
		p = kinds[i]
		if (tries_of[p])
			printf "| %s | %d | %d | %s | %s | %s |\n", p, pairs_of[p], tries_of[p],
				percent(directs_of[p], tries_of[p]), times(all_ms, p, directs_of[p]), most(all_spent, p, tries_of[p])
	}
}

END {
	if (!n_pairs) { print "matrix: no tries in the file" > "/dev/stderr"; exit 1 }
	triangle()
	print ""
	summary()
	print ""
	print "| pair | predicted | direct | seconds: median, slowest | packets: median, most | pings lost, most | else, it says |"
	print "|---|---|---|---|---|---|---|"
	for (i = 0; i < n_pairs; i++) one_pair(order[i])
}
