/* SPDX-License-Identifier: MIT */
/* Everything that parsing yields lies inside the message, and the integrity check reads no
 * further than the message. */
#include "agent/mux/nat-stun.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(gboolean ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	NatStun stun;
	char ufrag[16];
	gboolean parsed = nat_stun_parse(data, size, &stun);
	gboolean sealed = nat_stun_check_integrity(data, size, "password");

	must(!sealed || !parsed || stun.has_integrity);
	if (!parsed) {
		must(!stun.username && !stun.note && !stun.has_fingerprint &&
		     !wg_endpoint_is_set(&stun.mapped));
		return 0;
	}
	must(stun.method <= 0xfff && stun.klass <= NAT_STUN_ERROR);
	if (stun.username) {
		const uint8_t *user = (const uint8_t *)stun.username;

		must(user >= data + 20 && user + stun.username_len <= data + size);
	}
	if (stun.note)
		must(stun.note >= data + 24 && stun.note + NAT_STUN_NOTE_LEN <= data + size);
	if (nat_stun_receiver_ufrag(&stun, ufrag, sizeof ufrag)) {
		gsize len = 0;

		while (len < sizeof ufrag && ufrag[len])
			len++;
		must(len > 0 && len < sizeof ufrag && len < stun.username_len);
	}
	return 0;
}
