/* SPDX-License-Identifier: MIT */
/*
 * bridge OWN SERVER: the agent's data path and nothing else: one pump from OWN to a TURN server's
 * port at SERVER, one bridge to WireGuard's port. Prints the bridge's port, then serves.
 */
#include "agent/relay/nat-pump.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CHANNEL 0x4000
#define TURN_PORT 3478
#define BRIDGE_PORT 40000
#define WG_PORT 51820

static void
on_control(const guint8 *msg, gsize len, gpointer user_data)
{
}

/* Between two measurements nobody listens there: an ICMP may come, the bench starts it anew. */
static void
on_failed(int error, gpointer user_data)
{
	fprintf(stderr, "bridge: %s\n", g_strerror(error));
	exit(1);
}

static int
open_turn(const char *own, const char *server)
{
	WgEndpoint from, to;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!wg_endpoint_parse_address(own, BRIDGE_PORT, &from) ||
	    !wg_endpoint_parse_address(server, TURN_PORT, &to) ||
	    bind(fd, &from.sa, wg_endpoint_socklen(&from)) < 0 ||
	    connect(fd, &to.sa, wg_endpoint_socklen(&to)) < 0)
		return -1;
	return fd;
}

int
main(int argc, char **argv)
{
	const NatPumpFuncs funcs = {on_control, on_failed};
	NatBridge *bridge = NULL;
	NatPump *pump = NULL;
	int fd = argc == 3 ? open_turn(argv[1], argv[2]) : -1;

	if (fd >= 0)
		pump = nat_pump_new(fd, &funcs, NULL, NULL);
	if (pump)
		bridge = nat_bridge_new(pump, CHANNEL, WG_PORT, 0, NULL);
	if (!bridge) {
		perror("bridge");
		return 1;
	}
	printf("%u\n", wg_endpoint_port(nat_bridge_endpoint(bridge)));
	fflush(stdout);
	g_main_loop_run(g_main_loop_new(NULL, FALSE));
	return 0;
}
