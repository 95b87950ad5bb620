/* SPDX-License-Identifier: MIT */
/* A peer in detail, for people: what could have been a path, what was tried, what happened. */
#include <string.h>

#include "agent/base/nat-pen.h"
#include "agent/base/nat-text.h"
#include "agent/status/nat-status-detail.h"

#define LINE 4 /* indent */

static void
heading(NatPen *pen, const char *text)
{
	g_string_append_c(pen->out, '\n');
	nat_pen_paragraph(pen, NAT_PEN_INDENT, NAT_PEN_BOLD, text);
}

static const char *
endpoint_words(const WgEndpoint *ep, char buf[WG_ENDPOINT_STRLEN])
{
	return wg_endpoint_is_set(ep) ? wg_endpoint_format(ep, buf) : "unknown";
}

static void
candidates(NatPen *pen, const char *whose, const GArray *list)
{
	char buf[WG_ENDPOINT_STRLEN];

	heading(pen, whose);
	if (list->len == 0)
		nat_pen_paragraph(pen, LINE, NAT_PEN_DIM, "none");
	for (guint i = 0; i < list->len; i++) {
		const NatCandidate *cand = &g_array_index(list, NatCandidate, i);
		g_autofree char *text =
			g_strdup_printf("%-10s  %s", nat_cand_type_to_string(cand->type),
					endpoint_words(&cand->endpoint, buf));

		nat_pen_paragraph(pen, LINE, NAT_PEN_PLAIN, text);
	}
}

static void
peer_nat(NatPen *pen, const NatStatusDetail *detail)
{
	g_autofree char *words = nat_class_describe(&detail->nat);

	if (!detail->has_nat)
		return;
	heading(pen, "the peer's NAT, as its agent says");
	nat_pen_paragraph(pen, LINE, NAT_PEN_PLAIN, words);
}

static void
check(NatPen *pen, const NatCheck *c)
{
	char local[WG_ENDPOINT_STRLEN], remote[WG_ENDPOINT_STRLEN];
	g_autoptr(GString) text = g_string_new(NULL);
	NatPenStyle style = c->answered > 0 ? NAT_PEN_GREEN : NAT_PEN_PLAIN;

	g_string_printf(text, "%s -> %s  %u sent, %u answered", endpoint_words(&c->local, local),
			endpoint_words(&c->remote, remote), c->sent, c->answered);
	if (c->heard > 0)
		g_string_append_printf(text, ", %u heard", c->heard);
	nat_pen_paragraph(pen, LINE, style, text->str);
	if (*c->error != '\0')
		nat_pen_paragraph(pen, LINE + 2, NAT_PEN_YELLOW, c->error);
}

static void
checks(NatPen *pen, const NatChecks *list)
{
	if (list->list->len == 0)
		return;
	heading(pen, "checks of the last search (ours sent and answered, the peer's heard)");
	for (guint i = 0; i < list->list->len; i++)
		check(pen, &g_array_index(list->list, NatCheck, i));
}

static void
pair(NatPen *pen, const NatStatusPair *p)
{
	char local[WG_ENDPOINT_STRLEN], remote[WG_ENDPOINT_STRLEN];
	g_autoptr(GString) text = g_string_new(p->chosen ? "* " : "  ");
	g_autofree char *rtt = nat_text_ms(p->rtt_ms);
	gboolean alive = g_strcmp0(p->state, "alive") == 0;

	g_string_append_printf(text, "%s -> %s  %s, %s", endpoint_words(&p->local.endpoint, local),
			       endpoint_words(&p->remote.endpoint, remote),
			       p->relay ? "relay" : "direct", p->state != NULL ? p->state : "?");
	if (p->rtt_ms >= 0)
		g_string_append_printf(text, ", %s", rtt);
	if (p->loss >= 0.0005)
		g_string_append_printf(text, ", %.1f %% lost", MIN(p->loss, 1) * 100);
	if (p->deaths > 0)
		g_string_append_printf(text, ", died %u x", p->deaths);
	nat_pen_paragraph(pen, LINE - 2, alive ? NAT_PEN_GREEN : NAT_PEN_PLAIN, text->str);
	if (p->error != NULL)
		nat_pen_paragraph(pen, LINE + 2, NAT_PEN_YELLOW, p->error);
}

static void
pairs(NatPen *pen, const GPtrArray *list)
{
	heading(pen, "pairs that are watched (* carries the tunnel)");
	if (list->len == 0)
		nat_pen_paragraph(pen, LINE, NAT_PEN_DIM, "none");
	for (guint i = 0; i < list->len; i++)
		pair(pen, g_ptr_array_index(list, i));
}

static void
events(NatPen *pen, const GPtrArray *list)
{
	heading(pen, "events (time of day, time since the one before)");
	if (list->len == 0)
		nat_pen_paragraph(pen, LINE, NAT_PEN_DIM, "none yet");
	for (guint i = 0; i < list->len; i++) {
		g_autofree char *line = nat_event_to_text(g_ptr_array_index(list, i), FALSE);

		/* what stands before the text is ASCII, and of one width */
		g_string_append_printf(pen->out, "%*s%.*s", LINE, "", NAT_EVENT_TEXT_COLUMN, line);
		nat_pen_wrap(pen, line + NAT_EVENT_TEXT_COLUMN, LINE + NAT_EVENT_TEXT_COLUMN,
			     MIN(LINE + NAT_EVENT_TEXT_COLUMN, pen->width / 2));
		g_string_append_c(pen->out, '\n');
	}
}

char *
nat_status_detail_to_text(const NatStatusDetail *detail, gboolean colour, guint width)
{
	NatPen pen = {g_string_new(NULL), MAX(width, NAT_PEN_MIN_WIDTH), colour};

	candidates(&pen, "our candidates", detail->local);
	candidates(&pen, "the peer's candidates", detail->remote);
	peer_nat(&pen, detail);
	checks(&pen, &detail->checks);
	pairs(&pen, detail->pairs);
	events(&pen, detail->events);
	return g_string_free(pen.out, FALSE);
}
