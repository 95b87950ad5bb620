/* SPDX-License-Identifier: MIT */
#include "agent/session/nat-msg.h"

#include <gio/gio.h>
#include <string.h>

#define MSG_VERSION 1
#define FIELD_HEADER 3 /* type u8, length u16 */
#define UFRAG_MIN 4    /* RFC 8445 §5.3, RFC 8839 §5.4 */
#define PWD_MIN 22
#define CANDIDATE_HEADER 4 /* type u8, family u8, port u16 */
#define CLASS_LEN 9	   /* filtering u8, ports u8, flags u8, step i16, lowest u16, highest u16 */
#define CLASS_PARITY 1	   /* of its flags */
#define FAMILY_V4 4
#define FAMILY_V6 6

/* On the wire; never renumber. */
typedef enum {
	FIELD_SID = 1,
	FIELD_ECHO = 2,
	FIELD_SEQ = 3,
	FIELD_FLAGS = 4,
	FIELD_UFRAG = 5,
	FIELD_PWD = 6,
	FIELD_MAPPING = 7,
	FIELD_CANDIDATE = 8, /* the only one that may come again */
	FIELD_WATCH = 9,
	FIELD_NAT_CLASS = 10,
	FIELD_LAST = FIELD_NAT_CLASS,
} Field;

static const char *const FIELD_NAMES[] = {
	NULL,  "sid",	  "echo",      "seq",	"flags",     "ufrag",
	"pwd", "mapping", "candidate", "watch", "NAT class",
};

static void
put_field(GByteArray *out, Field type, gconstpointer value, gsize len)
{
	const guint8 header[FIELD_HEADER] = {(guint8)type, (guint8)(len >> 8), (guint8)len};

	g_byte_array_append(out, header, sizeof header);
	g_byte_array_append(out, value, (guint)len);
}

static void
put_u64(GByteArray *out, Field type, guint64 value)
{
	const guint64 be = GUINT64_TO_BE(value);

	put_field(out, type, &be, sizeof be);
}

static void
put_u32(GByteArray *out, Field type, guint32 value)
{
	const guint32 be = GUINT32_TO_BE(value);

	put_field(out, type, &be, sizeof be);
}

static void
put_candidate(GByteArray *out, const NatCandidate *cand)
{
	guint8 value[CANDIDATE_HEADER + 16];
	guint16 port = wg_endpoint_port(&cand->endpoint);
	gsize len;
	const guint8 *addr = wg_endpoint_bytes(&cand->endpoint, &len);

	if (!addr)
		return;
	value[0] = (guint8)cand->type;
	value[1] = len == 4 ? FAMILY_V4 : FAMILY_V6;
	value[2] = (guint8)(port >> 8);
	value[3] = (guint8)port;
	memcpy(value + CANDIDATE_HEADER, addr, len);
	put_field(out, FIELD_CANDIDATE, value, CANDIDATE_HEADER + len);
}

static void
put_class(GByteArray *out, const NatClass *nat)
{
	const guint16 step = (guint16)nat->step;
	const guint8 value[CLASS_LEN] = {
		(guint8)nat->filtering,
		(guint8)nat->ports,
		nat->parity ? CLASS_PARITY : 0,
		(guint8)(step >> 8),
		(guint8)step,
		(guint8)(nat->lowest >> 8),
		(guint8)nat->lowest,
		(guint8)(nat->highest >> 8),
		(guint8)nat->highest,
	};

	put_field(out, FIELD_NAT_CLASS, value, sizeof value);
}

GBytes *
nat_msg_encode(const NatMsg *msg)
{
	GByteArray *out = g_byte_array_sized_new(512);
	const guint8 version = MSG_VERSION, mapping = (guint8)msg->mapping;

	g_byte_array_append(out, &version, 1);
	put_u64(out, FIELD_SID, msg->sid);
	if (msg->echo)
		put_u64(out, FIELD_ECHO, msg->echo);
	put_u32(out, FIELD_SEQ, msg->seq);
	put_u32(out, FIELD_FLAGS, msg->flags);
	put_field(out, FIELD_UFRAG, msg->ufrag, strlen(msg->ufrag));
	put_field(out, FIELD_PWD, msg->pwd, strlen(msg->pwd));
	put_u64(out, FIELD_WATCH, msg->watch);
	put_field(out, FIELD_MAPPING, &mapping, 1);
	if (nat_class_is_known(&msg->nat))
		put_class(out, &msg->nat);
	for (guint i = 0; i < MIN(msg->n_candidates, NAT_MSG_MAX_CANDIDATES); i++)
		put_candidate(out, &msg->candidates[i]);
	return g_byte_array_free_to_bytes(out);
}

static gboolean
invalid(GError **error, Field type, const char *why)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "session message: %s %s",
		    FIELD_NAMES[type], why);
	return FALSE;
}

/* Big-endian number of exactly `want` bytes. */
static gboolean
get_number(Field type, const guint8 *value, gsize len, gsize want, guint64 *out, GError **error)
{
	if (len != want)
		return invalid(error, type, "has a wrong length");
	*out = 0;
	for (gsize i = 0; i < want; i++)
		*out = *out << 8 | value[i];
	return TRUE;
}

/* ice-char = ALPHA / DIGIT / "+" / "/" (RFC 8839 §5.1) */
static gboolean
get_ice_string(Field type, const guint8 *value, gsize len, gsize min, gsize max, char *out,
	       GError **error)
{
	if (len < min || len > max)
		return invalid(error, type, "is too short or too long");
	for (gsize i = 0; i < len; i++)
		if (!g_ascii_isalnum((char)value[i]) && value[i] != '+' && value[i] != '/')
			return invalid(error, type, "has a character that ICE does not allow");
	memcpy(out, value, len);
	out[len] = '\0';
	return TRUE;
}

static gboolean
get_candidate(const guint8 *value, gsize len, NatMsg *out, GError **error)
{
	NatCandidate *cand;
	gsize addr_len;
	guint16 port;

	if (out->n_candidates == NAT_MSG_MAX_CANDIDATES)
		return invalid(error, FIELD_CANDIDATE, "list is longer than 25");
	if (len < CANDIDATE_HEADER)
		return invalid(error, FIELD_CANDIDATE, "is too short");
	if (value[0] < NAT_CAND_HOST || value[0] > NAT_CAND_RELAY)
		return invalid(error, FIELD_CANDIDATE, "is of a type that peers don't send");
	if (value[1] != FAMILY_V4 && value[1] != FAMILY_V6)
		return invalid(error, FIELD_CANDIDATE, "is of an unknown address family");
	addr_len = value[1] == FAMILY_V4 ? 4 : 16;
	if (len != CANDIDATE_HEADER + addr_len)
		return invalid(error, FIELD_CANDIDATE, "has a wrong length");
	port = (guint16)(value[2] << 8 | value[3]);
	if (port == 0)
		return invalid(error, FIELD_CANDIDATE, "has port 0");
	cand = &out->candidates[out->n_candidates];
	cand->type = (NatCandType)value[0];
	if (!wg_endpoint_from_bytes(&cand->endpoint, value + CANDIDATE_HEADER, addr_len, port) ||
	    (addr_len == 16 && IN6_IS_ADDR_V4MAPPED(&cand->endpoint.v6.sin6_addr)))
		return invalid(error, FIELD_CANDIDATE, "has no usable address");
	out->n_candidates++;
	return TRUE;
}

/* A kind that only a later version knows, or that makes no sense, is unknown. */
static gboolean
get_class(const guint8 *value, gsize len, NatMsg *out, GError **error)
{
	if (len != CLASS_LEN)
		return invalid(error, FIELD_NAT_CLASS, "has a wrong length");
	out->nat.filtering = (NatFiltering)value[0];
	out->nat.ports = (NatPorts)value[1];
	out->nat.parity = (value[2] & CLASS_PARITY) != 0;
	out->nat.step = (gint16)(guint16)(value[3] << 8 | value[4]);
	out->nat.lowest = (guint16)(value[5] << 8 | value[6]);
	out->nat.highest = (guint16)(value[7] << 8 | value[8]);
	nat_class_sanitize(&out->nat);
	return TRUE;
}

static gboolean
get_field(Field type, const guint8 *value, gsize len, NatMsg *out, GError **error)
{
	guint64 n = 0;

	switch (type) {
	case FIELD_SID:
		return get_number(type, value, len, 8, &out->sid, error) &&
		       (out->sid != 0 || invalid(error, type, "is 0"));
	case FIELD_ECHO:
		return get_number(type, value, len, 8, &out->echo, error);
	case FIELD_SEQ:
		if (!get_number(type, value, len, 4, &n, error))
			return FALSE;
		out->seq = (guint32)n;
		return TRUE;
	case FIELD_FLAGS:
		if (!get_number(type, value, len, 4, &n, error))
			return FALSE;
		out->flags = (guint32)n; /* bits of a later version mean nothing to us */
		return TRUE;
	case FIELD_UFRAG:
		return get_ice_string(type, value, len, UFRAG_MIN, NAT_MSG_UFRAG_MAX, out->ufrag,
				      error);
	case FIELD_PWD:
		return get_ice_string(type, value, len, PWD_MIN, NAT_MSG_PWD_MAX, out->pwd, error);
	case FIELD_MAPPING:
		if (!get_number(type, value, len, 1, &n, error))
			return FALSE;
		/* A class that only a later version knows. */
		out->mapping = n <= NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT ? (NatMapping)n
									   : NAT_MAPPING_UNKNOWN;
		return TRUE;
	case FIELD_CANDIDATE:
		return get_candidate(value, len, out, error);
	case FIELD_WATCH:
		return get_number(type, value, len, 8, &out->watch, error) &&
		       (out->watch != 0 || invalid(error, type, "is 0"));
	case FIELD_NAT_CLASS:
		return get_class(value, len, out, error);
	}
	return TRUE;
}

/* Moves *pos behind the next field. FALSE when it is cut off. */
static gboolean
next_field(const guint8 *data, gsize len, gsize *pos, guint8 *type, const guint8 **value,
	   gsize *value_len, GError **error)
{
	if (len - *pos >= FIELD_HEADER) {
		*type = data[*pos];
		*value_len = (gsize)data[*pos + 1] << 8 | data[*pos + 2];
		*pos += FIELD_HEADER;
		if (len - *pos >= *value_len) {
			*value = data + *pos;
			*pos += *value_len;
			return TRUE;
		}
	}
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "session message: cut off inside a field");
	return FALSE;
}

static gboolean
decode_fields(const guint8 *data, gsize len, NatMsg *out, GError **error)
{
	static const Field required[] = {FIELD_SID, FIELD_SEQ, FIELD_UFRAG, FIELD_PWD, FIELD_WATCH};
	guint32 seen = 0;
	gsize pos = 1;

	while (pos < len) {
		const guint8 *value;
		gsize value_len;
		guint8 type;

		if (!next_field(data, len, &pos, &type, &value, &value_len, error))
			return FALSE;
		if (type < FIELD_SID || type > FIELD_LAST)
			continue; /* of a later version */
		if (type != FIELD_CANDIDATE && seen & 1u << type)
			return invalid(error, (Field)type, "comes twice");
		seen |= 1u << type;
		if (!get_field((Field)type, value, value_len, out, error))
			return FALSE;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(required); i++)
		if (!(seen & 1u << required[i]))
			return invalid(error, required[i], "is missing");
	out->nat.mapping = out->mapping;
	return TRUE;
}

gboolean
nat_msg_decode(const guint8 *data, gsize len, NatMsg *out, GError **error)
{
	memset(out, 0, sizeof *out);
	if (len < 1 || data[0] != MSG_VERSION) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "session message of version %d, this agent knows version %d: upgrade "
			    "the older one",
			    len ? data[0] : 0, MSG_VERSION);
		return FALSE;
	}
	if (decode_fields(data, len, out, error))
		return TRUE;
	memset(out, 0, sizeof *out);
	return FALSE;
}
