/* SPDX-License-Identifier: MIT */
/*
 * Status for people. Decoration is ASCII, so that it reads in any locale; names and reasons come
 * escaped. Each interface has a heading, then a table of peers with one line each and their `why`
 * beneath; one peer asked for by name is told in full instead.
 */
#include "agent/status/nat-status.h"

#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/base/nat-pen.h"
#include "agent/base/nat-text.h"

#define INDENT NAT_PEN_INDENT
#define GAP 2
#define NAME_WIDTH_MAX 16
#define LOSS_SHOWN 0.005   /* less is shown as none */
#define LIFETIME_TESTED 25 /* s: nobody asks beyond (nat-lifetime) */

enum { COL_NAME, COL_STATE, COL_PATH, COL_RTT, COL_LOSS, COL_SINCE, COL_RX, COL_TX, N_COLS };

static const char *const HEADINGS[N_COLS] = {"PEER", "STATE", "PATH", "RTT",
					     "LOSS", "SINCE", "RX",   "TX"};
/* Narrow terminals lose columns in this order. */
static const int EXPENDABLE[] = {COL_SINCE, COL_TX, COL_RX, COL_LOSS, COL_RTT};

typedef struct {
	char *cells[N_COLS];
	const NatStatusPeer *peer;
} Row;

static NatPenStyle
state_style(NatPeerState state)
{
	switch (state) {
	case NAT_PEER_WAITING:
		return NAT_PEN_DIM;
	case NAT_PEER_CHECKING:
		return NAT_PEN_YELLOW;
	case NAT_PEER_CONNECTED:
		return NAT_PEN_GREEN;
	case NAT_PEER_FAILED:
		return NAT_PEN_RED;
	}
	return NAT_PEN_PLAIN;
}

/* --- the interface --- */

static char *
nat_words(const NatStatusInterface *iface)
{
	NatClass class = iface->nat;
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *words = NULL;
	char buf[WG_ENDPOINT_STRLEN];

	class.mapping = iface->mapping;
	words = nat_class_describe(&class);
	g_string_append(text, words);
	if (iface->mapping_lifetime_s)
		g_string_append_printf(text, ", mappings last %u s%s", iface->mapping_lifetime_s,
				       iface->mapping_lifetime_s < LIFETIME_TESTED ? ""
										   : " or more");
	for (guint i = 0; i < iface->public_endpoints->len; i++) {
		wg_endpoint_format(&g_array_index(iface->public_endpoints, WgEndpoint, i), buf);
		g_string_append_printf(text, "%s %s", i == 0 ? ", public" : ",", buf);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *
device_words(const NatStatusInterface *iface)
{
	g_autofree char *nat = nat_words(iface);
	g_autofree char *port = iface->listen_port ? g_strdup_printf("port %u", iface->listen_port)
						   : g_strdup("no port");

	return g_strdup_printf("%s, %s, %s", port, iface->backend ? iface->backend : "no device",
			       nat);
}

static char *
signaling_words(const NatStatusInterface *iface)
{
	const char *state = iface->signal_state ? iface->signal_state : "unknown";

	if (!iface->signal_url)
		return g_strdup("signaling: none");
	if (iface->signal_reason)
		return g_strdup_printf("signaling %s: %s (%s)", state, iface->signal_reason,
				       iface->signal_url);
	return g_strdup_printf("signaling %s: %s", state, iface->signal_url);
}

static char *
innernet_words(const NatStatusInterface *iface)
{
	if (iface->innernet_reason)
		return g_strdup_printf("innernet (%s) %s: %s", iface->innernet_mode,
				       iface->innernet_state, iface->innernet_reason);
	return g_strdup_printf("innernet (%s) %s: %s", iface->innernet_mode, iface->innernet_state,
			       iface->innernet_server);
}

static char *
relay_words(const NatStatusRelay *relay)
{
	g_autoptr(GString) text = g_string_new(relay->spare ? "spare relay " : "relay ");
	char buf[WG_ENDPOINT_STRLEN];

	g_string_append_printf(text, "%s: %s", relay->state ? relay->state : "unknown",
			       relay->server ? relay->server : "no server");
	if (wg_endpoint_is_set(&relay->relayed))
		g_string_append_printf(text, ", relayed %s",
				       wg_endpoint_format(&relay->relayed, buf));
	if (relay->problem)
		g_string_append_printf(text, " (%s)", relay->problem);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
print_relays(NatPen *pen, const NatStatusInterface *iface, guint indent)
{
	for (guint i = 0; i < iface->relays->len; i++) {
		const NatStatusRelay *relay = g_ptr_array_index(iface->relays, i);
		g_autofree char *words = relay_words(relay);
		gboolean failed = g_strcmp0(relay->state, "failed") == 0;

		nat_pen_paragraph(pen, indent, failed ? NAT_PEN_YELLOW : NAT_PEN_PLAIN, words);
	}
}

/* "UDP 51820 mapped to 198.51.100.7:51820 by pcp at the router 192.168.1.1, 119 min" */
static void
print_port_mapping(NatPen *pen, const NatStatusInterface *iface, guint indent)
{
	const NatStatusPortMapping *mapping = &iface->port_mapping;
	g_autoptr(GString) text = g_string_new("port mapping ");
	char buf[WG_ENDPOINT_STRLEN];

	if (!mapping->state || strcmp(mapping->state, "unneeded") == 0)
		return;
	g_string_append(text, mapping->state);
	if (wg_endpoint_is_set(&mapping->external))
		g_string_append_printf(text, ": %s", wg_endpoint_format(&mapping->external, buf));
	if (wg_endpoint_is_set(&mapping->external) && mapping->protocol)
		g_string_append_printf(text, " by %s", mapping->protocol);
	if (wg_endpoint_is_set(&mapping->gateway))
		g_string_append_printf(text, ", router %s",
				       wg_endpoint_format_address(&mapping->gateway, buf));
	if (mapping->lifetime_s)
		g_string_append_printf(text, ", %u min left", (mapping->lifetime_s + 59) / 60);
	if (mapping->pinhole)
		g_string_append(text, ", IPv6 let in");
	if (mapping->problem)
		g_string_append_printf(text, " (%s)", mapping->problem);
	nat_pen_paragraph(pen, indent, mapping->problem ? NAT_PEN_YELLOW : NAT_PEN_PLAIN,
			  text->str);
}

static void
print_mtu_advice(NatPen *pen, const NatStatusInterface *iface, guint indent)
{
	g_autofree char *words =
		g_strdup_printf("MTU too big for a path: ip link set mtu %u dev %s",
				iface->mtu_advice, iface->name);

	if (iface->mtu_advice)
		nat_pen_paragraph(pen, indent, NAT_PEN_YELLOW, words);
}

static void
print_interface(NatPen *pen, const NatStatusInterface *iface)
{
	g_autofree char *name = nat_log_escape(iface->name, -1);
	g_autofree char *title = g_strconcat(name, ":", NULL);
	g_autofree char *device = device_words(iface), *plain = nat_log_escape(device, -1);
	g_autofree char *signaling = signaling_words(iface);
	gboolean well = g_strcmp0(iface->signal_state, "connected") == 0;
	guint indent = nat_text_width(title) + 1, column;

	/* a name that no kernel would allow must not push the text off the screen */
	if (indent > pen->width / 2)
		indent = INDENT;
	nat_pen_begin(pen, NAT_PEN_BOLD);
	column = nat_text_wrap(pen->out, title, 0, indent, pen->width);
	nat_pen_end(pen, NAT_PEN_BOLD);
	if (column < pen->width) {
		g_string_append_c(pen->out, ' ');
		column++;
	}
	nat_text_wrap(pen->out, plain, column, indent, pen->width);
	g_string_append_c(pen->out, '\n');
	nat_pen_paragraph(pen, indent, well ? NAT_PEN_PLAIN : NAT_PEN_YELLOW, signaling);
	if (iface->innernet_mode) {
		g_autofree char *words = innernet_words(iface);

		nat_pen_paragraph(pen, indent,
				  iface->innernet_reason ? NAT_PEN_YELLOW : NAT_PEN_PLAIN, words);
	}
	print_port_mapping(pen, iface, indent);
	print_relays(pen, iface, indent);
	print_mtu_advice(pen, iface, indent);
	if (iface->problem) {
		g_autofree char *problem = g_strconcat("problem: ", iface->problem, NULL);

		nat_pen_paragraph(pen, indent, NAT_PEN_RED, problem);
	}
}

/* --- the table --- */

static char *
peer_label(const NatStatusPeer *peer)
{
	char key[WG_KEY_STRLEN];

	if (peer->name)
		return nat_log_escape(peer->name, -1);
	return g_strdup(wg_key_format_short(&peer->public_key, key));
}

/* How the peer is reached. */
static const char *
path_word(const NatStatusPeer *peer)
{
	if (peer->relay)
		return "relay";
	if (peer->remote.type == NAT_CAND_CONFIGURED || peer->remote.type == NAT_CAND_ROAMED)
		return nat_cand_type_to_string(peer->remote.type);
	return "direct";
}

/* Of a relayed path the relay's address tells something, be it ours or the peer's: the device has
 * only a loopback address where it is ours. */
static const WgEndpoint *
path_endpoint(const NatStatusPeer *peer)
{
	if (peer->relay && peer->local.type == NAT_CAND_RELAY &&
	    wg_endpoint_is_set(&peer->local.endpoint))
		return &peer->local.endpoint;
	return wg_endpoint_is_set(&peer->remote.endpoint) ? &peer->remote.endpoint
							  : &peer->endpoint;
}

static char *
path_cell(const NatStatusPeer *peer)
{
	char buf[WG_ENDPOINT_STRLEN];
	const WgEndpoint *ep = path_endpoint(peer);

	if (!peer->has_path)
		return g_strdup("-");
	if (!wg_endpoint_is_set(ep))
		return g_strdup(path_word(peer));
	return g_strdup_printf("%s%s %s", path_word(peer), peer->relay ? " via" : "",
			       wg_endpoint_format(ep, buf));
}

static gboolean
has_loss(const NatStatusPeer *peer)
{
	return peer->has_path && peer->loss >= LOSS_SHOWN;
}

static char *
loss_cell(const NatStatusPeer *peer)
{
	if (!peer->has_path || peer->loss < 0)
		return g_strdup("-");
	return g_strdup_printf("%.0f%%", MIN(peer->loss, 1) * 100);
}

static void
fill_row(Row *row, const NatStatusPeer *peer)
{
	row->peer = peer;
	row->cells[COL_NAME] = peer_label(peer);
	row->cells[COL_STATE] = g_strdup(nat_peer_state_to_string(peer->state));
	row->cells[COL_PATH] = path_cell(peer);
	row->cells[COL_RTT] = nat_text_ms(peer->has_path ? peer->rtt_ms : -1);
	row->cells[COL_LOSS] = loss_cell(peer);
	row->cells[COL_SINCE] = nat_text_age(peer->has_path ? peer->since_s : -1);
	row->cells[COL_RX] = nat_text_bytes(peer->rx_bytes);
	row->cells[COL_TX] = nat_text_bytes(peer->tx_bytes);
}

static void
clear_row(gpointer data)
{
	Row *row = data;

	for (int i = 0; i < N_COLS; i++)
		g_free(row->cells[i]);
}

static guint
table_width(const guint widths[N_COLS])
{
	guint total = INDENT;

	for (int i = 0; i < N_COLS; i++)
		if (widths[i] > 0)
			total += widths[i] + (i > 0 ? GAP : 0);
	return total;
}

static void
narrow(guint widths[N_COLS], guint width, int column, guint least)
{
	while (table_width(widths) > width && widths[column] > least)
		widths[column]--;
}

/* Names and paths give way first, down to where they still tell something; then columns go; then
 * whatever is left gives way. */
static void
shrink(guint widths[N_COLS], guint width)
{
	narrow(widths, width, COL_NAME, 12);
	narrow(widths, width, COL_PATH, 24);
	for (gsize i = 0; i < G_N_ELEMENTS(EXPENDABLE) && table_width(widths) > width; i++)
		widths[EXPENDABLE[i]] = 0;
	narrow(widths, width, COL_NAME, 8);
	narrow(widths, width, COL_PATH, 1);
}

static void
measure(GArray *rows, guint widths[N_COLS], guint width)
{
	gboolean lossy = FALSE;

	for (int c = 0; c < N_COLS; c++) {
		widths[c] = nat_text_width(HEADINGS[c]);
		for (guint i = 0; i < rows->len; i++)
			widths[c] = MAX(widths[c],
					nat_text_width(g_array_index(rows, Row, i).cells[c]));
	}
	widths[COL_NAME] = MIN(widths[COL_NAME], NAME_WIDTH_MAX);
	/* most networks lose nothing: the room is better used */
	for (guint i = 0; i < rows->len && !lossy; i++)
		lossy = has_loss(g_array_index(rows, Row, i).peer);
	if (!lossy)
		widths[COL_LOSS] = 0;
	shrink(widths, width);
}

static void
strip_spaces(GString *out)
{
	while (out->len > 0 && out->str[out->len - 1] == ' ')
		g_string_truncate(out, out->len - 1);
}

static void
print_cells(NatPen *pen, const char *const cells[N_COLS], const guint widths[N_COLS],
	    NatPenStyle state)
{
	g_string_append_printf(pen->out, "%*s", INDENT, "");
	for (int c = 0; c < N_COLS; c++) {
		NatPenStyle style = c == COL_STATE ? state : NAT_PEN_PLAIN;

		if (widths[c] == 0)
			continue;
		if (c > 0)
			g_string_append_printf(pen->out, "%*s", GAP, "");
		nat_pen_begin(pen, style);
		nat_text_cell(pen->out, cells[c], widths[c]);
		nat_pen_end(pen, style);
	}
	strip_spaces(pen->out);
}

static void
print_table(NatPen *pen, GArray *rows)
{
	guint widths[N_COLS];

	measure(rows, widths, pen->width);
	nat_pen_begin(pen, NAT_PEN_DIM);
	print_cells(pen, HEADINGS, widths, NAT_PEN_PLAIN);
	nat_pen_end(pen, NAT_PEN_DIM);
	g_string_append_c(pen->out, '\n');
	for (guint i = 0; i < rows->len; i++) {
		const Row *row = &g_array_index(rows, Row, i);

		print_cells(pen, (const char *const *)row->cells, widths,
			    state_style(row->peer->state));
		g_string_append_c(pen->out, '\n');
		if (*row->peer->why)
			nat_pen_paragraph(pen, 2 * INDENT, NAT_PEN_DIM, row->peer->why);
	}
}

static void
print_peers(NatPen *pen, const NatStatusInterface *iface)
{
	g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(Row));

	if (iface->peers->len == 0) {
		nat_pen_paragraph(pen, INDENT, NAT_PEN_DIM, "no peers on this interface");
		return;
	}
	g_array_set_clear_func(rows, clear_row);
	g_array_set_size(rows, iface->peers->len);
	for (guint i = 0; i < iface->peers->len; i++)
		fill_row(&g_array_index(rows, Row, i), g_ptr_array_index(iface->peers, i));
	print_table(pen, rows);
}

/* --- one peer in full --- */

static char *
candidate_words(const NatCandidate *cand)
{
	char buf[WG_ENDPOINT_STRLEN];

	if (!wg_endpoint_is_set(&cand->endpoint))
		return g_strdup("unknown");
	return g_strdup_printf("%s (%s)", wg_endpoint_format(&cand->endpoint, buf),
			       nat_cand_type_to_string(cand->type));
}

static void
print_path(NatPen *pen, const NatStatusPeer *peer)
{
	g_autofree char *local = candidate_words(&peer->local);
	g_autofree char *remote = candidate_words(&peer->remote);
	g_autofree char *rtt = nat_text_ms(peer->rtt_ms), *age = nat_text_age(peer->since_s);
	g_autofree char *cell = path_cell(peer);

	if (!peer->has_path)
		return;
	nat_pen_label(pen, "path", "%s", peer->relay ? cell : path_word(peer));
	nat_pen_label(pen, "local", "%s", local);
	if (peer->source_port != 0)
		nat_pen_label(pen, "source port", "%u, instead of WireGuard's", peer->source_port);
	nat_pen_label(pen, "remote", "%s", remote);
	if (peer->rtt_ms >= 0)
		nat_pen_label(pen, "round trip", "%s", rtt);
	if (peer->loss >= 0)
		nat_pen_label(pen, "loss", "%.1f %%", MIN(peer->loss, 1) * 100);
	if (peer->mtu)
		nat_pen_label(pen, "path MTU", "%u bytes", peer->mtu);
	if (peer->since_s >= 0)
		nat_pen_label(pen, "in use", "for %s", age);
	if (peer->connect_ms >= 0)
		nat_pen_label(pen, "connected", "%" G_GINT64_FORMAT " ms after the search began",
			      peer->connect_ms);
}

static void
print_standby(NatPen *pen, const NatStatusPeer *peer)
{
	g_autofree char *remote = candidate_words(&peer->standby);

	if (peer->has_standby)
		nat_pen_label(pen, "standby", "%s to %s", peer->standby_relay ? "relay" : "direct",
			      remote);
	if (peer->failovers)
		nat_pen_label(pen, "failovers", "%u", peer->failovers);
}

static void
print_detail(NatPen *pen, const NatStatusPeer *peer)
{
	char key[WG_KEY_STRLEN], endpoint[WG_ENDPOINT_STRLEN];
	g_autofree char *age = nat_text_age(peer->last_handshake_s);
	g_autofree char *rx = nat_text_bytes(peer->rx_bytes);
	g_autofree char *tx = nat_text_bytes(peer->tx_bytes);

	nat_pen_label(pen, "peer", "%s", wg_key_format(&peer->public_key, key));
	if (peer->name)
		nat_pen_label(pen, "name", "%s", peer->name);
	nat_pen_label(pen, "state", "%s", nat_peer_state_to_string(peer->state));
	if (*peer->why)
		nat_pen_label(pen, "why", "%s", peer->why);
	if (peer->reason)
		nat_pen_label(pen, "reason", "%s%s%s", peer->reason,
			      peer->no_relay ? ", no relay: " : "",
			      peer->no_relay ? peer->no_relay : "");
	print_path(pen, peer);
	print_standby(pen, peer);
	nat_pen_label(pen, "endpoint", "%s", wg_endpoint_format(&peer->endpoint, endpoint));
	if (peer->last_handshake_s >= 0)
		nat_pen_label(pen, "handshake", "%s ago", age);
	else
		nat_pen_label(pen, "handshake", "none yet");
	nat_pen_label(pen, "traffic", "%s received, %s sent", rx, tx);
	nat_pen_label(pen, "agent", "%s",
		      peer->managed ? "yes: this peer's path is looked after"
				    : "not heard from: its endpoint is left as it is");
}

/* --- all --- */

static gboolean
has_match(const NatStatusInterface *iface, const char *peer)
{
	for (guint i = 0; i < iface->peers->len; i++)
		if (nat_status_peer_matches(g_ptr_array_index(iface->peers, i), peer))
			return TRUE;
	return FALSE;
}

static void
print_matches(NatPen *pen, const NatStatusInterface *iface, const char *peer)
{
	for (guint i = 0; i < iface->peers->len; i++) {
		const NatStatusPeer *p = g_ptr_array_index(iface->peers, i);

		if (!nat_status_peer_matches(p, peer))
			continue;
		g_string_append_c(pen->out, '\n');
		print_detail(pen, p);
		if (p->detail) {
			g_autofree char *text =
				nat_status_detail_to_text(p->detail, pen->colour, pen->width);

			g_string_append(pen->out, text);
		}
	}
}

char *
nat_status_to_text(const NatStatus *status, const char *interface, const char *peer,
		   gboolean colour, guint width)
{
	NatPen pen = {g_string_new(NULL), MAX(width, NAT_PEN_MIN_WIDTH), colour};

	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		if ((interface && strcmp(iface->name, interface) != 0) ||
		    (peer && !has_match(iface, peer)))
			continue;
		if (pen.out->len > 0)
			g_string_append_c(pen.out, '\n');
		print_interface(&pen, iface);
		if (peer)
			print_matches(&pen, iface, peer);
		else
			print_peers(&pen, iface);
	}
	if (status->interfaces->len == 0)
		g_string_append(pen.out, "no interfaces\n");
	return g_string_free(pen.out, FALSE);
}
