/* SPDX-License-Identifier: MIT */
/*
 * NAT-PMP (RFC 6886) and PCP's MAP and ANNOUNCE (RFC 6887): requests out, answers in. The two share
 * a port and are told apart by their first byte, so that one small codec speaks both. Answers are
 * hostile input: parsing is bounded, allocates nothing. Pure; any thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#define MAP_CODEC_PORT 5351
#define MAP_CODEC_ANNOUNCE_PORT 5350 /* RFC 6886 §3.2.1, RFC 6887 §14.1.1: to 224.0.0.1 */
#define MAP_CODEC_REQUEST_MAX 64
#define MAP_CODEC_ANSWER_MAX 1100 /* RFC 6887 §7; what is longer is dropped */
#define MAP_NONCE_LEN 12
#define MAP_LIFETIME_S 7200 /* that is asked for */
#define MAP_LIFETIME_MIN_S 120
#define MAP_LIFETIME_MAX_S (24 * 3600)

typedef enum { MAP_PCP, MAP_PMP, MAP_UPNP } MapProtocol;

typedef enum {
	MAP_ANSWER_ADDRESS,  /* NAT-PMP's external address */
	MAP_ANSWER_ANNOUNCE, /* PCP: it is there */
	MAP_ANSWER_MAPPING,
	MAP_ANSWER_VERSION, /* it speaks `protocol`, and not what it was asked in */
} MapAnswerKind;

typedef struct {
	MapProtocol protocol; /* MAP_PCP or MAP_PMP */
	MapAnswerKind kind;
	guint code; /* 0: success; then what follows holds */
	guint32 epoch_s, lifetime_s;
	guint8 nonce[MAP_NONCE_LEN]; /* of PCP's mappings */
	guint16 internal_port;
	WgEndpoint external; /* ADDRESS: port 0; NAT-PMP's MAPPING: the port alone, family unset */
	guint16 external_port;
} MapAnswer;

/* Each returns the length of the request. own: our address, as the gateway sees it. suggested: what
 * we would like (port 0: anything). lifetime_s 0 removes the mapping. */
gsize map_codec_pmp_address(guint8 buf[MAP_CODEC_REQUEST_MAX]);
gsize map_codec_pmp_map(guint8 buf[MAP_CODEC_REQUEST_MAX], guint16 internal_port,
			guint16 suggested_port, guint32 lifetime_s);
gsize map_codec_pcp_announce(guint8 buf[MAP_CODEC_REQUEST_MAX], const WgEndpoint *own);
gsize map_codec_pcp_map(guint8 buf[MAP_CODEC_REQUEST_MAX], const WgEndpoint *own,
			const guint8 nonce[MAP_NONCE_LEN], const WgEndpoint *suggested,
			guint32 lifetime_s);
/* FALSE: no answer of these protocols. Mappings of TCP and of everything are none either. */
gboolean map_codec_parse(const guint8 *msg, gsize len, MapAnswer *out);

/* What was granted, as it is believed: 2 min to 24 h. */
guint32 map_codec_clamp_lifetime(guint32 lifetime_s);

/* Whether an answer to a request to remove (lifetime 0) says that the mapping is not there. */
gboolean map_codec_is_removed(const MapAnswer *answer);

/* The gateway's clock (RFC 6887 §8.5; RFC 6886 §3.6 is the same but for its tolerance). */
typedef struct {
	gboolean known;
	guint32 epoch_s;
	gint64 at_us; /* monotonic */
} MapEpoch;
/* Remembers it. FALSE: the gateway has started anew since, its mappings are gone. */
gboolean map_epoch_see(MapEpoch *epoch, guint32 epoch_s, gint64 now_us);

const char *map_protocol_to_string(MapProtocol protocol); /* "pcp", "nat-pmp", "upnp" */
gboolean map_protocol_from_string(const char *text, MapProtocol *out);
#define MAP_NO_ADDRESS "the router has no address itself"
/* "switched off", … for a code that is not 0; static. */
const char *map_codec_code_to_string(MapProtocol protocol, guint code);
