# SPDX-License-Identifier: MIT
# The innernet server under another address while its session is young: calls stay without an answer, its
# name is looked up again, and leads there. Later the name leads to several addresses, of which one serves.

NAME=innernet.example

setup()
{
	inn_hosts port-restr port-restr
	sed -i "s/^external-endpoint = .*/external-endpoint = \"$NAME:51820\"/" "$(inn_dir a)/wg0.conf"
	cp /etc/hosts "$LAB_DIR/conf/hosts.before"
	name_leads_to 192.0.2.10
	nx a mount --bind "$LAB_DIR/conf/a.hosts" /etc/hosts || fail 'hosts on a'
}

# Into the same file: the mount is of that.
name_leads_to()
{
	{ cat "$LAB_DIR/conf/hosts.before"; printf "%s $NAME\n" "$@"; } >"$LAB_DIR/conf/a.hosts"
}

check()
{
	count_calls
	event 'the agent starts' inn_agent a yes
	took 15 'it is at the server' asked_again
	equal 'endpoint of the server' "$(wg_get a sig endpoints)" 192.0.2.10:51820
	event 'the server moves' moves 192.0.2.10 192.0.2.11
	took 90 'it asks at the new address' asked_again
	equal 'endpoint of the server' "$(wg_get a sig endpoints)" 192.0.2.11:51820
	agent_stop a
	nx a ip link del wg0
	name_leads_to 192.0.2.99 2001:db8:2::99 192.0.2.11
	count_calls
	event 'the agent starts' inn_agent a yes
	took 15 'it is at the server' asked_again
	equal 'endpoint of the server' "$(wg_get a sig endpoints)" 192.0.2.11:51820
}

calls() { inn_count alice GET /v1/user/state 200; }
count_calls() { before=$(calls); }
asked_again() { [ "$(calls)" -gt "$before" ]; }

moves()
{
	name_leads_to "$2"
	node_ip net <<<"route replace $2/32 dev sig"
	node_ip sig <<-END
		addr add $2/32 dev eth0
		route replace default via 100.64.0.1 dev eth0 onlink src $2
		addr del $1/32 dev eth0
	END
	count_calls
}
