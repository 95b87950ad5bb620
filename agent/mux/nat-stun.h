/* SPDX-License-Identifier: MIT */
/*
 * STUN (RFC 8489) messages as the mux, the STUN probe and the path prober need them. Parsing is
 * a bounded, allocation-free view (hostile input); integrity is GnuTLS's HMAC-SHA1. Pure; any
 * thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#define NAT_STUN_ID_LEN 12
#define NAT_STUN_MAX 548
/* A padded request fills a packet of 1500 bytes, without IPv4's and UDP's headers. */
#define NAT_STUN_PADDED_MAX 1472
#define NAT_STUN_MAGIC 0x2112A442u

typedef enum {
	NAT_STUN_REQUEST = 0,
	NAT_STUN_INDICATION = 1,
	NAT_STUN_SUCCESS = 2,
	NAT_STUN_ERROR = 3,
} NatStunClass;

#define NAT_STUN_BINDING 0x001
#define NAT_STUN_NOTE_LEN 8

typedef struct {
	NatStunClass klass;
	guint16 method;
	guint8 id[NAT_STUN_ID_LEN];
	const char *username; /* not NUL-terminated, NULL when absent */
	gsize username_len;
	WgEndpoint mapped; /* XOR-MAPPED-ADDRESS (or MAPPED-ADDRESS); unset when absent */
	WgEndpoint other;  /* OTHER-ADDRESS (RFC 5780 §7.4); unset when absent */
	gboolean has_integrity;
	gboolean has_fingerprint; /* and it is right: a wrong one is no STUN message */
	gboolean use_candidate;
	guint error_code;   /* of ERROR-CODE, 300 to 699; 0: absent */
	const guint8 *note; /* NAT_STUN_NOTE_LEN bytes inside the message, NULL when absent */
} NatStun;

/* By the header: both top bits zero, the magic cookie, the length equal to what is there and a
 * multiple of 4. */
gboolean nat_stun_is_message(const guint8 *msg, gsize len);
/* One of the class request, by the same. */
gboolean nat_stun_is_request(const guint8 *msg, gsize len);
/* A success or an error, by the same. */
gboolean nat_stun_is_response(const guint8 *msg, gsize len);
/* TRUE iff the bytes are one complete STUN message with the magic cookie: both top bits zero,
 * length a multiple of 4 and equal to what is there, attributes inside. */
gboolean nat_stun_parse(const guint8 *msg, gsize len, NatStun *out);
/* The part of USERNAME before ':' (the receiver's ufrag, RFC 8445 §7.2.2) into out, NUL-terminated.
 * FALSE when there is none or it does not fit. */
gboolean nat_stun_receiver_ufrag(const NatStun *stun, char *out, gsize size);

/* Binding request. username/password NULL: without MESSAGE-INTEGRITY (towards STUN servers).
 * With them: USERNAME, MESSAGE-INTEGRITY keyed by the short-term password, FINGERPRINT.
 * Returns the length, 0 if size is too small. id is the caller's (random). */
gsize nat_stun_build_request(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
			     const char *username, const char *password);
/* The same, filled up with PADDING (RFC 5780 §7.6) ahead of the integrity to exactly total_len
 * bytes. 0 when total_len is no multiple of 4, exceeds size, or is neither what the message takes
 * without PADDING nor at least 4 more. */
gsize nat_stun_build_request_padded(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
				    const char *username, const char *password, gsize total_len);
/* Without integrity, and with RESPONSE-PORT (RFC 5780 §7.5): a server that knows it answers to that
 * port of the address that the request came from. */
gsize nat_stun_build_request_to_port(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
				     guint16 port);
/* For a server of RFC 5780: change is 0, or what it shall answer from (CHANGE-REQUEST, §7.2): its
 * other address, its other port. Without integrity. SOFTWARE makes it large enough for an answer
 * with all that such servers tell, of which nat-signald gives no more than it was given. */
#define NAT_STUN_CHANGE_PORT 0x02u
#define NAT_STUN_CHANGE_IP 0x04u
#define NAT_STUN_DISCOVER_MAX 160
gsize nat_stun_build_request_discover(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
				      guint change);
/* Binding success response with XOR-MAPPED-ADDRESS; password NULL: no integrity. */
gsize nat_stun_build_response(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
			      const WgEndpoint *mapped, const char *password);
/* The same between the watches of two agents, each with a note (signaling/PROTOCOL.md): an
 * attribute of ours that others ignore (comprehension-optional), covered by the integrity. */
gsize nat_stun_build_probe(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
			   const char *username, const char *password,
			   const guint8 note[NAT_STUN_NOTE_LEN]);
gsize nat_stun_build_probe_answer(guint8 *buf, gsize size, const guint8 id[NAT_STUN_ID_LEN],
				  const WgEndpoint *mapped, const char *password,
				  const guint8 note[NAT_STUN_NOTE_LEN]);
/* Whether MESSAGE-INTEGRITY is present and right under the short-term password. */
gboolean nat_stun_check_integrity(const guint8 *msg, gsize len, const char *password);
