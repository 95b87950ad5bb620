# SPDX-License-Identifier: MIT
# Reads `starts` (KIND EARLIER LATER CONTROLLING MONOTONIC REALTIME) and `events` (TIME NODE KIND,
# sorted), and prints when things happened, in ms since the later process started.

function first(kind, node, from,    i)
{
	for (i = 1; i <= n_events; i++)
		if (time[i] >= from && time[i] < until && what[i] == kind && (node == "" || where[i] == node))
			return time[i]
	return -1
}

function last_before(kind, node, limit,    i, found)
{
	found = -1
	for (i = 1; i <= n_events && time[i] < limit; i++)
		if (time[i] >= began && what[i] == kind && where[i] == node)
			found = time[i]
	return found
}

# a sample of a stage; negative: did not happen
function note(stage, t)
{
	if (t < 0)
		return
	if (!(stage in count))
		order[++n_stages] = stage
	value[stage, ++count[stage]] = (t - began) * 1000
}

function met(yes) { return yes ? "met" : "missed" }
function max(x, y) { return x > y ? x : y }

function one_agent_start(early, late, ctrl,    syn, login, one, init, resp, proof, says)
{
	syn = first("syn", late, began)
	note("TCP connect sent", syn)
	note("STUN server asked", first("stun-out", late, began))
	note("STUN server's answer", first("stun-in", late, began))
	note("TCP connected", first("synack", late, began))
	login = first("tcp-out", late, first("tcp-in", late, syn))
	note("server's hello there", last_before("tcp-in", late, login))
	note("login and first message sent", login)
	note("earlier agent has it, checks", first("log-checking", early, began))
	note("later agent has the answer, checks", first("log-checking", late, began))
	note("first check sent", first("check-out", "", began))
	note("first check that came through", first("check-in", "", began))
	note("pair selected, controlling end", first("log-selected", ctrl, began))
	note("pair selected, other end", first("log-selected", ctrl == early ? late : early, began))
	one = first("wg1-out", "", began)
	init = first("wg1-out", early, began) == one ? early : late
	resp = init == early ? late : early
	note("WireGuard's initiation sent", one)
	note("handshake answered (proof at one end)", first("wg2-in", init, one))
	note("first data there (proof at the other)", first("wg4-in", resp, one))
	proof = max(first("wg2-in", init, one), first("wg4-in", resp, one))
	note("= both ends proven", proof)
	says = max(first("log-connected", early, began), first("log-connected", late, began))
	note("= both agents say connected", says)
	note(ctrl == late ? "later controls" : "earlier controls", says)
	began = login
	note("from login on", says)
}

function one_hand_start(early, late,    one)
{
	one = first("wg1-out", late, began)
	note("hand: proven", max(first("wg2-in", late, one), first("wg4-in", early, one)))
	began = one
	note("hand: handshake", max(first("wg2-in", late, one), first("wg4-in", early, one)))
}

function median(stage,    i, j, t, n, v)
{
	n = count[stage]
	for (i = 1; i <= n; i++) {
		t = value[stage, i]
		for (j = i - 1; j > 0 && v[j] > t; j--)
			v[j + 1] = v[j]
		v[j + 1] = t
	}
	low = v[1]
	high = v[n]
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function line(stage, label, before,    m)
{
	if (!(stage in count))
		return
	m = median(stage)
	step = before < 0 ? "" : sprintf("+%.1f", m - before)
	trips = delay > 0 ? sprintf("%5.1f", m / rtt) : ""
	printf "  %-40s %7.1f %8s  %6.1f … %6.1f  %s\n", label, m, step, low, high, trips
}

# Stages in the order of their medians, the two sums last.
function table(    i, j, k, s, sorted, n, before)
{
	for (i = 1; i <= n_stages; i++) {
		s = order[i]
		if (s ~ /^(=|hand|later controls|earlier controls|from)/)
			continue
		for (j = n; j > 0 && median(sorted[j]) > median(s); j--)
			sorted[j + 1] = sorted[j]
		sorted[j + 1] = s
		n++
	}
	trips = delay > 0 ? "round trips" : ""
	printf "  %-40s %7s %8s  %15s  %s\n", "ms since the later process started", "median", "step", "min … max", trips
	for (i = 1; i <= n; i++) {
		line(sorted[i], sorted[i], before + 0)
		before = median(sorted[i])
	}
	line("= both ends proven", "= both ends proven", -1)
	line("= both agents say connected", "= both agents say connected", -1)
	line("later controls", "  … when the later one controls", -1)
	line("earlier controls", "  … when the earlier one controls", -1)
	line("from login on", "  … from the first message on", -1)
	line("hand: proven", "bare WireGuard, endpoints by hand", -1)
	line("hand: handshake", "  … from its first packet on", -1)
}

FILENAME != last_file {
	last_file = FILENAME
	files++
}

files == 1 {
	start[++n_starts] = $0
	next
}

{
	time[++n_events] = $1
	where[n_events] = $2
	what[n_events] = $3
}

END {
	for (s = 1; s <= n_starts; s++) {
		split(start[s], f)
		began = f[6]
		if (s < n_starts) {
			split(start[s + 1], g)
			until = g[6]
		} else {
			until = began + 1000
		}
		if (f[1] == "agent")
			one_agent_start(f[2], f[3], f[4])
		else
			one_hand_start(f[2], f[3])
	}
	# TCP 1, upgrade 1, message there 1, answer 1, one check there 0.5, handshake until the other
	# end knows 1.5. A message from host to server to host takes 1: the server is as far as the peer.
	floor = 6 * rtt
	says = median("= both agents say connected")
	hand = median("hand: proven")
	aim = 5 * rtt + 100
	printf "%d ms added: path's round trip %.2f ms, %d starts, WireGuard by %s\n", delay, rtt, count["= both agents say connected"], wg
	table()
	printf "  = %.0f ms, %.1f times bare WireGuard with endpoints set by hand (%.0f ms)", says, says / hand, hand
	if (delay > 0)
		printf ";\n    floor 6 round trips (%.0f ms), of which 4 from the first message on; aim 5 and 100 ms (%.0f ms): %s\n\n", floor, aim, met(says <= aim)
	else
		printf "; bound 1000 ms: %s, aim 400 ms: %s\n\n", met(says < 1000), met(says <= 400)
}
