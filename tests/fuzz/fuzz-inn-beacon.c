/* SPDX-License-Identifier: MIT */
/* What peers say of themselves in their candidates; and what we say must read back as it was. */
#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/innernet/inn-beacon.h"

#define ENTRIES 24

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

/* A byte says what follows: an address, or a beacon's 64 bits. FALSE: no more. */
static gboolean
take_endpoint(const guint8 **data, size_t *size, guint8 *kind, WgEndpoint *out)
{
	static const guint8 PREFIX[8] = {0x01, 0x00};
	gsize len, want;
	guint8 bytes[16];
	WgEndpoint ep;

	if (*size < 1)
		return FALSE;
	*kind = **data;
	len = (*kind & 3) == 0 ? 4 : 16;
	want = (*kind & 2) ? 8 : len;
	if (*size < 1 + want + 2)
		return FALSE;
	memcpy(bytes, PREFIX, sizeof PREFIX);
	memcpy(bytes + ((*kind & 2) ? 8 : 0), *data + 1, want);
	wg_endpoint_from_bytes(&ep, bytes, len,
			       (*kind & 2) ? 28225 + (*kind & 1)
					   : (guint16)((*data)[1 + want] << 8 | (*data)[2 + want]));
	if (!wg_endpoint_from_sockaddr(out, &ep, wg_endpoint_socklen(&ep)))
		memset(out, 0, sizeof *out);
	*data += 1 + want + 2;
	*size -= 1 + want + 2;
	return TRUE;
}

static gboolean
fits(const WgEndpoint *ep)
{
	return wg_endpoint_is_set(ep) && !wg_endpoint_is_bogus(ep) &&
	       !wg_endpoint_is_link_local(ep) && !inn_beacon_is(ep);
}

static void
try_read(const WgEndpoint *list, guint n)
{
	InnBeacon beacon;

	if (!inn_beacon_read(list, n, &beacon))
		return;
	if (beacon.generation == 0 || beacon.watch == 0 ||
	    beacon.n_candidates > INN_BEACON_CANDIDATES)
		abort();
	for (guint i = 0; i < beacon.n_candidates; i++)
		if (!fits(&beacon.candidates[i].endpoint) ||
		    nat_cand_type_to_string(beacon.candidates[i].type) == NULL)
			abort();
}

static guint
read_back(const char *json, WgEndpoint *out)
{
	g_autofree char *text = g_strdup_printf("{\"list\":%s}", json);
	g_autoptr(JsonNode) root = nat_json_parse(text, strlen(text), NULL);
	JsonArray *list;

	if (!root)
		abort();
	list = json_object_get_array_member(json_node_get_object(root), "list");
	if (json_array_get_length(list) > INN_BEACON_LIST)
		abort();
	for (guint i = 0; i < json_array_get_length(list); i++)
		if (!wg_endpoint_parse(json_array_get_string_element(list, i), &out[i]))
			abort();
	return json_array_get_length(list);
}

static NatCandType
said_type(NatCandType type)
{
	return type == NAT_CAND_HOST || type == NAT_CAND_RELAY ? type : NAT_CAND_SRFLX;
}

/* All that fit, or as many as there is room for, in their order. */
static void
check_candidates(const InnBeacon *beacon, const GArray *candidates)
{
	guint at = 0, relays = 0, others = 0;

	for (guint i = 0; i < candidates->len; i++) {
		const NatCandidate *cand = &g_array_index(candidates, NatCandidate, i);

		if (!fits(&cand->endpoint))
			continue;
		relays += cand->type == NAT_CAND_RELAY;
		others += cand->type != NAT_CAND_RELAY;
		if (at < beacon->n_candidates &&
		    wg_endpoint_equal(&beacon->candidates[at].endpoint, &cand->endpoint) &&
		    beacon->candidates[at].type == said_type(cand->type))
			at++;
	}
	others = MIN(others, INN_BEACON_CANDIDATES - MIN(relays, INN_BEACON_CANDIDATES / 2));
	if (at != beacon->n_candidates || at != MIN(relays + others, INN_BEACON_CANDIDATES))
		abort();
}

static void
try_list(guint64 generation, guint32 watch, NatMapping mapping, const GArray *candidates)
{
	g_autoptr(GArray) made = inn_beacon_list(generation, watch, mapping, candidates);
	g_autofree char *json = inn_beacon_json(made);
	WgEndpoint list[INN_BEACON_LIST];
	guint n = read_back(json, list);
	InnBeacon beacon;

	if (!inn_beacon_read(list, n, &beacon) || beacon.generation != generation ||
	    beacon.watch != watch || beacon.mapping != mapping)
		abort();
	check_candidates(&beacon, candidates);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	WgEndpoint list[ENTRIES];
	guint n = 0;
	guint64 head;
	guint8 kind;

	if (size < sizeof head)
		return 0;
	memcpy(&head, data, sizeof head);
	data += sizeof head;
	size -= sizeof head;
	while (n < ENTRIES && take_endpoint(&data, &size, &kind, &list[n])) {
		NatCandidate cand = {.type = (NatCandType)((kind >> 2) % (NAT_CAND_ROAMED + 1)),
				     .endpoint = list[n++]};

		g_array_append_val(candidates, cand);
	}
	try_read(list, n);
	try_list(head | 1, (guint32)(head >> 32) | 1,
		 (NatMapping)(head % (NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT + 1)), candidates);
	return 0;
}
