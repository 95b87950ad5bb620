# SPDX-License-Identifier: MIT
# Relay servers: coturn, with its files in $LAB_DIR and the node's own /run. Sourced by lib.sh.
#
# Agents that are started later get the URIs in $LAB_DIR/conf/turn: turn_server adds its own,
# turn_use says which instead.

LAB_TURN_NAME=turn.lab.test

# turn_server NODE [USER:SECRET…]: on the node's public addresses: UDP and TCP 3478, TLS 443.
# Without users it takes short-lived ones made with the secret in $LAB_DIR/conf/NODE.secret
# (turn_credentials), and no URI is added. LAB_TURN_OPTIONS: more of coturn's.
turn_server()
{
	local node=$1 a user args=()
	shift
	for a in $(turn_addresses "$node"); do args+=(-L "$a" -E "$a"); done
	for user; do args+=(-u "$user"); done
	if [ $# = 0 ]; then
		args+=(--use-auth-secret)
	else
		args+=(--lt-cred-mech)
		turn_use_more "turn:$1@$(turn_addresses "$node" | head -n 1):3478?transport=udp"
	fi
	turn_certificate "$node"
	# coturn gives up what the kernel calls unreachable: net_attach's default route matters.
	# shellcheck disable=SC2206
	args+=(-r lab.test --listening-port 3478 --tls-listening-port 443 --cert "$LAB_DIR/conf/$node.crt"
		--pkey "$LAB_DIR/conf/$node.tls-key" --no-dtls --no-cli --no-software-attribute -m 1
		--userdb "$LAB_DIR/conf/$node.turndb" --pidfile /run/turnserver.pid
		--log-file stdout --simple-log ${LAB_TURN_OPTIONS:-})
	printf '%s\n' "${args[@]}" >"$LAB_DIR/conf/$node.turnserver"
	turn_secret "$node" lab-turn-secret
	turn_again "$node"
}

turn_addresses()
{
	nx "$1" ip -o addr show dev eth0 scope global | awk '{ sub("/.*", "", $4); print $4 }'
}

turn_kill() { daemon_stop "$1" turnserver "${2:-KILL}"; }

# turn_secret NODE SECRET: of the next start
turn_secret() { echo "$2" >"$LAB_DIR/conf/$1.secret"; }

# turn_again NODE: with the same words, and nothing known of before
turn_again()
{
	local args
	mapfile -t args <"$LAB_DIR/conf/$1.turnserver"
	# To coturn, a secret means that there are no lasting users.
	[[ " ${args[*]} " != *' --use-auth-secret '* ]] || args+=("--static-auth-secret=$(<"$LAB_DIR/conf/$1.secret")")
	daemon "$1" turnserver turnserver -n "${args[@]}"
	wait_until 10 turn_listens "$1" || fail "coturn on $1: $(tail -n 3 "$(log_of "$1" turnserver)")"
}

turn_listens()
{
	nx "$1" sh -c 'ss -Hulpn "sport = :3478" | grep -q turnserver &&
		ss -Htln "sport = :3478" | grep -q . && ss -Htln "sport = :443" | grep -q .'
}

# turn_use [URI…]: what agents are given from now on
turn_use() { printf '%s\n' "$@" >"$LAB_DIR/conf/turn"; }
turn_use_more() { printf '%s\n' "$@" >>"$LAB_DIR/conf/turn"; }
turn_uris() { [ ! -f "$LAB_DIR/conf/turn" ] || grep . "$LAB_DIR/conf/turn"; }

# turn_allocations NODE: how many coturn holds now: relay sockets have the high ports
turn_allocations()
{
	nx "$1" ss -Huan | awk '{ sub(".*:", "", $4); if ($4 >= 49152) n[$4] = 1 } END { for (i in n) k++; print k + 0 }'
}

# A certificate for the node's addresses and $LAB_TURN_NAME, signed by itself
turn_certificate()
{
	local a names=DNS:$LAB_TURN_NAME
	for a in $(turn_addresses "$1"); do names+=,IP:$a; done
	(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj "/CN=$LAB_TURN_NAME" -addext "subjectAltName=$names" \
		-keyout "$LAB_DIR/conf/$1.tls-key" -out "$LAB_DIR/conf/$1.crt" 2>"$LAB_DIR/log/openssl") ||
		fail "certificate: $(cat "$LAB_DIR/log/openssl")"
}

# turn_trust SERVER NODE…: these nodes, and only they, trust the server's certificate
turn_trust()
{
	local server=$1 n bundle=/etc/ssl/certs/ca-certificates.crt
	shift
	for n; do
		cat "$bundle" "$LAB_DIR/conf/$server.crt" >"$LAB_DIR/conf/$n.bundle" &&
			nx "$n" mount --bind "$LAB_DIR/conf/$n.bundle" "$bundle" || fail "trust on $n"
	done
}

# turn_known SERVER NODE…: these nodes resolve $LAB_TURN_NAME without asking anybody
turn_known()
{
	local server=$1 n
	shift
	for n; do
		{ cat /etc/hosts; echo "$(turn_addresses "$server" | head -n 1) $LAB_TURN_NAME"; } >"$LAB_DIR/conf/$n.hosts"
		nx "$n" mount --bind "$LAB_DIR/conf/$n.hosts" /etc/hosts || fail "hosts on $n"
	done
}

# turn_credentials SERVER SECONDS: "USER SECRET", good for so long (draft-uberti-behave-turn-rest)
turn_credentials()
{
	local user=$(($(date +%s) + $2)):lab
	printf '%s %s\n' "$user" "$(printf %s "$user" |
		openssl dgst -sha1 -hmac "$(<"$LAB_DIR/conf/$1.secret")" -binary | base64)"
}

# relay_lab PROFILE-A PROFILE-B [signald's arguments…]: two_nats, a relay server on `turn` (192.0.2.20),
# signald on sig
relay_lab()
{
	two_nats "$1" "$2"
	shift 2
	server turn 192.0.2.20
	turn_server turn user:secret
	signald sig "$@"
}

# relay_address A B: the relayed address that the path from A to B crosses: A's own where each has one
relay_address()
{
	peer "$1" "$2" '.path | if .local.type == "relay" then .local.endpoint else .remote.endpoint end'
}
