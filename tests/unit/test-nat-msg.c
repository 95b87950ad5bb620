/* SPDX-License-Identifier: MIT */
#include <gio/gio.h>
#include <sodium.h>
#include <string.h>

#include "agent/session/nat-msg.h"

/* The vector of signaling/PROTOCOL.md, "Session messages". */
static const char VECTOR_HEX[] = "01"
				 "0100080102030405060708"
				 "0200081112131415161718"
				 "03000400000003"
				 "04000400000002"
				 "05000441423031"
				 "0600166162636465666768696a6b6c6d6e6f70717273747576"
				 "0900082122232425262728"
				 "07000102"
				 "0a0009030200fffe00000000"
				 "0800080104ca6cc0a80102"
				 "0800080204a03ccb007109"
				 "0800140106ca6c20010db8000000000000000000000001";

static void
set_candidate(NatMsg *msg, NatCandType type, const char *endpoint)
{
	NatCandidate *cand = &msg->candidates[msg->n_candidates++];

	cand->type = type;
	g_assert_true(wg_endpoint_parse(endpoint, &cand->endpoint));
}

static NatMsg
example(void)
{
	NatMsg msg = {
		.sid = 0x0102030405060708,
		.echo = 0x1112131415161718,
		.seq = 3,
		.flags = NAT_MSG_GATHERED,
		.watch = 0x2122232425262728,
		.ufrag = "AB01",
		.pwd = "abcdefghijklmnopqrstuv",
		.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT,
		.nat = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT,
			.filtering = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
			.ports = NAT_PORTS_SEQUENTIAL,
			.step = -2},
	};

	set_candidate(&msg, NAT_CAND_HOST, "192.168.1.2:51820");
	set_candidate(&msg, NAT_CAND_SRFLX, "203.0.113.9:41020");
	set_candidate(&msg, NAT_CAND_HOST, "[2001:db8::1]:51820");
	return msg;
}

static void
assert_same(const NatMsg *a, const NatMsg *b)
{
	g_assert_cmphex(a->sid, ==, b->sid);
	g_assert_cmphex(a->echo, ==, b->echo);
	g_assert_cmpuint(a->seq, ==, b->seq);
	g_assert_cmphex(a->flags, ==, b->flags);
	g_assert_cmphex(a->watch, ==, b->watch);
	g_assert_cmpstr(a->ufrag, ==, b->ufrag);
	g_assert_cmpstr(a->pwd, ==, b->pwd);
	g_assert_cmpint(a->mapping, ==, b->mapping);
	g_assert_true(nat_class_equal(&a->nat, &b->nat));
	g_assert_cmpuint(a->n_candidates, ==, b->n_candidates);
	for (guint i = 0; i < a->n_candidates; i++) {
		g_assert_cmpint(a->candidates[i].type, ==, b->candidates[i].type);
		g_assert_true(
			wg_endpoint_equal(&a->candidates[i].endpoint, &b->candidates[i].endpoint));
	}
}

static GByteArray *
encoded(const NatMsg *msg)
{
	return g_bytes_unref_to_array(nat_msg_encode(msg));
}

static void
assert_decodes(const GByteArray *bytes, const NatMsg *want)
{
	g_autoptr(GError) error = NULL;
	NatMsg got;

	g_assert_true(nat_msg_decode(bytes->data, bytes->len, &got, &error));
	g_assert_no_error(error);
	assert_same(&got, want);
}

/* `says` is part of the message. */
static void
assert_refused(const GByteArray *bytes, const char *says)
{
	static const NatMsg zero;
	g_autoptr(GError) error = NULL;
	NatMsg got;

	memset(&got, 0xff, sizeof got);
	g_assert_false(nat_msg_decode(bytes->data, bytes->len, &got, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	g_assert_nonnull(strstr(error->message, says));
	g_assert_null(strchr(error->message, '\n'));
	assert_same(&got, &zero);
}

static void
append_hex(GByteArray *bytes, const char *hex)
{
	guint8 data[512];
	gsize len;

	g_assert_cmpint(sodium_hex2bin(data, sizeof data, hex, strlen(hex), NULL, &len, NULL), ==,
			0);
	g_byte_array_append(bytes, data, (guint)len);
}

static void
test_round_trip(void)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = encoded(&msg);

	assert_decodes(bytes, &msg);
}

static void
test_smallest(void)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = NULL;

	msg.echo = 0;
	msg.flags = 0;
	msg.mapping = NAT_MAPPING_UNKNOWN;
	msg.nat = (NatClass){0};
	msg.n_candidates = 0;
	bytes = encoded(&msg);
	assert_decodes(bytes, &msg);
}

static void
test_largest(void)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = NULL;

	memset(msg.ufrag, '+', NAT_MSG_UFRAG_MAX);
	memset(msg.pwd, '/', NAT_MSG_PWD_MAX);
	while (msg.n_candidates < NAT_MSG_MAX_CANDIDATES)
		set_candidate(&msg, NAT_CAND_RELAY, "[2001:db8::2]:65535");
	bytes = encoded(&msg);
	assert_decodes(bytes, &msg);
	append_hex(bytes, "0800080204ffffc0000201");
	assert_refused(bytes, "25");
}

static void
test_vector(void)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = encoded(&msg);
	g_autoptr(GByteArray) want = g_byte_array_new();

	append_hex(want, VECTOR_HEX);
	g_assert_cmpmem(bytes->data, bytes->len, want->data, want->len);
	assert_decodes(want, &msg);
}

static void
test_later_version(void)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = encoded(&msg);

	append_hex(bytes, "ff0003010203"); /* unknown types are skipped, also when repeated */
	append_hex(bytes, "ff0000");
	append_hex(bytes, "000000");
	assert_decodes(bytes, &msg);
	bytes->data[0] = 2;
	assert_refused(bytes, "version 2");
}

static void
test_truncated(void)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = NULL;

	msg.n_candidates = 0;
	bytes = encoded(&msg);
	while (bytes->len > 0) {
		const guint required = 1 + 11 + 11 + 7 + 7 + 7 + 25 + 11;

		/* Without the last fields, NAT class and mapping, it is whole again. */
		g_byte_array_set_size(bytes, bytes->len - 1);
		if (bytes->len == required + 4 || bytes->len == required) {
			msg.nat = (NatClass){.mapping = msg.mapping};
			if (bytes->len == required)
				msg.mapping = msg.nat.mapping = NAT_MAPPING_UNKNOWN;
			assert_decodes(bytes, &msg);
		} else {
			assert_refused(bytes, "");
		}
	}
}

static void
test_twice(void)
{
	static const char *const fields[] = {
		"0100080102030405060708",
		"0200081112131415161718",
		"03000400000003",
		"04000400000002",
		"05000441423031",
		"0600166162636465666768696a6b6c6d6e6f70717273747576",
		"07000101",
		"0900082122232425262728",
		"0a0009030200fffe00000000",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
		NatMsg msg = example();
		g_autoptr(GByteArray) bytes = encoded(&msg);

		append_hex(bytes, fields[i]);
		assert_refused(bytes, "twice");
	}
}

/* One whole message of the given fields. */
static void
test_bad_fields(void)
{
	static const struct {
		const char *hex, *says;
	} cases[] = {
		{"01", "sid is missing"},
		{"010100080000000000000000", "sid is 0"},
		{"0101000701020304050607", "sid has a wrong length"},
		{"01030003000000", "seq has a wrong length"},
		{"0105000341424d", "ufrag is too short"},
		{"010500044142432d", "ufrag has a character"},
		{"0105000441420043", "ufrag has a character"},
		{"0106000441424344", "pwd is too short"},
		{"010900080000000000000000", "watch is 0"},
		{"01090004ffffffff", "watch has a wrong length"},
		{"010700020001", "mapping has a wrong length"},
		{"010a00080302000001000000", "NAT class has a wrong length"},
		{"010a000a03020000010000000000", "NAT class has a wrong length"},
		{"0108000801", "cut off"},
		{"01080003010400", "candidate is too short"},
		{"0108000800041f90c0000201", "candidate is of a type"},
		{"0108000805041f90c0000201", "candidate is of a type"},
		{"0108000801051f90c0000201", "address family"},
		{"0108000801061f90c0000201", "candidate has a wrong length"},
		{"01080009010400010000000000", "candidate has a wrong length"},
		{"010800080104"
		 "0000"
		 "c0000201",
		 "port 0"},
		{"010800140106"
		 "1f90"
		 "00000000000000000000ffffc0000201",
		 "address"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();

		append_hex(bytes, cases[i].hex);
		assert_refused(bytes, cases[i].says);
	}
}

static void
test_unknown_values(void)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = NULL;

	msg.mapping = (NatMapping)99;
	msg.flags = 0x80000001;
	bytes = encoded(&msg);
	msg.mapping = msg.nat.mapping = NAT_MAPPING_UNKNOWN;
	assert_decodes(bytes, &msg);
}

/* What the field decodes to. */
static void
class_is(const char *hex, const NatClass *want)
{
	NatMsg msg = example();
	g_autoptr(GByteArray) bytes = NULL;

	msg.nat = (NatClass){0};
	bytes = encoded(&msg);
	append_hex(bytes, hex);
	msg.nat = *want;
	msg.nat.mapping = msg.mapping;
	assert_decodes(bytes, &msg);
}

static void
test_nat_class(void)
{
	const NatClass block = {.filtering = NAT_FILTERING_ENDPOINT_INDEPENDENT,
				.ports = NAT_PORTS_BLOCK,
				.lowest = 1024,
				.highest = 2047,
				.parity = TRUE};
	const NatClass filtering = {.filtering = NAT_FILTERING_ADDRESS_DEPENDENT};
	const NatClass far_up = {.ports = NAT_PORTS_SEQUENTIAL, .step = 0x7fff};
	const NatClass random = {.ports = NAT_PORTS_RANDOM, .parity = TRUE};
	const NatClass nothing = {0};

	class_is("0a00090103010000040007ff", &block);
	class_is("0a0009020000000000000000", &filtering);
	class_is("0a00090002007fff00000000", &far_up);
	/* of a later version: kinds, flags */
	class_is("0a0009020501000100010002", &filtering);
	class_is("0a000904ff00000100010002", &nothing);
	class_is("0a00090004ff000700030002", &random);
	/* what contradicts itself */
	class_is("0a0009020200000000000000", &filtering);
	class_is("0a00090203000000080007ff", &filtering);
	class_is("0a00090203000000000007ff", &filtering);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/msg/round-trip", test_round_trip);
	g_test_add_func("/msg/smallest", test_smallest);
	g_test_add_func("/msg/largest", test_largest);
	g_test_add_func("/msg/vector", test_vector);
	g_test_add_func("/msg/later-version", test_later_version);
	g_test_add_func("/msg/truncated", test_truncated);
	g_test_add_func("/msg/twice", test_twice);
	g_test_add_func("/msg/bad-fields", test_bad_fields);
	g_test_add_func("/msg/unknown-values", test_unknown_values);
	g_test_add_func("/msg/nat-class", test_nat_class);
	return g_test_run();
}
