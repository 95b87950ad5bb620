/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-key.h"

#include <sodium.h>

gboolean
wg_key_is_zero(const WgKey *key)
{
	return sodium_is_zero(key->b, sizeof key->b) == 1;
}
