/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-beacon.h"

#include <string.h>

#define GENERATION_PORT 28225
#define TRAITS_PORT 28226
#define TYPE_HOST 0u
#define TYPE_SRFLX 1u
#define TYPE_RELAY 2u
#define TYPE_BITS 2
#define MAPPING_BITS 0x7u

static const guint8 PREFIX[8] = {0x01, 0x00};

static gboolean
has_port(const WgEndpoint *ep, guint16 port)
{
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(ep, &len);

	return bytes != NULL && len == 16 && memcmp(bytes, PREFIX, sizeof PREFIX) == 0 &&
	       wg_endpoint_port(ep) == port;
}

gboolean
inn_beacon_is(const WgEndpoint *ep)
{
	return has_port(ep, GENERATION_PORT) || has_port(ep, TRAITS_PORT);
}

static guint64
low_half(const WgEndpoint *ep)
{
	gsize len;
	guint64 value;

	memcpy(&value, wg_endpoint_bytes(ep, &len) + sizeof PREFIX, sizeof value);
	return GUINT64_FROM_BE(value);
}

static void
append_beacon(GArray *list, guint64 value, guint16 port)
{
	guint8 bytes[16];
	WgEndpoint ep;

	value = GUINT64_TO_BE(value);
	memcpy(bytes, PREFIX, sizeof PREFIX);
	memcpy(bytes + sizeof PREFIX, &value, sizeof value);
	wg_endpoint_from_bytes(&ep, bytes, sizeof bytes, port);
	g_array_append_val(list, ep);
}

static guint
type_code(NatCandType type)
{
	return type == NAT_CAND_HOST ? TYPE_HOST : type == NAT_CAND_RELAY ? TYPE_RELAY : TYPE_SRFLX;
}

/* A scope means nothing to others, and the server refuses it. Its word on where it sees us may be
 * anything. */
static gboolean
fits(const WgEndpoint *ep)
{
	return wg_endpoint_is_set(ep) && !wg_endpoint_is_bogus(ep) &&
	       !wg_endpoint_is_link_local(ep) && !inn_beacon_is(ep);
}

/* Of too many the last are left out, but no relayed one: it works where nothing else does. */
static guint
choose(const GArray *candidates, const NatCandidate *chosen[INN_BEACON_CANDIDATES])
{
	guint relays = 0, others = 0, n = 0;

	for (guint i = 0; i < candidates->len; i++) {
		const NatCandidate *cand = &g_array_index(candidates, NatCandidate, i);

		relays += cand->type == NAT_CAND_RELAY && fits(&cand->endpoint);
	}
	relays = MIN(relays, INN_BEACON_CANDIDATES / 2);
	for (guint i = 0; i < candidates->len && n < INN_BEACON_CANDIDATES; i++) {
		const NatCandidate *cand = &g_array_index(candidates, NatCandidate, i);

		if (!fits(&cand->endpoint))
			continue;
		if (cand->type != NAT_CAND_RELAY && others++ >= INN_BEACON_CANDIDATES - relays)
			continue;
		chosen[n++] = cand;
	}
	return n;
}

GArray *
inn_beacon_list(guint64 generation, guint32 watch, NatMapping mapping, const GArray *candidates)
{
	const NatCandidate *chosen[INN_BEACON_CANDIDATES];
	guint n = choose(candidates, chosen);
	GArray *list = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	guint64 types = 0;

	for (guint i = 0; i < n; i++)
		types |= (guint64)type_code(chosen[n - 1 - i]->type) << (i * TYPE_BITS);
	append_beacon(list, generation, GENERATION_PORT);
	append_beacon(list, (guint64)watch << 32 | types << 16 | ((guint)mapping & MAPPING_BITS),
		      TRAITS_PORT);
	for (guint i = n; i > 0; i--)
		g_array_append_val(list, chosen[i - 1]->endpoint);
	return list;
}

char *
inn_beacon_json(const GArray *list)
{
	GString *out = g_string_new("[");
	char text[WG_ENDPOINT_STRLEN];

	for (guint i = 0; i < list->len; i++)
		g_string_append_printf(
			out, "%s\"%s\"", i > 0 ? "," : "",
			wg_endpoint_format(&g_array_index(list, WgEndpoint, i), text));
	g_string_append_c(out, ']');
	return g_string_free(out, FALSE);
}

static NatCandType
type_of(const WgEndpoint *ep, const WgEndpoint *traits, guint index)
{
	guint code;

	if (traits == NULL)
		return wg_endpoint_is_private(ep) ? NAT_CAND_HOST : NAT_CAND_SRFLX;
	code = (guint)(low_half(traits) >> 16 >> (index * TYPE_BITS)) & 3u;
	return code == TYPE_HOST    ? NAT_CAND_HOST
	       : code == TYPE_RELAY ? NAT_CAND_RELAY
				    : NAT_CAND_SRFLX;
}

static void
read_candidates(const WgEndpoint *list, guint n, const WgEndpoint *traits, InnBeacon *out)
{
	NatCandidate found[INN_BEACON_CANDIDATES];
	guint at = 0, n_found = 0;

	/* the server may have appended one of its own: its type is guessed */
	for (guint i = 0; i < n && n_found < INN_BEACON_CANDIDATES; i++) {
		gboolean typed = at < INN_BEACON_CANDIDATES;

		if (inn_beacon_is(&list[i]))
			continue;
		if (fits(&list[i]))
			found[n_found++] = (NatCandidate){
				.type = type_of(&list[i], typed ? traits : NULL, at),
				.endpoint = list[i],
			};
		at++;
	}
	out->n_candidates = n_found;
	for (guint i = 0; i < n_found; i++)
		out->candidates[i] = found[n_found - 1 - i];
}

gboolean
inn_beacon_read(const WgEndpoint *list, guint n, InnBeacon *out)
{
	const WgEndpoint *traits = NULL;
	guint mapping;

	memset(out, 0, sizeof *out);
	for (guint i = 0; i < n; i++) {
		if (has_port(&list[i], GENERATION_PORT) && out->generation == 0)
			out->generation = low_half(&list[i]);
		else if (has_port(&list[i], TRAITS_PORT) && traits == NULL)
			traits = &list[i];
	}
	if (out->generation == 0)
		return FALSE;
	if (traits != NULL) {
		mapping = (guint)low_half(traits) & MAPPING_BITS;
		out->watch = (guint32)(low_half(traits) >> 32);
		out->mapping = mapping <= NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT
				       ? (NatMapping)mapping
				       : NAT_MAPPING_UNKNOWN;
	}
	/* of somebody who says none: at least it changes with the generation */
	if (out->watch == 0)
		out->watch = (guint32)(out->generation | 1);
	read_candidates(list, n, traits, out);
	return TRUE;
}
