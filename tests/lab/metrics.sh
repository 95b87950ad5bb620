# SPDX-License-Identifier: MIT
# What an agent tells Prometheus. Sourced by lib.sh.

LAB_METRICS=127.0.0.1:9479 # for LAB_AGENT_OPTIONS

# metrics NODE: the page
metrics() { nx "$1" curl -s -f -m $((10 * ${LAB_SLOW:-1})) "http://$LAB_METRICS/metrics"; }

# metric NODE NAME [WORD…]: the sum of the series that have all the words in their labels
metric()
{
	local page
	page=$(metrics "$1") || return 1
	awk -v name="$2" -v words="${*:3}" '
		{ of = $0; sub(/[{ ].*/, "", of) }
		of == name { split(words, w, " "); ok = 1; for (i in w) if (!index($0, "\"" w[i] "\"")) ok = 0
			if (ok) { sum += $NF; n++ } }
		END { if (!n) exit 1; print sum }' <<<"$page"
}

# metric_above NODE VALUE NAME [WORD…]
metric_above()
{
	local value
	value=$(metric "$1" "${@:3}") && [ "$value" -gt "$2" ]
}

metric_is() { [ "$(metric "$1" "${@:3}")" = "$2" ]; }

# metrics_well_formed NODE
metrics_well_formed()
{
	local what
	what=$(metrics "$1" | awk -f "$LAB_SRC/metrics.awk") || fail "metrics of $1: $what"
	say "metrics of $1: $(metrics "$1" | grep -vc '^#') series"
}

# metrics_hostile NODE PEER: clients that mean no good; the agent serves on, and its tunnel passes
metrics_hostile()
{
	local url=http://$LAB_METRICS code
	head -c 100000 /dev/urandom | nx "$1" nc -N -w 5 "${LAB_METRICS%:*}" "${LAB_METRICS#*:}" >/dev/null 2>&1 || true
	{ printf 'GET /metrics HTTP/1.1\r\nX: '; head -c 1048576 /dev/zero | tr '\0' x; printf '\r\n\r\n'; } |
		nx "$1" nc -N -w 5 "${LAB_METRICS%:*}" "${LAB_METRICS#*:}" >/dev/null 2>&1 || true
	for code in 404:GET:/ 404:GET:/metrics/x 405:POST:/metrics 405:DELETE:/healthz 200:GET:/healthz; do
		equal "${code#*:}" "$(nx "$1" curl -s -o /dev/null -w '%{http_code}' -X "$(cut -d: -f2 <<<"$code")" "$url${code##*:}")" "${code%%:*}"
	done
	# 200 that connect and say half of something, and stay
	daemon "$1" crowd bash -c 'for ((i = 0; i < 200; i++)); do { exec {fd}<>"/dev/tcp/$0/$1"; printf "GET /met" >&"$fd"; } 2>/dev/null; done
		exec sleep 60' "${LAB_METRICS%:*}" "${LAB_METRICS#*:}"
	within 20 'the page is served among 200 who say half of something' metrics "$1"
	pings "$1" "$2"
	daemon_stop "$1" crowd
	within 10 'and after them' metrics_served "$1"
}

metrics_served() { [ "$(nx "$1" curl -s -m 2 "http://$LAB_METRICS/healthz")" = ok ]; }
